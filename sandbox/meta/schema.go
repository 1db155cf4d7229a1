package meta

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

const keyExternID = "EXTERN_ID"

// form is how the cells of a key must look.
type form int

const (
	formHash   form = iota // 64 lower-case hexadecimal digits
	formText               // any text
	formDevice             // a lower-case advertising id
	formNumber             // a number of at least 0
	formList               // a list of data processing options
)

// column is one key a schema may name.
type column struct {
	as          string // the key its values count as
	form        form
	identifying bool
	single      bool // only alone in the schema
}

// columns are the keys of Meta's customer-file guide (developers.facebook.com,
// marketing-api/audiences/guides/custom-audiences, read 2026-11-21).
func columnOf(key string) (column, bool) {
	switch key {
	case "EMAIL", "PHONE":
		return column{as: key, form: formHash, identifying: true}, true
	case "GEN", "DOBY", "DOBM", "DOBD", "FN", "LN", "FI", "CT", "ST", "ZIP", "COUNTRY":
		return column{as: key, form: formHash}, true
	case "MADID":
		return column{as: key, form: formDevice, identifying: true}, true
	case keyExternID:
		return column{as: key, form: formText, identifying: true}, true
	case "LOOKALIKE_VALUE":
		return column{as: key, form: formNumber}, true
	case "DATA_PROCESSING_OPTIONS":
		return column{as: key, form: formList}, true
	case "DATA_PROCESSING_OPTIONS_COUNTRY", "DATA_PROCESSING_OPTIONS_STATE":
		return column{as: key, form: formNumber}, true
	case "EMAIL_SHA256":
		return column{as: "EMAIL", form: formHash, identifying: true, single: true}, true
	case "PHONE_SHA256":
		return column{as: "PHONE", form: formHash, identifying: true, single: true}, true
	case "MOBILE_ADVERTISER_ID":
		return column{as: "MADID", form: formDevice, identifying: true, single: true}, true
	case "UID":
		return column{as: "UID", form: formText, identifying: true, single: true}, true
	}
	return column{}, false
}

func isIdentifying(key string) bool {
	c, ok := columnOf(key)
	return ok && c.identifying
}

// decodeSchema reads payload.schema: a list of keys, or one key as text.
func decodeSchema(raw json.RawMessage) ([]string, *apiError) {
	var keys []string
	var single string
	if json.Unmarshal(raw, &single) == nil {
		keys = []string{single}
	} else if err := json.Unmarshal(raw, &keys); err != nil {
		return nil, invalidParam("payload.schema must be a key or a list of keys")
	}
	if len(keys) == 0 {
		return nil, invalidParam("payload.schema must not be empty")
	}
	for i, key := range keys {
		c, ok := columnOf(key)
		switch {
		case !ok:
			return nil, invalidParam(fmt.Sprintf("payload.schema names an unknown key in position %d", i))
		case c.single && len(keys) > 1:
			return nil, invalidParam(key + " may only be used alone")
		case slices.Contains(keys[:i], key):
			return nil, invalidParam(key + " is named twice in payload.schema")
		}
	}
	return keys, nil
}

// isHash reports whether text is a SHA-256 in lower-case hexadecimal.
func isHash(text string) bool {
	return len(text) == 64 && strings.Trim(text, "0123456789abcdef") == ""
}

// isDevice reports whether text is an advertising id as the guide wants it: a
// UUID in lower case with its hyphens.
func isDevice(text string) bool {
	parts := strings.Split(text, "-")
	if len(parts) != 5 || strings.Trim(text, "0123456789abcdef-") != "" {
		return false
	}
	for i, length := range []int{8, 4, 4, 4, 12} {
		if len(parts[i]) != length {
			return false
		}
	}
	return true
}

// hashOfNothing is the SHA-256 of the empty text. It matches nobody.
const hashOfNothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// verdict says what is wrong with a cell or a row.
type verdict string

const (
	fine         verdict = ""
	badHash      verdict = "not_a_hash"
	hashedBlank  verdict = "hash_of_nothing"
	badDevice    verdict = "not_a_device_id"
	badNumber    verdict = "not_a_number"
	badOptions   verdict = "not_processing_options"
	badType      verdict = "not_a_text"
	spoiled      verdict = "made_invalid_by_fault"
	nothingGiven verdict = "empty_row"
)

// checkCell reads one cell. Empty text stands for an unknown value.
func checkCell(c column, raw any) (string, verdict) {
	if c.form == formList {
		return "", checkOptions(raw)
	}
	if c.form == formNumber {
		return checkNumber(raw)
	}
	text, ok := raw.(string)
	if !ok {
		return "", badType
	}
	switch {
	case text == "":
	case c.form == formHash && text == hashOfNothing:
		return "", hashedBlank
	case c.form == formHash && !isHash(text):
		return "", badHash
	case c.form == formDevice && !isDevice(text):
		return "", badDevice
	}
	return text, fine
}

func checkNumber(raw any) (string, verdict) {
	var text string
	switch v := raw.(type) {
	case json.Number:
		text = v.String()
	case string:
		text = v
	default:
		return "", badNumber
	}
	if n, err := strconv.ParseFloat(text, 64); err != nil || n < 0 || math.IsInf(n, 0) || math.IsNaN(n) {
		return "", badNumber
	}
	return text, fine
}

func checkOptions(raw any) verdict {
	list, ok := raw.([]any)
	if !ok {
		return badOptions
	}
	for _, option := range list {
		if option != "LDU" {
			return badOptions
		}
	}
	return fine
}
