package tracking

import "strings"

// Page returns the page of docs/troubleshooting for an error code: the page of
// its class, which is the code in lower case without trailing numbers.
func Page(code string) string {
	parts := strings.Split(strings.ToLower(code), "-")
	for len(parts) > 1 && strings.Trim(parts[len(parts)-1], "0123456789") == "" {
		parts = parts[:len(parts)-1]
	}
	return "docs/troubleshooting/" + strings.Join(parts, "-") + ".md"
}
