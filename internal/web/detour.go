package web

import (
	"net/url"
	"strings"
)

// A detour is a form that a person was sent to from another one, such as new
// credentials in the middle of a new job. Its address carries where to go back
// to; only forms of ours are gone back to.
var detours = []string{"/jobs/new/", "/destinations/new", "/publishers/new"}

// backTo is where the person came from, "" for nowhere.
func backTo(v visit) string {
	back := v.get("return")
	for _, start := range detours {
		if strings.HasPrefix(back, start) {
			return back
		}
	}
	return ""
}

// withReturn keeps the way back in an address.
func withReturn(v visit, path string) string {
	back := backTo(v)
	if back == "" {
		return path
	}
	return path + separator(path) + "return=" + url.QueryEscape(back)
}

// returning is the address to go back to with what was made, "" for nowhere.
func returning(v visit, name, made string) string {
	back := backTo(v)
	if back == "" {
		return ""
	}
	return back + separator(back) + name + "=" + url.QueryEscape(made)
}

func separator(path string) string {
	if strings.Contains(path, "?") {
		return "&"
	}
	return "?"
}
