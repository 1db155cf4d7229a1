package duckdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"usher/internal/activation"
	"usher/internal/matchkey"
	"usher/internal/warehouse"
)

// Explain looks one person up in one snapshot. It asks the questions of a plan
// (reach.go, wanting.go) for a single profile, computes the keys afresh, and reads
// staged rows by the person; whoever was merged into them counts as them. A key
// set or a target that no plan declared yet has no rows, and nothing is declared.
func (d *DB) Explain(ctx context.Context, r warehouse.PlanRequest, profile int64, runs []activation.RunID) (warehouse.Person, error) {
	e := &explainer{d: d, r: r, person: warehouse.Person{Profile: profile}}
	err := d.onOwnConnection(ctx, func(conn *sql.Conn) error {
		return inTx(ctx, conn, func(tx *sql.Tx) error {
			e.tx = tx
			return e.explain(ctx, runs)
		})
	})
	return e.person, err
}

// explainer looks one person up.
type explainer struct {
	d      *DB
	tx     *sql.Tx
	r      warehouse.PlanRequest
	person warehouse.Person

	them     string // the profile id and those that were merged into it, as a list in SQL
	audience int    // 0 = none
	fp       matchkey.Fingerprint
}

func (e *explainer) explain(ctx context.Context, runs []activation.RunID) error {
	merged, err := texts(ctx, e.tx, "find who was merged", `SELECT CAST(old AS VARCHAR) FROM profile_merges WHERE pid = $1`, e.person.Profile)
	if err != nil {
		return err
	}
	e.them = strings.Join(append(merged, fmt.Sprint(e.person.Profile)), ", ")
	for _, step := range []func(context.Context) error{e.messages, e.membership, e.keys, e.ledger} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	for _, run := range runs {
		if err := e.staged(ctx, run); err != nil {
			return err
		}
	}
	return nil
}

// messages counts what each stream told of the person.
func (e *explainer) messages(ctx context.Context) error {
	for _, st := range e.d.state.snapshot().sortedStreams() {
		if st.ReferenceKey != "" {
			continue
		}
		told := warehouse.PersonStream{Stream: st.Name}
		var last, received int64
		if err := queryRow(ctx, e.tx, "count messages", fmt.Sprintf(`SELECT count(*), coalesce(max(_time), 0), coalesce(max(_received), 0) FROM %s WHERE _pid IN (%s)`, st.table(), e.them),
			nil, &told.Messages, &last, &received); err != nil {
			return err
		}
		if told.Messages > 0 {
			told.LastTime, told.LastReceived = moment(last), moment(received)
			e.person.Messages = append(e.person.Messages, told)
		}
	}
	return nil
}

// moment is a stored time; zero and what is no time is none.
func moment(micros int64) time.Time {
	if micros <= 0 {
		return time.Time{}
	}
	return time.UnixMicro(micros).UTC()
}

// membership tells whether the person is a member, and why not wanted.
func (e *explainer) membership(ctx context.Context) (err error) {
	if e.r.Audience == "" {
		return nil
	}
	e.audience, _, err = audienceNumber(ctx, e.tx, e.r.Audience)
	if errors.Is(err, activation.ErrNotFound) {
		return nil // nobody is in what is gone
	}
	if err != nil {
		return err
	}
	in, err := e.inside(ctx, []activation.AudienceID{e.r.Audience})
	if err != nil {
		return err
	}
	e.person.Member = len(in) > 0
	var changed int64
	if err := queryRow(ctx, e.tx, "find the last change of a member", fmt.Sprintf(`SELECT coalesce(arg_max(changed_at, seq), 0) FROM membership_changes
		WHERE audience = %d AND pid IN (%s) AND event = '%s'`, e.audience, e.them, map[bool]string{true: "enter", false: "exit"}[e.person.Member]), nil, &changed); err != nil {
		return err
	}
	e.person.Changed = moment(changed)
	if !e.person.Member {
		return nil
	}
	if err := queryRow(ctx, e.tx, "look at the holdout", `SELECT `+heldOut(fmt.Sprint(e.person.Profile), e.r.Holdout), nil, &e.person.HeldOut); err != nil {
		return err
	}
	if e.person.ExcludedBy, err = e.inside(ctx, e.r.Exclude); err != nil {
		return err
	}
	e.person.OutrankedBy, err = e.inside(ctx, e.r.Above)
	return err
}

// inside lists those of some audiences that the person is in, in their order.
func (e *explainer) inside(ctx context.Context, of []activation.AudienceID) (in []activation.AudienceID, err error) {
	if len(of) == 0 {
		return nil, nil
	}
	ids, err := texts(ctx, e.tx, "find audiences of a person", `SELECT a.id FROM audiences a JOIN membership m ON m.audience = a.n WHERE m.pid = $1`, e.person.Profile)
	for _, id := range of {
		if slices.Contains(ids, string(id)) {
			in = append(in, id)
		}
	}
	return in, err
}

// keys computes the person's keys as the next plan would.
func (e *explainer) keys(ctx context.Context) error {
	sources, err := keySources(e.d.state.snapshot(), e.r.Keys)
	if err != nil {
		return err
	}
	raw, dest := make([]sql.NullString, len(sources)), make([]any, len(sources))
	values := make([]string, len(sources))
	for i := range raw {
		dest[i] = &raw[i]
	}
	if len(sources) == 0 {
		return nil
	}
	err = e.tx.QueryRowContext(ctx, fmt.Sprintf(`SELECT %s FROM profiles p WHERE p._pid = %d`, strings.Join(sources, ", "), e.person.Profile)).Scan(dest...)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return fmt.Errorf("profile %d: %w", e.person.Profile, activation.ErrNotFound)
	case err != nil:
		return fmt.Errorf("read key sources: %w", scrub(ctx, err))
	}
	for i, v := range raw {
		values[i] = v.String
	}
	out := make([][]byte, len(values))
	each := eachEnough(e.r.Keys)
	each.Compute(values, out, nil)
	for i, k := range e.r.Keys.Keys {
		e.person.Keys = append(e.person.Keys, warehouse.PersonKey{Name: k.Name, Field: e.r.Keys.Fields[i], Present: out[i] != nil, HasValue: values[i] != "", Identifies: k.Identifies})
	}
	e.fp, _ = e.r.Keys.Compute(values, out, nil)
	e.person.Usable = e.fp != matchkey.Fingerprint{}
	return nil
}

// ledger reads the person's rows at the target.
func (e *explainer) ledger(ctx context.Context) (err error) {
	t, err := findTarget(ctx, e.tx, e.r.Target)
	if errors.Is(err, activation.ErrNotFound) {
		e.person.Begun = e.r.Begun != "" && e.person.Member
		return nil
	}
	if err != nil {
		return err
	}
	present, err := findKeySet(ctx, e.tx, e.r.Keys.ID)
	if err != nil && !errors.Is(err, activation.ErrNotFound) {
		return err
	}
	fp := present.fingerprint(e.fp)
	rows, err := e.tx.QueryContext(ctx, fmt.Sprintf(`SELECT state, coalesce(code, ''), keyset = $1 AND fp = CAST($2 AS UUID), delivered_at FROM %s
		WHERE generation = $3 AND pid IN (%s) ORDER BY delivered_at DESC, version DESC`, t.table(), e.them), present.n, textOf(fp), e.r.Generation)
	if err != nil {
		return fmt.Errorf("read the ledger: %w", scrub(ctx, err))
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	holds := false
	for rows.Next() {
		var row warehouse.PersonLedger
		var delivered int64
		if err := rows.Scan(&row.State, &row.Code, &row.Current, &delivered); err != nil {
			return fmt.Errorf("read the ledger: %w", scrub(ctx, err))
		}
		row.DeliveredAt = moment(delivered)
		holds = holds || row.State == stateIn || row.State == stateMaybe
		e.person.Ledger = append(e.person.Ledger, row)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read the ledger: %w", scrub(ctx, err))
	}
	if e.r.Begun == "" || !e.person.Member || holds {
		return nil
	}
	return e.begun(ctx, t)
}

// textOf is a fingerprint as the database writes it.
func textOf(fp matchkey.Fingerprint) string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", fp[0:4], fp[4:6], fp[6:8], fp[8:10], fp[10:16])
}

// begun tells whether the person was there when the job began and has not left.
// A beginning that is not written down yet is now.
func (e *explainer) begun(ctx context.Context, t target) error {
	p := planner{tx: e.tx, target: t, begun: e.r.Begun}
	seq, err := p.beginning(ctx)
	if err != nil || seq == noBeginning {
		e.person.Begun = err == nil
		return err
	}
	return queryRow(ctx, e.tx, "look at the beginning", fmt.Sprintf(`SELECT count(*) > 0 FROM %s WHERE pid = %d AND pid NOT IN (
		SELECT pid FROM membership_changes WHERE seq > %d AND audience = %d AND event = 'exit')`, t.baseline(), e.person.Profile, seq, e.audience), nil, &e.person.Begun)
}

// staged finds the person's rows of a run. A run whose rows are gone has none.
func (e *explainer) staged(ctx context.Context, run activation.RunID) (err error) {
	rows, err := e.tx.QueryContext(ctx, fmt.Sprintf(`SELECT n, op, phase FROM %s WHERE pid IN (%s) AND n IS NOT NULL ORDER BY n`, stagedTable(run), e.them))
	if missingTable(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read staged rows: %w", scrub(ctx, err))
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		s := warehouse.PersonStaged{Run: run}
		if err := rows.Scan(&s.Ordinal, &s.Op, &s.Phase); err != nil {
			return fmt.Errorf("read staged rows: %w", scrub(ctx, err))
		}
		e.person.Staged = append(e.person.Staged, s)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read staged rows: %w", scrub(ctx, err))
	}
	return nil
}

// eachEnough is a set of which each key is enough for all others to come out.
func eachEnough(set matchkey.Set) matchkey.Set {
	set.Keys = slices.Clone(set.Keys)
	for i := range set.Keys {
		set.Keys[i].Identifies = true
	}
	return set
}
