package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"usher/internal/activation"
)

func TestMoment(t *testing.T) {
	for in, want := range map[string]string{
		"2026-11-22T08:00:00+01:00":   "2026-11-22T07:00:00Z",
		" 2026-11-22T08:00:00.5Z ":    "2026-11-22T08:00:00.5Z",
		"2026-11-22":                  "",
		"yesterday":                   "",
		"0000-01-01T00:00:00Z":        "",
		"9999-12-31T23:59:59-01:00":   "",
		"2026-11-22T08:00:00Z; DROP ": "",
	} {
		if got := moment(in, nil); got != want {
			t.Errorf("%q is %q, want %q", in, got, want)
		}
	}
}

func TestDocument(t *testing.T) {
	for in, want := range map[string]string{
		` {"a":1} `:                 `{"a":1}`,
		`{"a":1.10,"a":2}`:          `{"a":1.10,"a":2}`,
		`"x\u0000y"`:                "\"x\ufffdy\"",
		`{"k\u0000":["\ud800"]}`:    "{\"k\ufffd\":[\"\ufffd\"]}",
		`{"n":1e400,"s":"\u00e4"`:   "",
		`{"n":1e400,"s":"<\u00e4"}`: `{"n":1e400,"s":"<ä"}`,
		`"a\\u0000b"`:               `"a\\u0000b"`,
		`not json`:                  "",
		"\"\xff\"":                  "",
	} {
		if got := document(in, nil); got != want {
			t.Errorf("%s is %s, want %s", in, got, want)
		}
	}
}

// FuzzDocument: what comes out is JSON that jsonb takes, and stays as it is.
func FuzzDocument(f *testing.F) {
	f.Add(`{"a":"\u0000\ud800\udc00\ud800","b":[1e3,null,true,"\\u0000"]}`)
	f.Add(`"x`)
	f.Fuzz(func(t *testing.T, in string) {
		out := document(in, nil)
		if out == "" {
			return
		}
		var v any
		if err := json.Unmarshal([]byte(out), &v); err != nil && !strings.Contains(err.Error(), "exceeded max depth") && !strings.Contains(err.Error(), "cannot unmarshal number") {
			t.Errorf("%q is no JSON: %v", out, err)
		}
		if text, ok := v.(string); ok && strings.ContainsRune(text, 0) {
			t.Errorf("%q holds U+0000", out)
		}
		if again := document(out, nil); again != out {
			t.Errorf("%q becomes %q", out, again)
		}
		if in := moment(in, nil); moment(in, nil) != in {
			t.Errorf("%q is no time twice", in)
		}
	})
}

func TestErrorsByState(t *testing.T) {
	for state, want := range map[string]class{
		"28P01": classAuth, "28000": classAuth, "0P000": classAuth, "42501": classPermission, "3D000": classDatabase, "3F000": classSchema,
		"53300": classUnavailable, "57P03": classUnavailable, "57P01": classUnavailable, "57014": classUnavailable, "40001": classUnavailable,
		"40P01": classUnavailable, "55P03": classUnavailable, "25006": classUnavailable, "58030": classUnavailable, "XX000": classUnavailable, "08006": classUnavailable,
		"42P01": classGone, "42703": classTable, "42804": classTable, "42P10": classTable,
		"22P02": classData, "22021": classData, "23514": classData, "P0001": classData, "54000": classData, "21000": classData,
		"42601": classRequest, "": classRequest, "?": classRequest,
	} {
		err := asError(t.Context(), &pgconn.PgError{Code: state, Message: "ann@example.com", Detail: "ann@example.com"}, false)
		if activation.CodeOf(err) != want.code || activation.KindOf(err) != want.kind || strings.Contains(err.Error(), "ann@") {
			t.Errorf("%s is %v, want %s", state, err, want.code)
		}
	}
}

// TestOnlyCommitLeavesDoubt: before COMMIT nothing has taken effect.
func TestOnlyCommitLeavesDoubt(t *testing.T) {
	over, cancel := context.WithCancelCause(t.Context())
	cancel(errTimeLimit)
	for _, c := range []struct {
		name       string
		ctx        context.Context
		err        error
		committing bool
		doubt      bool
	}{
		{"lost before", t.Context(), io.ErrUnexpectedEOF, false, false},
		{"lost during", t.Context(), io.ErrUnexpectedEOF, true, true},
		{"too late before", over, context.Canceled, false, false},
		{"too late during", over, context.Canceled, true, true},
		{"stopped by the operator during", t.Context(), &pgconn.PgError{Code: "57P01"}, true, true},
		{"serialization failure", t.Context(), &pgconn.PgError{Code: "40001"}, true, false},
		{"statement completion unknown", t.Context(), &pgconn.PgError{Code: "40003"}, true, true},
		{"deferred constraint", t.Context(), &pgconn.PgError{Code: "23503"}, true, false},
	} {
		var e *activation.Error
		if err := asError(c.ctx, c.err, c.committing); !errors.As(err, &e) || e.MayHaveApplied != c.doubt {
			t.Errorf("%s: %v, in doubt %v", c.name, err, e.MayHaveApplied)
		}
	}
}

func TestCodesAreThereOnce(t *testing.T) {
	all := Codes()
	slices.Sort(all)
	if n := len(slices.Compact(slices.Clone(all))); n != len(classes) {
		t.Errorf("%d codes of %d classes", n, len(classes))
	}
	if maxTimeout < connectTimeout {
		t.Error("the limit is below what connecting may take")
	}
}
