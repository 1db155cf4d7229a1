package config

import "log/slog"

// Secret is a setting that is never shown or logged. Convert it to a string to
// use it.
type Secret string

const hidden = "[hidden]"

// String does not return the secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return hidden
}

// GoString does not return the secret.
func (s Secret) GoString() string { return s.String() }

// LogValue does not return the secret.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText does not return the secret.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
