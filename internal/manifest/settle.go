package manifest

import (
	"context"
	"reflect"
	"slices"

	"usher/internal/activation"
)

// A settling makes one thing as it is declared: it is found among those there are, and
// made, or compared and changed.
type settling[T any] struct {
	there []T
	is    func(T) bool // whether one of them is the declared one
	want  T
	// adjust is called with the thing that is there, before they are compared: for what
	// a file can't say, and what is written otherwise but means the same. nil = nothing.
	adjust         func(have T, want *T)
	create, update func(ctx context.Context, want T, user string) (T, error)
}

// settle does it, and notes in the step what it was.
func settle[T any](ctx context.Context, s *Step, user string, g settling[T]) error {
	i := slices.IndexFunc(g.there, g.is)
	if i < 0 {
		s.Action = Create
		_, err := g.create(ctx, g.want, user)
		return err
	}
	have := g.there[i]
	keepGiven(have, &g.want)
	if g.adjust != nil {
		g.adjust(have, &g.want)
	}
	if s.compare(have, g.want) {
		return nil
	}
	_, err := g.update(ctx, g.want, user)
	return err
}

// serverGiven are the fields that no file says, by their names in Go.
var serverGiven = []string{
	"ID", "Version", "CreatedBy", "CreatedAt", "UpdatedAt", // of most
	"Currency", "SyncJob", "PostJob", "Waiting", "SyncedAt", "CostAt", // of publisher accounts
	"RunAt", // of bidding strategies
}

// keepGiven takes from what is there the fields that the server gives.
func keepGiven[T any](have T, want *T) {
	h, w := reflect.ValueOf(have), reflect.ValueOf(want).Elem()
	for _, name := range serverGiven {
		if f := w.FieldByName(name); f.IsValid() {
			f.Set(h.FieldByName(name))
		}
	}
}

// named finds the one of a name that a document refers to, or refuses the field that
// names it.
func named[T any](all []T, field, what string, is func(T) bool) (T, error) {
	if i := slices.IndexFunc(all, is); i >= 0 {
		return all[i], nil
	}
	var none T
	return none, unnamed(field, "there is no "+what+" of this name, neither here nor in the files")
}

func unnamed(field, message string) error {
	return &activation.Error{Kind: activation.Invalid, Code: "BADREQ-001", Field: field, Message: message}
}
