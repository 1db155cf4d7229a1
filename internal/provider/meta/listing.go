package meta

import (
	"encoding/json"
	"net/url"
	"regexp"
	"slices"
	"strconv"

	"usher/internal/activation"
	"usher/internal/matchkey"
	"usher/internal/provider"
)

// The settings of a job that keeps an audience, beside those of limited data use.
const (
	// customerFileSource is the setting that says who gave the data.
	customerFileSource = "customer_file_source"
	retentionField     = "retention_days"
	optOutField        = "opt_out_link"
	labelsField        = "audience_labels"
	valuedField        = "is_value_based"
)

const (
	// retentionDays is the longest that Meta keeps a person for so many days
	// (marketing-api/reference/ad-account/customaudiences).
	retentionDays = 180
	// keyValued is the key of value-based audiences: a number, and not hashed
	// (audiences guide).
	keyValued = "LOOKALIKE_VALUE"
)

// sources are who can have given the data.
var sources = []string{"USER_PROVIDED_ONLY", "PARTNER_PROVIDED_ONLY", "BOTH_USER_AND_PARTNER_PROVIDED"}

// labelPattern is how Meta writes labels. Which there are it changes, so they are
// not listed here.
var labelPattern = regexp.MustCompile(`^[A-Z][A-Z0-9_]{0,63}$`)

// listing is the settings of one job that keeps an audience, checked.
type listing struct {
	source          string
	days            int
	optOut, dataset string
	labels          []string
	valued          bool
	limits          limits
}

// listFields are the settings of such a job. All but those of limited data use
// count when the audience is made.
func listFields() []provider.Field {
	return append([]provider.Field{
		{
			Name: customerFileSource, Label: "Where the data comes from", Type: "select", Default: "USER_PROVIDED_ONLY", Options: sources,
			Help: "Who gave you these people's data: they themselves, a partner, or both. Meta shows it to people who ask why they see an ad. Used when the audience is made.",
		},
		{
			Name: retentionField, Label: "Keep people for, days", Type: "int", Example: "90",
			Help: "Meta takes people out by itself so many days, 1 to 180, after they were added; Usher does not add them again while they stay. Empty = it keeps them until they are removed. Used when the audience is made; a later change has no effect on it.",
		},
		{
			Name: optOutField, Label: "Opt-out address", Type: "url", Example: "https://example.com/opt-out",
			Help: "The page where people can say that they do not want to be in the audience. Used when the audience is made; a later change has no effect on it.",
		},
		{
			Name: datasetField, Label: "Data set", Type: "string", Example: "123456789012345",
			Help: "The id of the data set that the audience belongs to: digits. Used when the audience is made; a later change has no effect on it.",
		},
		{
			Name: labelsField, Label: "Labels", Type: "list", Example: "HIGH_VALUE_CUSTOMERS",
			Help: "Meta's labels that describe the audience, divided by commas. Used when the audience is made; a later change has no effect on it.",
		},
		{
			Name: valuedField, Label: "Value-based", Type: "bool", Default: "false",
			Help: "Each person has a value, for lookalikes of those who are worth most: the mapping must feed LOOKALIKE_VALUE then, and must not otherwise. Meta never changes it of an audience that is made: take another job for it.",
		},
	}, limitFields("these people")...)
}

// listingOf reads the settings of a job.
func listingOf(config map[string]string) (listing, error) {
	fields := listFields()
	set := func(name string) string { return provider.Setting(fields, config, name) }
	j := listing{source: set(customerFileSource), optOut: set(optOutField), dataset: set(datasetField), labels: provider.List(set(labelsField))}
	if !slices.Contains(sources, j.source) {
		return j, invalid(customerFileSource, "where the data comes from must be one of those that meta knows")
	}
	if days := set(retentionField); days != "" {
		n, err := strconv.Atoi(days)
		if err != nil || n < 1 || n > retentionDays {
			return j, invalid(retentionField, "people can be kept for 1 to 180 days; leave it empty to keep them until they are removed")
		}
		j.days = n
	}
	if u, err := url.Parse(j.optOut); j.optOut != "" && (err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http") {
		return j, invalid(optOutField, "the opt-out address must be like https://example.com/opt-out")
	}
	if j.dataset != "" && !numberPattern.MatchString(j.dataset) {
		return j, invalid(datasetField, "the id of the data set must be digits, as Events Manager shows it")
	}
	for _, label := range j.labels {
		if !labelPattern.MatchString(label) {
			return j, invalid(labelsField, "a label must be written like HIGH_VALUE_CUSTOMERS")
		}
	}
	var err error
	if j.valued, err = strconv.ParseBool(set(valuedField)); err != nil {
		return j, invalid(valuedField, "value-based must be true or false")
	}
	j.limits, err = limitsOf(set)
	return j, err
}

// fits says what is wrong with the keys that the mapping feeds: Meta wants a
// value of each person in a value-based audience, and refuses one in any other.
func (j listing) fits(keys []matchkey.Key) error {
	has := slices.ContainsFunc(keys, func(k matchkey.Key) bool { return k.Name == keyValued })
	switch {
	case j.valued && !has:
		return invalid("mapping."+keyValued, "the audience is value-based: map LOOKALIKE_VALUE to the field with each person's value, or make the job anew without is_value_based")
	case has && !j.valued:
		return invalid(valuedField, "the mapping feeds LOOKALIKE_VALUE, which only value-based audiences take: set is_value_based, or use a destination that does not map it")
	}
	return nil
}

// fitsMapping is what is wrong with the settings of a job at a destination with
// this mapping.
func fitsMapping(job, mapping map[string]string) error {
	j, err := listingOf(job)
	if err != nil {
		return err
	}
	var keys []matchkey.Key
	for _, k := range RuleSet().Keys {
		if mapping[k.Name] != "" {
			keys = append(keys, k)
		}
	}
	return j.fits(keys)
}

// made is the body that makes the audience.
func (j listing) made(name, marker string) ([]byte, error) {
	body := map[string]any{
		"name": name, "subtype": "CUSTOM", customerFileSource: j.source,
		"description": "Kept in step by Usher, which finds it by this mark: " + markerText(marker),
	}
	if j.days > 0 {
		body[retentionField] = j.days
	}
	if j.optOut != "" {
		body[optOutField] = j.optOut
	}
	if j.dataset != "" {
		body[datasetField] = j.dataset
	}
	if len(j.labels) > 0 {
		body[labelsField] = j.labels
	}
	if j.valued {
		body[valuedField] = true
	}
	text, err := json.Marshal(body)
	if err != nil {
		return nil, &activation.Error{Kind: activation.Internal, Message: "the audience cannot be written as JSON", Err: err}
	}
	return text, nil
}

// valueless are the rows to be added to a value-based audience that have no
// value, as exceptions. Meta would count each as invalid and not say which.
func (j listing) valueless(b provider.Batch) []activation.Exception {
	if !j.valued || b.Op != activation.OpAdd {
		return nil
	}
	var out []activation.Exception
	at := slices.IndexFunc(b.Keys, func(k matchkey.Key) bool { return k.Name == keyValued })
	for i := range b.Rows() {
		if at < 0 || len(b.Row(i)[at]) == 0 {
			out = append(out, activation.Exception{Ordinal: int64(i), Outcome: activation.Rejected, Code: classValue.Code})
		}
	}
	return out
}
