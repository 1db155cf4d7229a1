package linkedin

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"usher/internal/activation"
	"usher/internal/provider"
)

func refusal(status int, message string) answer {
	text, _ := json.Marshal(map[string]any{"status": status, "message": message})
	return answer{status: status, body: string(text)}
}

const (
	missingAmount = "Index: 0, ERROR :: /conversionValue/amount :: field is required but not found and has no default value\n" +
		"ERROR :: /user/userInfo/firstName :: field is required but not found and has no default value\n" +
		"ERROR :: /user/userInfo/lastName :: field is required but not found and has no default value\n"
	wrongMethod = "Incorrect conversions information provided. Conversion's method should be CONVERSIONS_API, indices [%s] (0-indexed)"
)

func TestBadIndices(t *testing.T) {
	for _, tc := range []struct {
		status  int
		message string
		n       int
		want    []int // nil = not to be read
	}{
		{400, fmt.Sprintf(wrongMethod, "0"), 1, []int{0}},
		{400, fmt.Sprintf(wrongMethod, "2, 0,1"), 4, []int{0, 1, 2}},
		{400, fmt.Sprintf(wrongMethod, "3, 3"), 4, []int{3}},
		{400, fmt.Sprintf(wrongMethod, "4"), 4, nil},
		{400, fmt.Sprintf(wrongMethod, ""), 4, nil},
		{400, fmt.Sprintf(wrongMethod, "-1"), 4, nil},
		{400, fmt.Sprintf(wrongMethod, "9999999"), 4, nil},
		{400, fmt.Sprintf(wrongMethod, "0") + " and more", 4, nil},
		{400, "indices [0]", 4, nil},
		{400, missingAmount, 4, nil},
		{422, missingAmount, 1, []int{0}},
		{422, missingAmount + "Index: 3, ERROR :: /user :: x", 4, []int{0, 3}},
		{422, missingAmount, 0, nil},
		{422, strings.TrimPrefix(missingAmount, "Index: 0, "), 4, nil},
		{422, missingAmount + "something else\n", 4, nil},
		{422, missingAmount + "\n", 4, nil},
		{422, "", 4, nil},
		{422, fmt.Sprintf(wrongMethod, "0"), 4, nil},
		{403, fmt.Sprintf(wrongMethod, "0"), 4, nil},
	} {
		got, ok := badIndices(tc.status, tc.message, tc.n)
		if ok != (tc.want != nil) || !slices.Equal(got, tc.want) {
			t.Errorf("%d %q of %d: got %v %v, want %v", tc.status, tc.message, tc.n, got, ok, tc.want)
		}
	}
}

func FuzzBadIndices(f *testing.F) {
	f.Add(400, fmt.Sprintf(wrongMethod, "0, 2"), 3)
	f.Add(422, missingAmount, 3)
	f.Fuzz(func(t *testing.T, status int, message string, n int) {
		bad, ok := badIndices(status, message, n)
		if ok != (len(bad) > 0) || !slices.IsSorted(bad) {
			t.Errorf("%v %v", bad, ok)
		}
		for i, b := range bad {
			if b < 0 || b >= n || i > 0 && bad[i-1] == b {
				t.Errorf("%v of %d", bad, n)
			}
		}
	})
}

func outcomes(rc activation.Receipt) string {
	var parts []string
	for _, x := range rc.Exceptions {
		parts = append(parts, fmt.Sprintf("%d:%s:%s", x.Ordinal, x.Outcome, x.Code))
	}
	return strings.Join(parts, " ")
}

func TestRounds(t *testing.T) {
	bad := func(i ...string) answer { return refusal(400, fmt.Sprintf(wrongMethod, strings.Join(i, ", "))) }
	for _, tc := range []struct {
		name    string
		rows    int
		answers []answer
		want    string // exceptions
		code    string // of the error
		kind    activation.Kind
	}{
		{"all good", 2, []answer{answered(201, 201)}, "", "", ""},
		{"one named", 3, []answer{refusal(422, missingAmount), answered(201, 201)}, "0:rejected:LINKEDIN-ROW", "", ""},
		{"named twice, by places in what was sent", 4, []answer{bad("1"), bad("2"), answered(201, 201)}, "1:rejected:LINKEDIN-ROW 3:rejected:LINKEDIN-ROW", "", ""},
		{"all named", 2, []answer{bad("0", "1"), ruleAnswer}, "0:rejected:LINKEDIN-ROW 1:rejected:LINKEDIN-ROW", "", ""},
		{"all named, by the rule", 2, []answer{bad("0", "1"), {body: `{"id":104,"conversionMethod":"INSIGHT_TAG"}`}}, "", "LINKEDIN-RULE", activation.Invalid},
		{"all named, rule gone", 1, []answer{bad("0"), absentAnswer, accountAnswer}, "", "LINKEDIN-RULE", activation.Invalid},
		{"no index", 3, []answer{refusal(400, "something is wrong")}, "", "LINKEDIN-DATA", activation.RefusedWhole},
		{"an index that is none", 3, []answer{bad("3")}, "", "LINKEDIN-DATA", activation.RefusedWhole},
		{"no index later", 3, []answer{bad("1"), refusal(422, "?")}, "0:unsent:LINKEDIN-DATA 1:rejected:LINKEDIN-ROW 2:unsent:LINKEDIN-DATA", "", ""},
		{"throttled later", 3, []answer{bad("1"), {status: 429}}, "0:unsent:LINKEDIN-THROTTLE 1:rejected:LINKEDIN-ROW 2:unsent:LINKEDIN-THROTTLE", "", ""},
		{"broken later", 3, []answer{bad("1"), {status: 500, body: `{}`}}, "0:unknown:LINKEDIN-UNAVAILABLE 1:rejected:LINKEDIN-ROW 2:unknown:LINKEDIN-UNAVAILABLE", "", ""},
		{"token over later", 2, []answer{bad("1"), {status: 401, body: `{"serviceErrorCode":65601}`}}, "0:unsent:LINKEDIN-AUTH 1:rejected:LINKEDIN-ROW", "", ""},
		{"another number of answers later", 3, []answer{bad("1"), answered(201)}, "0:unknown:LINKEDIN-ANSWER 1:rejected:LINKEDIN-ROW 2:unknown:LINKEDIN-ANSWER", "", ""},
		{"broken", 2, []answer{{status: 500, body: `{}`}}, "", "LINKEDIN-UNAVAILABLE", activation.Unavailable},
		{"account gone", 1, []answer{absentAnswer}, "", "LINKEDIN-ACCOUNT", activation.Invalid},
		{"named in the middle", 4, []answer{answered(201, 400, 500, 201)}, "1:rejected:LINKEDIN-ROW 2:unknown:LINKEDIN-UNAVAILABLE", "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, n := openConversions(t, tc.answers...)
			rc, err := c.Deliver(context.Background(), events(tc.rows))
			if tc.code != "" {
				wantError(t, err, tc.kind, tc.code)
			} else if err != nil {
				t.Fatal(err)
			}
			if outcomes(rc) != tc.want || len(n.answers) > 0 {
				t.Errorf("got %q, %d answers left", outcomes(rc), len(n.answers))
			}
			if sum := rc.Accepted + rc.Rejected + rc.Unknown + rc.Unsent; err == nil && sum != int64(tc.rows) {
				t.Errorf("the receipt covers %d rows", sum)
			}
		})
	}
}

func TestRoundsAreBounded(t *testing.T) {
	c, n := openConversions(t)
	for range maxRounds {
		n.expect(refusal(400, fmt.Sprintf(wrongMethod, "1")))
	}
	rc, err := c.Deliver(context.Background(), events(maxRounds+5))
	if err != nil || rc.Rejected != maxRounds || rc.Unsent != 5 || rc.Accepted != 0 {
		t.Errorf("%+v %v", rc, err)
	}
	if rc.Exceptions[0].Outcome != activation.Unsent || rc.Exceptions[1].Outcome != activation.Rejected {
		t.Errorf("%+v", rc.Exceptions[:2])
	}
}

// TestRoundsNameTheRightEvents plays LinkedIn with any set of bad events, of which
// it names some each time, and wants those rejected and all others taken once.
func TestRoundsNameTheRightEvents(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		n := rapid.IntRange(1, 40).Draw(r, "events")
		isBad := make([]bool, n)
		for i := range isBad {
			isBad[i] = rapid.IntRange(0, 3).Draw(r, "bad") == 0
		}
		s := newSheet(n)
		elements := make([]int, n)
		for i := range elements {
			elements[i] = i
			s.send(i)
		}
		for round := 0; ; round++ {
			if round > n {
				r.Fatalf("a bad event is named again and again: %v", elements)
			}
			var bad []int
			for place, i := range elements {
				if isBad[i] && (len(bad) == 0 || rapid.Bool().Draw(r, "named")) {
					bad = append(bad, place)
				}
			}
			if len(bad) == 0 {
				break
			}
			left := s.without(make([]event, len(elements)), bad)
			elements = slices.Clone(s.sent)
			if len(left) != len(elements) {
				r.Fatalf("%d elements for %d rows", len(left), len(elements))
			}
		}
		rc := s.receipt(answerOf())
		for i, want := range isBad {
			if rejected := s.outcomes[i] == activation.Rejected; rejected != want {
				r.Fatalf("event %d: rejected %v, bad %v", i, rejected, want)
			}
		}
		if rc.Accepted+rc.Rejected != int64(n) {
			r.Fatalf("%+v", rc)
		}
	})
}

func TestEventsThatAreNeverSent(t *testing.T) {
	c, n := openConversions(t)
	for _, name := range []string{keyEventID, keyHappenedAt} {
		b := events(1)
		for j, k := range b.Keys {
			if k.Name == name {
				b.Values[j] = nil
			}
		}
		if rc, err := c.Deliver(context.Background(), b); err != nil || rc.Rejected != 1 {
			t.Errorf("without %s: %+v %v", name, rc, err)
		}
	}
	b := events(2) // the second has no first name
	for j, k := range b.Keys {
		if k.Name == keyEmail || k.Identifies && k.Name != keyLastName {
			b.Values[j], b.Values[len(b.Keys)+j] = nil, nil
		}
	}
	n.expect(answered(201))
	rc, err := c.Deliver(context.Background(), b)
	if err != nil || outcomes(rc) != "1:rejected:LINKEDIN-ROW" || !strings.Contains(n.calls[0], `"firstName": "Ana"`) {
		t.Errorf("both names: %+v %v", rc, err)
	}
	b = events(1)
	for j, k := range b.Keys {
		if k.Name == keyCurrency {
			b.Values[j] = nil
		}
	}
	n.expect(answered(201))
	if rc, err := c.Deliver(context.Background(), b); err != nil || rc.Accepted != 1 || strings.Contains(n.calls[1], "conversionValue") {
		t.Errorf("without a currency: %+v %v", rc, err)
	}
	_, err = c.Deliver(context.Background(), events(maxRows+1))
	wantError(t, err, activation.RefusedWhole, "LINKEDIN-SIZE")
	_, err = c.Poll(context.Background(), "x", 1)
	wantError(t, err, activation.Invalid, "LINKEDIN-REQUEST")
}

func TestRuleIsProved(t *testing.T) {
	for _, tc := range []struct {
		rule    string
		answers []answer
		code    string
	}{
		{"104", []answer{ruleAnswer}, ""},
		{" urn:lla:llaPartnerConversion:104 ", []answer{{body: `{"id":"104","conversionMethod":"CONVERSIONS_API"}`}}, ""},
		{"", nil, "LINKEDIN-SETTINGS"},
		{"1/4", nil, "LINKEDIN-SETTINGS"},
		{"104", []answer{{body: `{"id":104,"conversionMethod":"CONVERSIONS_API","enabled":false}`}}, "LINKEDIN-RULE"},
		{"104", []answer{{body: `{"id":104}`}}, "LINKEDIN-RULE"},
		{"104", []answer{{body: `{"id":7,"conversionMethod":"CONVERSIONS_API"}`}}, "LINKEDIN-ANSWER"},
		{"104", []answer{absentAnswer, accountAnswer}, "LINKEDIN-RULE"},
		{"104", []answer{absentAnswer, absentAnswer}, "LINKEDIN-ACCOUNT"},
		{"104", []answer{{status: 400, body: `{}`}}, "LINKEDIN-REQUEST"},
		{"104", []answer{{status: 403, body: `{}`}}, "LINKEDIN-PERMISSION"},
	} {
		c, n := openConversions(t, tc.answers...)
		id, err := c.EnsureAudience(context.Background(), provider.Audience{Config: map[string]string{"conversion": tc.rule}})
		if tc.code == "" && (err != nil || id != "104") || tc.code != "" && activation.CodeOf(err) != tc.code || len(n.answers) > 0 {
			t.Errorf("%q: %q %v", tc.rule, id, err)
		}
		if tc.code == "LINKEDIN-RULE" && asError(t, err).Field != "conversion" {
			t.Errorf("%v names no field", err)
		}
	}
}
