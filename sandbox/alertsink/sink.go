// Package alertsink stands in for what notices are posted to: Slack's incoming
// webhooks, the webhook of a Teams flow, and a receiver of Standard Webhooks. It
// refuses what they refuse, keeps what it took, and misbehaves on demand.
//
// It imports nothing of the product: the formats and the signature are checked
// here by code of its own, written from the public pages. It is built for the
// failure of a test that passes because the receiver takes anything.
package alertsink

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Taken is one notice that was taken.
type Taken struct {
	// ID is the webhook-id; "" for Slack and Teams, which know none.
	ID string
	// Text is every text that people would see, one a line.
	Text string
	Body []byte
}

// Fault is what happens to one call instead of a good answer.
type Fault struct {
	Status int
	Body   string
	Header map[string]string
	// Applied takes the notice all the same.
	Applied bool
	// Cut answers nothing and breaks the connection.
	Cut bool
	// Hang answers nothing until the caller gives up.
	Hang bool
}

// Sink is one receiver. Its methods may be called by any goroutine.
type Sink struct {
	mu     sync.Mutex
	taken  []Taken
	faults []Fault
	calls  int
	check  func(r *http.Request, body []byte) (Taken, int, string)
	good   func(w http.ResponseWriter)
}

// Slack takes what an incoming webhook takes.
func Slack() *Sink {
	return &Sink{check: checkSlack, good: func(w http.ResponseWriter) { _, _ = io.WriteString(w, "ok") }}
}

// Teams takes what the webhook of a flow takes.
func Teams() *Sink {
	return &Sink{check: checkTeams, good: func(w http.ResponseWriter) { w.WriteHeader(http.StatusAccepted) }}
}

// Webhook takes Standard Webhooks that are signed with a secret.
func Webhook(secret string) *Sink {
	return &Sink{
		check: func(r *http.Request, body []byte) (Taken, int, string) { return checkSigned(secret, r, body) },
		good:  func(w http.ResponseWriter) { w.WriteHeader(http.StatusNoContent) },
	}
}

// Script makes the next calls meet these faults, in this order.
func (s *Sink) Script(f ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, f...)
}

// Taken returns what was taken, in the order it came.
func (s *Sink) Taken() []Taken {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Taken(nil), s.taken...)
}

// Calls is how many calls there were, refused ones included.
func (s *Sink) Calls() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls
}

// ServeHTTP takes one call.
func (s *Sink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return
	}
	fault := s.next()
	taken, status, text := s.check(r, body)
	if status == 0 && (fault == nil || fault.Applied) {
		taken.Body = body
		s.mu.Lock()
		s.taken = append(s.taken, taken)
		s.mu.Unlock()
	}
	switch {
	case fault != nil:
		fault.answer(w, r)
	case status != 0:
		w.WriteHeader(status)
		_, _ = io.WriteString(w, text)
	default:
		s.good(w)
	}
}

func (s *Sink) next() *Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	if len(s.faults) == 0 {
		return nil
	}
	f := s.faults[0]
	s.faults = s.faults[1:]
	return &f
}

func (f *Fault) answer(w http.ResponseWriter, r *http.Request) {
	if f.Hang {
		<-r.Context().Done()
	}
	if f.Cut || f.Hang {
		panic(http.ErrAbortHandler)
	}
	for k, v := range f.Header {
		w.Header().Set(k, v)
	}
	w.WriteHeader(f.Status)
	_, _ = io.WriteString(w, f.Body)
}

// checkSlack knows the rules of a message's text and of the blocks header,
// section and context (docs.slack.dev/reference/block-kit/blocks).
func checkSlack(r *http.Request, body []byte) (Taken, int, string) {
	var m struct {
		Text   string `json:"text"`
		Blocks []struct {
			Type     string                        `json:"type"`
			Text     *struct{ Type, Text string }  `json:"text"`
			Elements []struct{ Type, Text string } `json:"elements"`
			Fields   []struct{ Type, Text string } `json:"fields"`
		} `json:"blocks"`
	}
	if r.Method != http.MethodPost || json.Unmarshal(body, &m) != nil {
		return Taken{}, http.StatusBadRequest, "invalid_payload"
	}
	if m.Text == "" && len(m.Blocks) == 0 {
		return Taken{}, http.StatusBadRequest, "no_text"
	}
	seen := []string{m.Text}
	for _, b := range m.Blocks {
		switch {
		case b.Type == "header" && b.Text != nil && b.Text.Type == "plain_text" && b.Text.Text != "" && len([]rune(b.Text.Text)) <= 150:
			seen = append(seen, b.Text.Text)
		case b.Type == "section" && b.Text != nil && b.Text.Type == "mrkdwn" && b.Text.Text != "" && len([]rune(b.Text.Text)) <= 3000:
			seen = append(seen, b.Text.Text)
		case b.Type == "context" && len(b.Elements) > 0 && len(b.Elements) <= 10:
			for _, e := range b.Elements {
				if e.Type != "mrkdwn" && e.Type != "plain_text" || e.Text == "" {
					return Taken{}, http.StatusBadRequest, "invalid_blocks"
				}
				seen = append(seen, e.Text)
			}
		default:
			return Taken{}, http.StatusBadRequest, "invalid_blocks"
		}
	}
	return Taken{Text: strings.Join(seen, "\n")}, 0, ""
}

// checkTeams knows the envelope of a flow and the parts of an Adaptive Card that
// Teams shows from a webhook (adaptivecards.io/explorer).
func checkTeams(r *http.Request, body []byte) (Taken, int, string) {
	var m struct {
		Type        string `json:"type"`
		Attachments []struct {
			ContentType string `json:"contentType"`
			Content     struct {
				Type, Version string
				Body          []struct {
					Type    string
					Text    string
					Inlines []struct{ Type, Text string }
				}
				Actions []struct{ Type, Title, URL string }
			} `json:"content"`
		} `json:"attachments"`
	}
	bad := func() (Taken, int, string) {
		return Taken{}, http.StatusBadRequest, `{"error":{"code":"TriggerInputSchemaMismatch","message":"The input body for trigger 'manual' did not match its schema definition."}}`
	}
	if r.Method != http.MethodPost || json.Unmarshal(body, &m) != nil || m.Type != "message" || len(m.Attachments) != 1 {
		return bad()
	}
	if len(body) > 28<<10 {
		return Taken{}, http.StatusRequestEntityTooLarge, ""
	}
	a := m.Attachments[0]
	if a.ContentType != "application/vnd.microsoft.card.adaptive" || a.Content.Type != "AdaptiveCard" || a.Content.Version == "" || len(a.Content.Body) == 0 {
		return bad()
	}
	var seen []string
	for _, b := range a.Content.Body {
		switch b.Type {
		case "TextBlock":
			seen = append(seen, b.Text)
		case "RichTextBlock":
			line := ""
			for _, i := range b.Inlines {
				if i.Type != "TextRun" {
					return bad()
				}
				line += i.Text
			}
			seen = append(seen, line)
		default:
			return bad()
		}
	}
	for _, action := range a.Content.Actions {
		if action.Type != "Action.OpenUrl" || action.URL == "" {
			return bad()
		}
		seen = append(seen, action.URL)
	}
	return Taken{Text: strings.Join(seen, "\n")}, 0, ""
}

// tolerance is how old a signed message may be (specification, "Timestamp").
const tolerance = 5 * time.Minute

// checkSigned verifies a signature as the specification of Standard Webhooks
// says: HMAC-SHA-256 over id.timestamp.body with the key in base64 behind whsec_.
func checkSigned(secret string, r *http.Request, body []byte) (Taken, int, string) {
	id, at := r.Header.Get("webhook-id"), r.Header.Get("webhook-timestamp")
	seconds, err := strconv.ParseInt(at, 10, 64)
	if id == "" || err != nil || time.Since(time.Unix(seconds, 0)).Abs() > tolerance {
		return Taken{}, http.StatusBadRequest, "headers"
	}
	if secret != "" {
		key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
		if err != nil {
			return Taken{}, http.StatusInternalServerError, "secret"
		}
		mac := hmac.New(sha256.New, key)
		_, _ = fmt.Fprintf(mac, "%s.%s.%s", id, at, body)
		want, ok := "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)), false
		for _, one := range strings.Fields(r.Header.Get("webhook-signature")) {
			ok = ok || hmac.Equal([]byte(one), []byte(want))
		}
		if !ok {
			return Taken{}, http.StatusUnauthorized, "signature"
		}
	}
	var m struct {
		Type      string
		Timestamp time.Time
		Data      map[string]any
	}
	if json.Unmarshal(body, &m) != nil || m.Type == "" || m.Timestamp.IsZero() || m.Data == nil {
		return Taken{}, http.StatusBadRequest, "payload"
	}
	return Taken{ID: id, Text: fmt.Sprintf("%v\n%v", m.Data["title"], m.Data["message"])}, 0, ""
}
