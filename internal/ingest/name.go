package ingest

import "strings"

// ValidName reports whether s can name a stream or a field: up to 63 lower-case
// letters, digits and underscores, beginning with a letter.
func ValidName(s string) bool {
	if s == "" || len(s) > 63 || s[0] < 'a' || s[0] > 'z' {
		return false
	}
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789_") == ""
}
