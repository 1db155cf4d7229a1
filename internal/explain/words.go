package explain

import (
	"crypto/sha256"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"usher/internal/activation"
)

// hider takes a value out of texts that others wrote, whatever its case, and what
// networks are sent in its place.
func hider(value string) func(string) string {
	value = strings.TrimSpace(value)
	if value == "" {
		return func(text string) string { return text }
	}
	hidden := []string{regexp.QuoteMeta(value)}
	for _, v := range []string{value, strings.ToLower(value)} {
		hidden = append(hidden, fmt.Sprintf("%x", sha256.Sum256([]byte(v))))
	}
	pattern := regexp.MustCompile("(?i)" + strings.Join(hidden, "|"))
	return func(text string) string { return pattern.ReplaceAllString(text, "…") }
}

func quoted(name string) string { return "“" + name + "”" }

// when is a time as the sentences write it.
func when(t time.Time) string { return t.UTC().Format("2 January 2006, 15:04 UTC") }

// many counts things: "1 message", "2 messages".
func many(n int64, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.FormatInt(n, 10) + " " + one + "s"
}

// list joins with commas, and a word before the last.
func list(names []string, word string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " " + word + " " + names[len(names)-1]
}

func runName(r activation.Run) string { return fmt.Sprintf("run #%d", r.Number) }

// sentence begins with a capital letter and ends with a full stop.
func sentence(text string) string {
	text = strings.TrimSpace(text)
	if text == "" {
		return ""
	}
	if first := text[0]; first >= 'a' && first <= 'z' {
		text = string(first-'a'+'A') + text[1:]
	}
	if !strings.ContainsRune(".!?…", []rune(text)[len([]rune(text))-1]) {
		text += "."
	}
	return text
}

// asked is what an operation asks of the network, as a participle.
func asked(op activation.Op) string {
	switch op {
	case activation.OpRemove:
		return "to be removed"
	case activation.OpReadd:
		return "to be added under new keys"
	default:
		return "to be added"
	}
}
