package matchkey

import (
	"strings"
	"unicode/utf8"
)

// noDevice is what a phone gives for its advertising id when the owner has
// switched it off. It is the same for everybody.
const noDevice = "00000000-0000-0000-0000-000000000000"

// DeviceID is a mobile advertising id (IDFA, GAID): a UUID in lower case with
// its hyphens, never hashed. The zero id of people who opted out is no value:
// it would make one person of them all.
func DeviceID(value string, _ Row) string {
	v := strings.ToLower(trim(value))
	if len(v) != len(noDevice) || v == noDevice {
		return ""
	}
	for i := range len(v) {
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if v[i] != '-' {
				return ""
			}
		} else if _, ok := nibble(v[i]); !ok {
			return ""
		}
	}
	return v
}

// ExternalID is an id of ours, as it is: the network compares it byte by byte
// with what was sent before. Blank and broken text is no value.
func ExternalID(value string, _ Row) string {
	if trim(value) == "" || !utf8.ValidString(value) {
		return ""
	}
	return value
}

// Plain is a value as it is, without the white space around it.
func Plain(value string, _ Row) string {
	if !utf8.ValidString(value) {
		return ""
	}
	return trim(value)
}

// Lower is a value in lower case, without the white space around it.
func Lower(value string, row Row) string { return strings.ToLower(Plain(value, row)) }
