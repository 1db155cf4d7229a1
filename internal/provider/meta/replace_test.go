package meta

import (
	"context"
	"errors"
	"testing"

	"usher/internal/activation"
	"usher/internal/provider"
)

// part is batch number of of of a replacement of seven people.
func part(number, of, attempt int) provider.Batch {
	b := batch(2)
	b.Attempt = attempt
	b.Replace = &provider.Replace{Session: 8123456789, Number: number, Of: of, Rows: 7}
	return b
}

// refused is a refusal that names no row.
var refused = answer{status: 400, body: `{"error":{"message":"m","code":100,"fbtrace_id":"A1"}}`}

// sessions is what is told of a session.
func sessions(members string) answer { return answer{body: `{"data":[{` + members + `}]}`} }

func TestReplaceRequests(t *testing.T) {
	m, n := open(t, received(2, 0), received(2, 1))
	for i := range 2 {
		rc, err := m.Deliver(context.Background(), part(i+1, 2, 1))
		if err != nil || rc.Accepted != 2 || rc.Unplaced != int64(i) {
			t.Errorf("%+v %v", rc, err)
		}
	}
	golden(t, "replace", n.calls[0])
	golden(t, "replace_last", n.calls[1])
}

// TestARefusedPartOfAReplacement: what the session tells decides, and what it does
// not tell is unknown; nothing is ever halved.
func TestARefusedPartOfAReplacement(t *testing.T) {
	const id = `"session_id":"8123456789",`
	for name, tc := range map[string]struct {
		batch   provider.Batch
		answers []answer
		kind    activation.Kind // "" = all are accepted
		code    string
		applied bool
	}{
		"the first time":             {part(1, 3, 1), []answer{refused}, activation.Invalid, "META-REQUEST", false},
		"again, not the last":        {part(1, 3, 2), []answer{refused}, activation.Invalid, "META-REPLACE", true},
		"the last, matched":          {part(3, 3, 2), []answer{refused, sessions(id + `"stage":"finished","progress":"100"`)}, "", "", false},
		"the last, being matched":    {part(3, 3, 2), []answer{refused, sessions(id + `"stage":"matching","progress":"99"`)}, "", "", false},
		"the last, by its progress":  {part(3, 3, 2), []answer{refused, sessions(id + `"stage":"other","progress":"100"`)}, "", "", false},
		"the last, still waited for": {part(3, 3, 2), []answer{refused, sessions(id + `"stage":"uploading","progress":"57"`)}, activation.Invalid, "META-REQUEST", false},
		"the last, too late":         {part(3, 3, 2), []answer{refused, sessions(id + `"stage":"expired","progress":"57"`)}, activation.Invalid, "META-REQUEST", false},
		"the last, another word":     {part(3, 3, 2), []answer{refused, sessions(id + `"stage":"other","progress":"57"`)}, activation.Invalid, "META-REPLACE", true},
		"the last, no such session":  {part(3, 3, 2), []answer{refused, {body: `{"data":[]}`}}, activation.Invalid, "META-REQUEST", false},
		"the last, another session":  {part(3, 3, 2), []answer{refused, sessions(`"session_id":"7","stage":"finished"`)}, activation.Invalid, "META-REQUEST", false},
		"the session does not tell":  {part(3, 3, 2), []answer{refused, {status: 500, body: `{"error":{"code":2}}`}}, activation.Invalid, "META-REPLACE", true},
		"another one is under way":   {part(1, 3, 1), []answer{{status: 400, body: `{"error":{"code":2650}}`}}, activation.Unavailable, "META-UNAVAILABLE", true},
		"lost, not the last":         {part(1, 3, 1), []answer{{status: 500}}, activation.Unavailable, "META-UNAVAILABLE", true},
		"the last is lost, and in":   {part(3, 3, 1), []answer{{status: 500}, sessions(id + `"stage":"finished","progress":"100"`)}, "", "", false},
		"the last is lost, not in":   {part(3, 3, 1), []answer{{status: 500}, sessions(id + `"stage":"uploading","progress":"57"`)}, activation.Unavailable, "META-UNAVAILABLE", true},
		"the last is lost, untold":   {part(3, 3, 1), []answer{{status: 500}, {status: 500}}, activation.Unavailable, "META-UNAVAILABLE", true},
	} {
		t.Run(name, func(t *testing.T) {
			m, n := open(t, tc.answers...)
			rc, err := m.Deliver(context.Background(), tc.batch)
			if len(n.answers) > 0 {
				t.Errorf("%d answers are left", len(n.answers))
			}
			if tc.kind == "" {
				if err != nil || rc.Accepted != 2 {
					t.Errorf("%+v %v", rc, err)
				}
				return
			}
			wantError(t, err, tc.kind, tc.code)
			var e *activation.Error
			if !errors.As(err, &e) || e.MayHaveApplied != tc.applied {
				t.Errorf("may have applied: %v, want %t", err, tc.applied)
			}
		})
	}
}

func TestWhatCannotBeReplaced(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*provider.Batch)
		field  string
	}{
		"a removal":      {func(b *provider.Batch) { b.Op = activation.OpRemove }, "replace"},
		"no session":     {func(b *provider.Batch) { b.Replace.Session = 0 }, "replace"},
		"batch 0":        {func(b *provider.Batch) { b.Replace.Number = 0 }, "replace"},
		"batch 4 of 3":   {func(b *provider.Batch) { b.Replace.Number = 4 }, "replace"},
		"nobody":         {func(b *provider.Batch) { b.Values = nil }, "replace"},
		"too many":       {func(b *provider.Batch) { b.Replace.Rows = maxReplaced + 1 }, "replace"},
		"another remote": {func(b *provider.Batch) { b.Remote = "x" }, "remote"},
	} {
		t.Run(name, func(t *testing.T) {
			m, n := open(t)
			b := part(1, 3, 1)
			tc.change(&b)
			_, err := m.Deliver(context.Background(), b)
			wantField(t, err, tc.field)
			if len(n.calls) > 0 {
				t.Error("something was sent")
			}
		})
	}
	m, n := open(t)
	b := part(1, 3, 1)
	for len(b.Values) <= maxRows*len(b.Keys) {
		b.Values = append(b.Values, b.Values...)
	}
	_, err := m.Deliver(context.Background(), b)
	wantError(t, err, activation.Invalid, "META-REQUEST")
	if len(n.calls) > 0 {
		t.Error("something was sent")
	}
}

func TestSizes(t *testing.T) {
	const id = `"id":"238000001",`
	for name, tc := range map[string]struct {
		body      string
		low, high int64
	}{
		"between bounds":   {id + `"operation_status":{"code":200},"approximate_count_lower_bound":1200,"approximate_count_upper_bound":"1300"`, 1200, 1300},
		"flagged":          {id + `"operation_status":{"code":471},"approximate_count_lower_bound":1200,"approximate_count_upper_bound":1300`, 1200, 1300},
		"below the least":  {id + `"approximate_count_lower_bound":20,"approximate_count_upper_bound":1000`, -1, -1},
		"the least itself": {id + `"approximate_count_lower_bound":1000,"approximate_count_upper_bound":1000`, -1, -1},
		"not ready":        {id + `"approximate_count_lower_bound":-1,"approximate_count_upper_bound":-1`, -1, -1},
		"being updated":    {id + `"operation_status":{"code":300},"approximate_count_lower_bound":1200,"approximate_count_upper_bound":1300`, -1, -1},
		"upside down":      {id + `"approximate_count_lower_bound":2000,"approximate_count_upper_bound":1300`, -1, -1},
		"not told":         {id + `"operation_status":{"code":200}`, -1, -1},
	} {
		t.Run(name, func(t *testing.T) {
			m, _ := open(t, answer{body: `{` + tc.body + `}`})
			got, err := m.Size(context.Background(), provider.Audience{Remote: "238000001"})
			if want := (provider.Size{Low: tc.low, High: tc.high, Matched: true}); err != nil || got != want {
				t.Errorf("%+v %v, want %+v", got, err, want)
			}
		})
	}
	m, _ := open(t, answer{body: `{"id":"7"}`})
	_, err := m.Size(context.Background(), provider.Audience{Remote: "238000001"})
	wantError(t, err, activation.Unavailable, "META-ANSWER")
	_, err = m.Size(context.Background(), provider.Audience{Remote: "x"})
	wantField(t, err, "remote")
}
