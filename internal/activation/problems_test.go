package activation

import (
	"errors"
	"testing"
)

func TestProblems(t *testing.T) {
	var p Problems
	if err := p.Err(); err != nil {
		t.Fatalf("nothing is wrong, and the error is %v", err)
	}
	p.Add("BADREQ-001", "name", "is needed")
	p.Add("BADREQ-001", "priority", "must be at most %d", 10)
	err := p.Err()
	var whole *Error
	if !errors.As(err, &whole) || KindOf(err) != Invalid || CodeOf(err) != "BADREQ-001" || whole.Field != "name" {
		t.Errorf("the error of the whole is %#v", whole)
	}
	if got, want := SafeMessage(err), "name: is needed; priority: must be at most 10"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	var many interface{ Each() []*Error }
	if !errors.As(err, &many) || len(many.Each()) != 2 || many.Each()[1].Field != "priority" {
		t.Errorf("the wrong fields can't be told apart: %v", err)
	}
}
