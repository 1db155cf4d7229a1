package meta

import (
	"strconv"

	"usher/internal/provider"
)

// The settings of Limited Data Use, which are Meta's own names of it
// (docs/marketing-apis/data-processing-options).
const (
	optionsField   = "data_processing_options"
	optionsCountry = "data_processing_options_country"
	optionsState   = "data_processing_options_state"
	// limitedUse is the one option there is.
	limitedUse = "LDU"
)

// limits is how Meta may process people's data.
type limits struct {
	limited bool
	// country and state are Meta's numbers, 0 = Meta finds them out.
	country, state int
}

// limitFields are the settings of Limited Data Use, of whom is a text.
func limitFields(whom string) []provider.Field {
	return []provider.Field{
		{
			Name: optionsField, Label: "Limited Data Use", Type: "select", Default: "off", Options: []string{"off", limitedUse},
			Help: "LDU has Meta process " + whom + " with limits (data_processing_options).",
		},
		{
			Name: optionsCountry, Label: "Limited Data Use: country", Type: "int", Default: "0", Example: "1",
			Help: "Meta's number of the country for Limited Data Use, 1 for the United States; 0 = Meta finds it out.",
		},
		{
			Name: optionsState, Label: "Limited Data Use: state", Type: "int", Default: "0", Example: "1000",
			Help: "Meta's number of the state for Limited Data Use, 1000 for California; 0 = Meta finds it out.",
		},
	}
}

// limitsOf reads these settings.
func limitsOf(set func(name string) string) (limits, error) {
	var l limits
	switch set(optionsField) {
	case "off":
	case limitedUse:
		l.limited = true
	default:
		return l, invalid(optionsField, "limited data use must be off or LDU")
	}
	for name, to := range map[string]*int{optionsCountry: &l.country, optionsState: &l.state} {
		n, err := strconv.Atoi(set(name))
		if err != nil || n < 0 {
			return l, invalid(name, "the number must be 0 or one that meta names")
		}
		*to = n
	}
	return l, nil
}

// located reports whether country and state are sent. Without them Meta finds
// both out (audiences guide, "data processing options").
func (l limits) located() bool { return l.country != 0 || l.state != 0 }
