package catalog

import (
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"usher/internal/provider"
)

// check compares given values with declared fields, fills in defaults, and
// adds a problem for every one that is unknown, missing or of the wrong kind.
// No given value is ever put into a problem: it could be a secret.
func (p *problems) check(prefix string, declared []provider.Field, given map[string]string) map[string]string {
	out := map[string]string{}
	for _, f := range declared {
		v, ok := given[f.Name]
		if !ok || v == "" {
			v = f.Default
		}
		if v == "" {
			if f.Required {
				p.add(prefix+f.Name, "is needed: %s", f.Help)
			}
			continue
		}
		if msg := wrong(f, v); msg != "" {
			p.add(prefix+f.Name, "%s", msg)
			continue
		}
		out[f.Name] = v
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if !slices.ContainsFunc(declared, func(f provider.Field) bool { return f.Name == name }) {
			p.add(prefix+name, "is not a setting; there are %s", strings.Join(fieldNames(declared), ", "))
		}
	}
	return out
}

// wrong says what is wrong with a value of a field, "" for nothing.
func wrong(f provider.Field, v string) string {
	switch f.Type {
	case "bool":
		if _, err := strconv.ParseBool(v); err != nil {
			return "must be true or false"
		}
	case "int":
		if _, err := strconv.ParseInt(v, 10, 64); err != nil {
			return "must be a whole number"
		}
	case "duration":
		if _, err := time.ParseDuration(v); err != nil {
			return "must be a duration such as 90s or 6h"
		}
	case "url":
		if u, err := url.Parse(v); err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
			return "must be a URL such as https://example.com"
		}
	case "agreement":
		if !isAccepted(v) {
			return "must be accepted (true): " + f.Help
		}
	case "select":
		if !slices.Contains(f.Options, v) {
			return "must be one of " + strings.Join(f.Options, ", ")
		}
	}
	return ""
}

func fieldNames(fs []provider.Field) []string {
	out := make([]string, len(fs))
	for i, f := range fs {
		out[i] = f.Name
	}
	if len(out) == 0 {
		return []string{"none"}
	}
	return out
}
