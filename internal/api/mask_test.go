package api

import (
	"context"
	"fmt"
	"testing"

	"usher/internal/activation"
	"usher/internal/imports"
	"usher/internal/warehouse"
)

func TestMaskProfiles(t *testing.T) {
	s := warehouse.Schema{Fields: []warehouse.Field{{Name: "p", PII: true}, {Name: "open"}}}
	for _, tt := range []struct {
		in   any
		want string
	}{
		{"ana@x.com", "a•••@x.com"},
		{"Ödön", "Ö•••"},
		{"", ""},
		{[]string{"ana@x.com", "bob@y.com"}, "[a•••@x.com b•••@y.com]"},
		{[]any{"ana@x.com", "bob@y.com"}, "[a•••@x.com b•••@y.com]"},
		{"write to ana@x.com or bob@y.com", "w•••"},
		{"a@b@secret", "a•••"},
		{"ana@x.com,bob@y.com", "a•••"},
		{int64(42), "4•••"},
	} {
		people := []warehouse.Profile{{Values: map[string]any{"p": tt.in, "open": "shown"}}}
		MaskProfiles(s, people)
		if got := fmt.Sprint(people[0].Values["p"]); got != tt.want {
			t.Errorf("%v is shown as %q, want %q", tt.in, got, tt.want)
		}
		if people[0].Values["open"] != "shown" {
			t.Error("a field that is not personal is masked")
		}
	}
}

// reader is an import that stands at a row of somebody's.
type reader struct{ Imports }

func (reader) State(context.Context, activation.Job) (imports.Position, error) {
	return imports.Position{Rows: 7, Position: `{"after":"ana@x.com"}`}, nil
}

// TestPositionIsForAdministrators: a cursor may stand at somebody's value.
func TestPositionIsForAdministrators(t *testing.T) {
	a := &API{Deps: Deps{Imports: reader{}}}
	for role, want := range map[activation.Role]bool{Viewer: false, Operator: false, Admin: true} {
		got, err := a.position(context.WithValue(t.Context(), callerKey, Caller{Role: role}), activation.Job{})
		if err != nil || got.Rows != 7 || (got.Position != "") != want {
			t.Errorf("%s reads %+v, %v", role, got, err)
		}
	}
}
