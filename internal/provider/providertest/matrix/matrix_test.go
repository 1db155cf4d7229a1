package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"usher/internal/provider"
	"usher/internal/provider/providertest"
)

// output is what go test -json says of a workflow; change sets the action and
// the reason of single cases.
func output(workflow string, transport providertest.Transport, cases []string, change map[string]result) string {
	var b strings.Builder
	line := func(action, test, text string) {
		fmt.Fprintf(&b, "{\"Action\":%q,\"Test\":%q,\"Output\":%q}\n", action, test, text)
	}
	line("output", "TestConformance/"+workflow, "    providertest.go:1: "+providertest.TransportLine+string(transport)+"\n")
	for _, name := range cases {
		test := "TestConformance/" + workflow + "/" + strings.ReplaceAll(name, " ", "_")
		r, ok := change[name]
		if !ok {
			r.action = "pass"
		}
		if r.reason != "" {
			line("output", test, "        providertest.go:174: "+r.reason+"\n")
		}
		if r.action != "" {
			line(r.action, test, "")
		}
	}
	return b.String()
}

func TestMatrix(t *testing.T) {
	definitions := []provider.Definition{
		{Workflows: []provider.Workflow{{Name: "post_list", Direction: provider.Export, Kind: provider.State}, {Name: "post_alert", Direction: provider.Alerting}}},
		{Workflows: []provider.Workflow{{Name: "post_letter", Direction: provider.Export, Kind: provider.Event}}},
		{Workflows: []provider.Workflow{{Name: "paper_post", Direction: provider.Editing}}, Publishing: &provider.Publishing{Post: "paper_post"}},
	}
	papers := output("paper_post", providertest.HTTP, providertest.PublisherCases(), nil)
	letters := output("post_letter", providertest.HTTP, providertest.EventCases(), nil) + papers
	for name, tc := range map[string]struct {
		in    string
		shows string
		wrong []string
	}{
		"all is well": {output("post_list", "", providertest.Cases(), nil) + letters, "all are accepted" + strings.Repeat(" ", 50) + "ok", nil},
		"a skip that is allowed": {
			output("post_list", "", providertest.Cases(), map[string]result{"an answer that comes late": {"skip", "post is quick"}}) + letters, "1) post is quick", nil,
		},
		"a skip that is not": {
			output("post_list", "", providertest.Cases(), map[string]result{"internal error": {"skip", "post never errs"}}) + letters, "FAIL", []string{`post_list may not skip "internal error"`},
		},
		"the same for files": {
			output("post_list", providertest.Files, providertest.Cases(), map[string]result{"internal error": {"skip", "files never err"}}) + letters, "1) files never err", nil,
		},
		"judged twice": {
			output("post_list", "", providertest.Cases(), map[string]result{"a shared key keeps its other owner": {"skip", "one key"}}) + output("post_list", "", providertest.Cases(), nil) + letters, "a shared key keeps its other owner" + strings.Repeat(" ", 32) + "ok", nil,
		},
		"judged twice, failed once": {
			output("post_list", "", providertest.Cases(), map[string]result{"all are accepted": {"fail", "no"}}) + output("post_list", "", providertest.Cases(), nil) + letters, "FAIL", []string{`post_list fails "all are accepted"`},
		},
		"a failure": {
			output("post_list", "", providertest.Cases(), map[string]result{"all are accepted": {"fail", "no"}}) + letters, "FAIL", []string{`post_list fails "all are accepted"`},
		},
		"a case that did not run": {
			output("post_list", "", providertest.Cases()[1:], nil) + letters, "none", []string{`post_list did not run "all are accepted"`},
		},
		"no suite": {letters, "none", []string{"post_list has no suite"}},
		"no publisher suite": {
			strings.TrimSuffix(letters, papers) + output("post_list", "", providertest.Cases(), nil), "paper_post (no suite)", []string{"paper_post has no suite"},
		},
		"a publisher skips what it may": {
			output("post_list", "", providertest.Cases(), nil) + strings.TrimSuffix(letters, papers) +
				output("paper_post", "", providertest.PublisherCases(), map[string]result{"what others changed is named": {"skip", "paper does not tell"}}), "1) paper does not tell", nil,
		},
		"a publisher skips what it may not": {
			output("post_list", "", providertest.Cases(), nil) + strings.TrimSuffix(letters, papers) +
				output("paper_post", "", providertest.PublisherCases(), map[string]result{"every field is edited": {"skip", "too many"}}), "FAIL", []string{`paper_post may not skip "every field is edited"`},
		},
		"another text": {"# usher/internal\nnot JSON\n" + output("post_list", "", providertest.Cases(), nil) + letters, "ok", nil},
	} {
		t.Run(name, func(t *testing.T) {
			seen, err := read(strings.NewReader(tc.in))
			if err != nil {
				t.Fatal(err)
			}
			var out strings.Builder
			wrong := show(&out, definitions, seen)
			if !slices.Equal(wrong, tc.wrong) || !strings.Contains(out.String(), tc.shows) {
				t.Errorf("wrong: %q, want %q; shown:\n%s", wrong, tc.wrong, out.String())
			}
			if strings.Contains(out.String(), "post_alert") {
				t.Error("what is no export is in it")
			}
		})
	}
}
