package tracking

import (
	"strings"

	"usher/docs"
)

// Page returns the page of docs/troubleshooting for an error code: the page of
// its class, which is the code in lower case without trailing numbers.
func Page(code string) string { return "docs/troubleshooting/" + class(code) + ".md" }

// Advice is the first sentence of what the code's page says is to be done; ""
// where there is no such page.
func Advice(code string) string {
	raw, err := docs.Troubleshooting.ReadFile("troubleshooting/" + class(code) + ".md")
	if err != nil {
		return ""
	}
	_, fix, ok := strings.Cut(string(raw), "\n## Fix\n")
	if !ok {
		return ""
	}
	first, _, _ := strings.Cut(strings.TrimSpace(fix), "\n\n")
	text := strings.Join(strings.Fields(strings.NewReplacer("`", "", "**", "").Replace(strings.TrimPrefix(first, "- "))), " ")
	if end := strings.Index(text, ". "); end >= 0 {
		text = text[:end+1]
	}
	return text
}

func class(code string) string {
	parts := strings.Split(strings.ToLower(code), "-")
	for len(parts) > 1 && strings.Trim(parts[len(parts)-1], "0123456789") == "" {
		parts = parts[:len(parts)-1]
	}
	return strings.Join(parts, "-")
}
