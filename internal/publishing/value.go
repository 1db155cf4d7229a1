package publishing

import (
	"fmt"
	"math/big"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"usher/internal/activation"
	"usher/internal/provider"
)

// maxText is how many characters a value may have whose field has no bound of its own.
const maxText = 20_000

const (
	dateForm = "2006-01-02"
	timeForm = "2006-01-02 15:04"
)

var (
	decimal = regexp.MustCompile(`^[0-9]+(\.[0-9]+)?$`)
	signed  = regexp.MustCompile(`^-?[0-9]+(\.[0-9]+)?$`)
	// thousands is what is a decimal here and a number of thousands elsewhere.
	thousands = regexp.MustCompile(`^[1-9][0-9]{0,2}\.[0-9]{3}$`)
	commas    = regexp.MustCompile(`^[-+]?[0-9., '’]*[0-9][,'’][0-9., '’]*$`)
)

// mills are the currencies whose unit has a thousand parts, so that three digits
// behind the point are nothing strange.
var mills = []string{"BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"}

// canonical is the text by which a value of a field is kept; wrong says what would be
// right where it does not fit, and is "" where it does. It never guesses. The id of an
// object is looked at elsewhere.
func canonical(f provider.ObjectField, currency, value string) (text, wrong string) {
	text = value
	switch f.Type {
	case "amount":
		text, wrong = amount(currency, value)
	case "number":
		switch {
		case commas.MatchString(value):
			wrong = "write the number with a point and without separators of thousands, such as 1234.5"
		case !signed.MatchString(value):
			wrong = "must be a number, such as 1234.5"
		default:
			text = plain(value)
		}
	case "select":
		text, wrong = oneOf(f, value)
	case "date":
		if d, err := time.Parse(dateForm, value); err != nil || d.Year() < 1970 {
			wrong = "must be a day written as 2026-11-20"
		}
	case "time":
		if d, err := time.Parse(timeForm, value); err != nil || d.Year() < 1970 {
			wrong = "must be a time written as 2026-11-20 20:00"
		}
	case "bool":
		switch strings.ToLower(value) {
		case "true", "yes":
			text = "true"
		case "false", "no":
			text = "false"
		default:
			wrong = "must be true or false"
		}
	case "url":
		if u, err := url.Parse(value); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || strings.ContainsFunc(value, unicode.IsSpace) {
			wrong = "must be an address such as https://example.com/page"
		}
	case "list":
		var parts []string
		for part := range strings.SplitSeq(value, ",") {
			if part = strings.TrimSpace(part); part != "" {
				parts = append(parts, part)
			}
		}
		if text = strings.Join(parts, ","); text == "" {
			wrong = "must be a list divided by commas"
		}
	}
	if wrong == "" {
		wrong = outOfBounds(f, text)
	}
	return text, wrong
}

// amount reads a decimal of the account's currency.
func amount(currency, value string) (text, wrong string) {
	switch {
	case commas.MatchString(value):
		return value, "write the amount with a point and without separators of thousands, such as 1234.50"
	case !decimal.MatchString(value) || len(value) > 20:
		return value, "must be an amount in " + currency + ", digits alone, such as 1234.50"
	case thousands.MatchString(value) && !slices.Contains(mills, currency):
		whole, part, _ := strings.Cut(value, ".")
		return value, fmt.Sprintf("may be read two ways: write %s%s if it is thousands, or %s.%s0 if it is a fraction", whole, part, whole, part)
	}
	return plain(value), ""
}

// plain is a decimal without zeros that say nothing.
func plain(value string) string {
	sign := ""
	if rest, ok := strings.CutPrefix(value, "-"); ok {
		sign, value = "-", rest
	}
	whole, part, _ := strings.Cut(value, ".")
	whole, part = strings.TrimLeft(whole, "0"), strings.TrimRight(part, "0")
	if whole == "" {
		whole = "0"
	}
	if part != "" {
		whole += "." + part
	}
	if whole == "0" {
		return whole
	}
	return sign + whole
}

// words that other programs write for a status.
var statusWords = map[string]string{"active": activation.StatusEnabled, "enable": activation.StatusEnabled, "pause": activation.StatusPaused, "inactive": activation.StatusPaused}

func oneOf(f provider.ObjectField, value string) (text, wrong string) {
	options := f.Options
	if f.Name == activation.FieldStatus && len(options) == 0 {
		options = []string{activation.StatusEnabled, activation.StatusPaused}
	}
	key := headerKey(value)
	for _, o := range options {
		if headerKey(o) == key {
			return o, ""
		}
	}
	if f.Name == activation.FieldStatus {
		if o := statusWords[key]; slices.Contains(options, o) {
			return o, ""
		}
		if key == "deleted" || key == "removed" || key == "remove" || key == "delete" {
			return value, "must be one of " + strings.Join(options, ", ") + "; what is to be deleted has the action remove"
		}
	}
	return value, "must be one of " + strings.Join(options, ", ")
}

func outOfBounds(f provider.ObjectField, text string) string {
	most := f.Max
	if most == 0 {
		most = maxText
	}
	if n := utf8.RuneCountInString(text); n > most {
		return fmt.Sprintf("has %d characters and may have %d", n, most)
	}
	if !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' && r != '\r' }) {
		return "has a character in it that is no text"
	}
	return ""
}

// sameValue reports whether two texts of a field say the same; files keep no space
// around a value.
func sameValue(f provider.ObjectField, a, b string) bool {
	if a == b || strings.TrimSpace(a) == strings.TrimSpace(b) {
		return true
	}
	if f.Type != "amount" && f.Type != "number" || a == "" || b == "" {
		return false
	}
	x, ok1 := new(big.Rat).SetString(a)
	y, ok2 := new(big.Rat).SetString(b)
	return ok1 && ok2 && x.Cmp(y) == 0
}
