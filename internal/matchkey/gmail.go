package matchkey

import "strings"

// EmailGmail is Email with one mailbox of Gmail written one way: at gmail.com and
// googlemail.com the dots of the local part go, and what follows a plus. The
// domain stays as it is, and every other host's dots and tags stay too, because
// there they make another mailbox.
func EmailGmail(value string, row Row) string {
	v := Email(value, row)
	local, domain, ok := strings.Cut(v, "@")
	if !ok || domain != "gmail.com" && domain != "googlemail.com" {
		return v
	}
	local, _, _ = strings.Cut(local, "+")
	if local = strings.ReplaceAll(local, ".", ""); local == "" {
		return ""
	}
	return local + "@" + domain
}
