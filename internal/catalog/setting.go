package catalog

import (
	"fmt"
	"strconv"
	"strings"

	"usher/internal/provider"
)

// SettingText is a setting as it is stored, of a value as JSON or YAML has it:
// lists are joined by commas. It is false for what no setting can hold.
func SettingText(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case bool:
		return strconv.FormatBool(v), true
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), true
	case int, int64, uint64:
		return fmt.Sprint(v), true
	case []any:
		parts := make([]string, len(v))
		for i, one := range v {
			if _, nested := one.([]any); nested {
				return "", false
			}
			part, ok := SettingText(one)
			if !ok || strings.Contains(part, ",") {
				return "", false
			}
			parts[i] = part
		}
		return strings.Join(parts, ","), true
	}
	return "", false
}

// SettingValue is a stored setting by its declared type; a secret is Redacted.
func SettingValue(f provider.Field, v string) any {
	if f.Secret {
		return Redacted
	}
	switch f.Type {
	case "bool":
		if b, err := strconv.ParseBool(v); err == nil {
			return b
		}
	case "int":
		if n, err := strconv.ParseInt(v, 10, 64); err == nil {
			return n
		}
	case "list":
		if v == "" {
			return []string{}
		}
		return strings.Split(v, ",")
	}
	return v
}

// WithDefaults are settings with the defaults of those that were not given.
func WithDefaults(fields []provider.Field, given map[string]string) map[string]string {
	out := map[string]string{}
	for _, f := range fields {
		if v := given[f.Name]; v != "" {
			out[f.Name] = v
		} else if f.Default != "" {
			out[f.Name] = f.Default
		}
	}
	return out
}
