package meta

import (
	"bytes"
	"encoding/json"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// params are the parameters of a request. The Graph API takes them from the
// query, from a form and from a JSON body alike; structured values may come as
// JSON text.
type params map[string]json.RawMessage

func readParams(r *http.Request, body []byte) (params, *apiError) {
	p := params{}
	p.addForm(r.URL.Query())
	if len(bytes.TrimSpace(body)) == 0 {
		return p, nil
	}
	if enc := r.Header.Get("Content-Encoding"); enc != "" && enc != "identity" {
		return nil, invalidParam("the request body has an encoding that is not supported")
	}
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		return nil, invalidParam("the request has no valid content type")
	}
	switch kind {
	case "application/json":
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(body, &fields); err != nil {
			return nil, invalidParam("the request body is not a JSON object")
		}
		for name, raw := range fields {
			p[name] = raw
		}
	case "application/x-www-form-urlencoded":
		form, err := url.ParseQuery(string(body))
		if err != nil {
			return nil, invalidParam("the request body is not a form")
		}
		p.addForm(form)
	default:
		return nil, invalidParam("the request has a content type that is not supported")
	}
	return p, nil
}

func (p params) addForm(form url.Values) {
	for name, values := range form {
		text, err := json.Marshal(values[len(values)-1])
		if err == nil {
			p[name] = text
		}
	}
}

// text returns a parameter as text; a number or boolean counts as its text.
func (p params) text(name string) string {
	var s string
	if json.Unmarshal(p[name], &s) == nil {
		return s
	}
	return string(p[name])
}

// structure returns a parameter as JSON, taking it out of a text if needed.
func (p params) structure(name string) json.RawMessage {
	var s string
	if json.Unmarshal(p[name], &s) == nil {
		return json.RawMessage(s)
	}
	return p[name]
}

func (p params) boolean(name string) (bool, *apiError) {
	switch p.text(name) {
	case "true", "1":
		return true, nil
	case "", "false", "0":
		return false, nil
	}
	return false, invalidParam("The parameter " + name + " must be a boolean")
}

func (p params) integer(name string, fallback int) (int, *apiError) {
	text := p.text(name)
	if text == "" {
		return fallback, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0, invalidParam("The parameter " + name + " must be a number of at least 0")
	}
	return n, nil
}

// list returns a parameter that is a list of words, as JSON or separated by commas.
func (p params) list(name string) []string {
	var words []string
	if json.Unmarshal(p.structure(name), &words) == nil {
		return words
	}
	for word := range strings.SplitSeq(p.text(name), ",") {
		if word = strings.TrimSpace(word); word != "" {
			words = append(words, word)
		}
	}
	return words
}
