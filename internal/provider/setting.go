package provider

import "slices"

// Setting returns the value of the named field in config, else its default.
func Setting(fields []Field, config map[string]string, name string) string {
	if v := config[name]; v != "" {
		return v
	}
	if i := slices.IndexFunc(fields, func(f Field) bool { return f.Name == name }); i >= 0 {
		return fields[i].Default
	}
	return ""
}
