package email

import (
	"html"
	"strings"

	gomail "github.com/wneessen/go-mail"

	"usher/internal/activation"
	"usher/internal/provider"
)

// message is the notice as an e-mail: plain text, and the same as simple HTML.
// Every text of others was made one line before it comes near a header, and is
// encoded there; in HTML it is escaped.
func (a *alert) message(n provider.Notice) (*gomail.Msg, error) {
	m := gomail.NewMsg(gomail.WithCharset(gomail.CharsetUTF8), gomail.WithEncoding(gomail.EncodingQP))
	m.FromMailAddress(a.from)
	m.ToMailAddress(a.to...)
	m.Subject(mark(n) + n.Title())
	m.SetMessageIDWithValue(provider.Line(n.ID) + "@" + domainOf(a.from.Address))
	m.SetDateWithValue(n.Event.At)
	// A machine wrote it: answering machines keep quiet (RFC 3834), and so does
	// whoever sorts mail by these.
	m.SetGenHeader("Auto-Submitted", "auto-generated")
	m.SetGenHeader("X-Auto-Response-Suppress", "All")
	m.SetUserAgent("Usher")
	if err := m.EnvelopeFrom(a.from.Address); err != nil {
		return nil, &activation.Error{Kind: activation.Invalid, Code: CodeServer, Field: fromField, Message: fromField + " must be an e-mail address"}
	}
	m.SetBodyString(gomail.TypeTextPlain, n.Text())
	m.AddAlternativeString(gomail.TypeTextHTML, page(n))
	return m, nil
}

func mark(n provider.Notice) string {
	switch {
	case n.Recovery:
		return "[OK] "
	case n.Level == "error":
		return "[ERROR] "
	case n.Level == "warn":
		return "[WARNING] "
	}
	return ""
}

func domainOf(address string) string {
	return address[strings.LastIndexByte(address, '@')+1:]
}

func page(n provider.Notice) string {
	var b strings.Builder
	b.WriteString(`<!doctype html><html lang="en"><body style="font-family:sans-serif;font-size:15px"><h2 style="font-size:18px">` + html.EscapeString(n.Title()) + `</h2><table role="presentation" cellpadding="3">`)
	for _, d := range n.Details() {
		text := html.EscapeString(d.Text)
		if d.Name == "Open" {
			text = `<a href="` + text + `">Open in Usher</a>`
		}
		b.WriteString(`<tr><td style="color:#666;vertical-align:top">` + html.EscapeString(d.Name) + `</td><td>` + text + `</td></tr>`)
	}
	return b.String() + "</table></body></html>\n"
}
