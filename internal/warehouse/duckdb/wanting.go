package duckdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"usher/internal/activation"
	"usher/internal/warehouse"
)

// wanting says who of an audience's members is wanted, leaving aside beginnings
// and limits. staged_wants keeps it for the staged rows of a run, so that a
// recheck asks the same question again.
type wanting struct {
	audience int // 0 = nobody
	// without are the audiences whose members are not wanted.
	without []int
	holdout *warehouse.Holdout
}

func (w wanting) choosy() bool { return len(w.without) > 0 || w.holdout != nil }

// all is the members, wanted or not, as SQL.
func (w wanting) all() string {
	return fmt.Sprintf(`(SELECT pid FROM membership WHERE audience = %d)`, w.audience)
}

// condition is that a member is wanted, as SQL over a column pid.
func (w wanting) condition() string {
	return fmt.Sprintf(`pid NOT IN (%s) AND NOT %s`, membersOf(w.without), heldOut("pid", w.holdout))
}

// membersOf selects the members of any of these audiences, as SQL.
func membersOf(audiences []int) string {
	if len(audiences) == 0 {
		return `SELECT NULL::BIGINT WHERE false`
	}
	return fmt.Sprintf(`SELECT pid FROM membership WHERE audience IN (%s)`, joinNumbers(audiences))
}

func joinNumbers(ns []int) string {
	var list []string
	for _, n := range ns {
		list = append(list, strconv.Itoa(n))
	}
	return strings.Join(list, ", ")
}

// holdoutParts is how finely a holdout divides people: hundredths of a percent.
const holdoutParts = 10_000

// heldOut is the condition, in SQL, that a holdout keeps a person out. The first
// eight bytes of the MD5 of "salt/profile id", as a little-endian number modulo
// holdoutParts, are the person's place for good, whatever the share is.
func heldOut(pid string, h *warehouse.Holdout) string {
	if h == nil {
		return `false`
	}
	return fmt.Sprintf(`(md5_number_upper(%s || %s) %% %d < %d)`, literal(h.Salt+"/"), pid, holdoutParts, holdoutShare(h.Percent))
}

func holdoutShare(percent float64) int {
	return int(math.Round(min(max(percent, 0), 100) * holdoutParts / 100))
}

// watch finds the audiences that a plan looks at. The change number is the
// highest of any of them, read at once: changes are numbered in the order in
// which they are committed.
func (d *DB) watch(ctx context.Context, r warehouse.PlanRequest) (w wanting, above []int, seq int64, err error) {
	numbers, seqs, err := d.audienceNumbers(ctx)
	if err != nil {
		return w, nil, 0, err
	}
	find := func(id activation.AudienceID) (n int) {
		n, known := numbers[id]
		if !known {
			err = errors.Join(err, fmt.Errorf("audience %q: %w", id, activation.ErrNotFound))
		}
		seq = max(seq, seqs[id])
		return n
	}
	if r.Nobody {
		return wanting{}, nil, seqs[r.Audience], nil
	}
	if _, known := numbers[r.Audience]; r.Forget && !known {
		return wanting{}, nil, 0, nil // nobody is in what is gone
	}
	w = wanting{audience: find(r.Audience), holdout: r.Holdout}
	for _, id := range r.Exclude {
		w.without = append(w.without, find(id))
	}
	for _, id := range r.Above {
		above = append(above, find(id))
	}
	w.without = slices.Concat(w.without, above)
	return w, above, seq, err
}

// audienceNumbers returns the number and the highest change of every audience.
func (d *DB) audienceNumbers(ctx context.Context) (numbers map[activation.AudienceID]int, seqs map[activation.AudienceID]int64, err error) {
	rows, err := d.sql.QueryContext(ctx, `SELECT id, n, seq FROM audiences`)
	if err != nil {
		return nil, nil, fmt.Errorf("read audiences: %w", scrub(ctx, err))
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	numbers, seqs = map[activation.AudienceID]int{}, map[activation.AudienceID]int64{}
	for rows.Next() {
		var id activation.AudienceID
		var n int
		var seq int64
		if err := rows.Scan(&id, &n, &seq); err != nil {
			return nil, nil, fmt.Errorf("read audiences: %w", scrub(ctx, err))
		}
		numbers[id], seqs[id] = n, seq
	}
	if err := rows.Err(); err != nil {
		return nil, nil, fmt.Errorf("read audiences: %w", scrub(ctx, err))
	}
	return numbers, seqs, nil
}

// keep writes down, in the transaction that stages the rows, whom a run wants.
func (w wanting) keep(ctx context.Context, tx *sql.Tx, run activation.RunID) error {
	if _, err := exec(ctx, tx, "forget whom a run wanted", `DELETE FROM staged_wants WHERE run = $1`, string(run)); err != nil || !w.choosy() {
		return err
	}
	var h warehouse.Holdout
	if w.holdout != nil {
		h = *w.holdout
	}
	_, err := exec(ctx, tx, "keep whom a run wants", `INSERT INTO staged_wants VALUES ($1, $2, $3, $4)`,
		string(run), joinNumbers(w.without), holdoutShare(h.Percent), h.Salt)
	return err
}

// stagedWants reads whom of an audience's members a staged run wanted.
func stagedWants(ctx context.Context, q queryer, run activation.RunID, audience int) (wanting, error) {
	w := wanting{audience: audience}
	var without string
	var share int
	var h warehouse.Holdout
	err := q.QueryRowContext(ctx, `SELECT without, holdout, salt FROM staged_wants WHERE run = $1`, string(run)).Scan(&without, &share, &h.Salt)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return w, nil
	case err != nil:
		return w, fmt.Errorf("read whom a run wants: %w", scrub(ctx, err))
	}
	for n := range strings.SplitSeq(without, ", ") {
		if n == "" {
			continue
		}
		i, err := strconv.Atoi(n)
		if err != nil {
			return w, fmt.Errorf("read whom a run wants: %w", err)
		}
		w.without = append(w.without, i)
	}
	if share > 0 {
		h.Percent = float64(share) * 100 / holdoutParts
		w.holdout = &h
	}
	return w, nil
}
