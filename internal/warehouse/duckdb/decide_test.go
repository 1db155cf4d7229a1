package duckdb

import (
	"context"
	"database/sql"
	"fmt"
	"runtime"
	"testing"

	"usher/internal/activation"
	"usher/internal/warehouse"
)

// level is a world of five people and a level of two actions, a and b, numbers 2
// and 3.
func level(t *testing.T) (*world, warehouse.DecideRequest) {
	w := newWorld(t, 0)
	rules := []warehouse.Rule{{ID: worldAudience, Slug: "everyone", Text: "FILTER *"}}
	r := warehouse.DecideRequest{Now: w.now}
	for _, slug := range []string{"a", "b"} {
		id := activation.AudienceID(slug)
		rules = append(rules, warehouse.Rule{ID: id, Slug: slug, Given: true})
		r.Level = append(r.Level, id)
		r.Choices = append(r.Choices, warehouse.Choice{Audience: id, Eligible: fmt.Sprintf(`FILTER email = %q`, slug)})
	}
	for pid := int64(1); pid <= 5; pid++ {
		w.person(pid, "a", "")
	}
	w.write(`UPDATE counters SET next = 2 WHERE name = 'audience'`)
	if err := w.d.SetAudiences(t.Context(), rules, w.now); err != nil {
		t.Fatal(err)
	}
	return w, r
}

// in shows the level's members: "a:1", "b:2".
func (w *world) in() []string {
	w.t.Helper()
	var all []string
	if err := eachRow(context.Background(), w.d.sql, "list members", `SELECT audience, pid FROM membership WHERE audience IN (2, 3) ORDER BY audience, pid`, func(audience, pid int64) {
		all = append(all, fmt.Sprintf("%c:%d", 'a'+rune(audience)-2, pid))
	}); err != nil {
		w.t.Fatal(err)
	}
	return all
}

// meanwhile runs a decision about everybody and, between what it sees and what it
// writes, a write of somebody else.
func (w *world) meanwhile(r warehouse.DecideRequest, statements ...string) warehouse.Decided {
	w.t.Helper()
	type answer struct {
		sums warehouse.Decided
		err  error
	}
	decided := make(chan answer, 1)
	err := w.d.write(context.Background(), func(ctx context.Context, tx *sql.Tx) error {
		go func() {
			sums, err := w.d.Decide(context.Background(), r, nil)
			decided <- answer{sums, err}
		}()
		for w.d.waiting.Load() == 0 {
			runtime.Gosched()
		}
		if err := execAll(ctx, tx, statements...); err != nil {
			return err
		}
		return applyChanges(ctx, tx, w.now)
	})
	if err != nil {
		w.t.Fatal(err)
	}
	a := <-decided
	if a.err != nil {
		w.t.Fatal(a.err)
	}
	return a.sums
}

// TestTheLaterDecisionWins: who is decided for while a decision about everybody
// is under way keeps that; who is no more enters nothing.
func TestTheLaterDecisionWins(t *testing.T) {
	w, r := level(t)
	sums := w.meanwhile(r, `DELETE FROM profiles WHERE _pid IN (4)`,
		`CREATE OR REPLACE TEMP TABLE member_change AS SELECT 3 AS audience, 2 AS pid, 'enter' AS event UNION ALL SELECT 1, 3, 'keys'`)
	same(t, "the level", w.in(), []string{"a:1", "a:3", "a:5", "b:2"})
	if sums.Entered != 3 || sums.Considered != 5 {
		t.Errorf("decided %+v, want 3 of 5 who entered", sums)
	}
	r.Choices = r.Choices[1:] // nobody is eligible
	sums = w.meanwhile(r, `CREATE OR REPLACE TEMP TABLE member_change AS SELECT 2 AS audience, 1 AS pid, 'exit' AS event`)
	same(t, "the level", w.in(), nil)
	if sums.Left != 3 { // 1 left by the other decision
		t.Errorf("decided %+v, want 3 who left", sums)
	}
}

// TestFewAreDecidedByTheWriter: what was seen of few people is looked at again
// before they move.
func TestFewAreDecidedByTheWriter(t *testing.T) {
	w, r := level(t)
	r.Profiles = []int64{1, 2, 4}
	sums := w.meanwhile(r, `UPDATE profiles SET email = 'b' WHERE _pid = 1`, `DELETE FROM profiles WHERE _pid = 4`,
		`CREATE OR REPLACE TEMP TABLE member_change AS SELECT 3 AS audience, 2 AS pid, 'enter' AS event`)
	same(t, "the level", w.in(), []string{"a:2", "b:1"})
	if sums.Entered != 2 || sums.Left != 1 || sums.Considered != 2 {
		t.Errorf("decided %+v, want 2 of 2 who entered and one who left", sums)
	}
}

// TestALevelThatChangesIsNotWritten: nobody enters an audience that is no more.
func TestALevelThatChangesIsNotWritten(t *testing.T) {
	w, r := level(t)
	failed := make(chan error, 1)
	err := w.d.write(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
		go func() {
			_, err := w.d.Decide(context.Background(), r, nil)
			failed <- err
		}()
		for w.d.waiting.Load() == 0 {
			runtime.Gosched()
		}
		return execAll(ctx, tx, `DELETE FROM audiences WHERE n = 2`)
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := <-failed; err == nil {
		t.Error("people entered an audience that is no more")
	}
	same(t, "the level", w.in(), nil)
}
