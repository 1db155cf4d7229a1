package provider

import (
	"slices"
	"strconv"
	"time"
)

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

// Pace is how many calls a second one authorization makes, and how many at once
// after a rest: by its setting PaceField, else by the definition. 0 = no pace.
func (d Definition) Pace(auth map[string]Secret) (perSecond float64, burst int) {
	perMinute := d.RequestsPerMinute
	if n, err := strconv.Atoi(auth[PaceField].Reveal()); err == nil && n > 0 {
		perMinute = n
	}
	return float64(perMinute) / 60, max(1, perMinute/60)
}

// Constant is the text of a setting of type "column" that is one in double quotes:
// the same for every event. ok is false where a column or a source feeds it.
func Constant(setting string) (text string, ok bool) {
	if len(setting) < 2 || setting[0] != '"' || setting[len(setting)-1] != '"' {
		return "", false
	}
	return setting[1 : len(setting)-1], true
}

// CountryField is the destination setting that names the country assumed for
// phone numbers without a country code, as ISO 3166-1 alpha-2; a provider
// declares it where its rules know phones.
const CountryField = "default_country"

// MaxBytesField is the destination field that sets Definition.MaxBytes. A
// provider that lets it be set declares it under this name.
const MaxBytesField = "max_request_bytes"

// MembershipDaysField is the destination field that sets Definition.Refresh: how
// many days the network keeps a member. A provider that lets it be set declares
// it under this name.
const MembershipDaysField = "membership_days"

// RefreshOf is when members are sent again that the network keeps for so many
// days: before nine tenths of them are over, so that nobody lapses meanwhile.
func RefreshOf(days int) time.Duration { return time.Duration(days) * 24 * time.Hour * 9 / 10 }

// Configured returns the definition as a destination with this config has it:
// batches are cut to the size that the destination allows, and members sent again
// before they lapse.
func (d Definition) Configured(config map[string]string) Definition {
	if n, err := strconv.ParseInt(Setting(d.DestinationFields, config, MaxBytesField), 10, 64); err == nil && n > 0 {
		d.MaxBytes = n
	}
	if n, err := strconv.Atoi(Setting(d.DestinationFields, config, MembershipDaysField)); err == nil && n > 0 && d.Refresh > 0 {
		d.Refresh = RefreshOf(n)
	}
	return d
}
