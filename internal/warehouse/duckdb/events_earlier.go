package duckdb

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"usher/internal/activation"
	"usher/internal/warehouse"
)

// earlier is a run whose rows were queued, and of which some may be lost yet: a
// failed one may be retried weeks later, and end then with rows that nobody
// sends. It is kept until nothing more can be lost of it.
type earlier struct {
	Run activation.RunID `json:"run"`
	// Before and Until are the places in the log between which it staged.
	Before int64 `json:"before"`
	Until  int64 `json:"until"`
	// Told are the lost rows that a later queued run has, Taken those that the
	// run has that staged last, which may not have been queued.
	Told  []span `json:"told,omitempty"`
	Taken []span `json:"taken,omitempty"`
}

// span is the first and the last of some ordinals.
type span [2]int64

// spans are the ordinals of ranges, in order and in as few spans as there can be.
func spans(ranges []warehouse.Range) []span {
	out := make([]span, 0, len(ranges))
	for _, r := range ranges {
		out = append(out, span{r.First, r.Last})
	}
	return joined(out)
}

func joined(all []span) []span {
	slices.SortFunc(all, func(a, b span) int { return cmp.Compare(a[0], b[0]) })
	out := all[:0]
	for _, s := range all {
		if n := len(out); n > 0 && s[0] <= out[n-1][1]+1 {
			out[n-1][1] = max(out[n-1][1], s[1])
			continue
		}
		out = append(out, s)
	}
	return out
}

// without are the ordinals of all that are not in those of but. Both are joined.
func without(all, but []span) []span {
	var out []span
	for _, s := range all {
		for len(but) > 0 && but[0][1] < s[0] {
			but = but[1:]
		}
		for _, b := range but {
			if b[0] > s[1] {
				break
			}
			if b[0] > s[0] {
				out = append(out, span{s[0], b[0] - 1})
			}
			s[0] = b[1] + 1
		}
		if s[0] <= s[1] {
			out = append(out, s)
		}
	}
	return out
}

func size(all []span) (n int64) {
	for _, s := range all {
		n += s[1] - s[0] + 1
	}
	return n
}

// queued notes that the run that staged last was queued: it takes care of its
// events, but for some rows, and of what it took of earlier runs.
func (c *cursor) queued() {
	for i, e := range c.earlier {
		c.earlier[i].Told, c.earlier[i].Taken = joined(append(e.Told, e.Taken...)), nil
	}
	c.earlier = append(c.earlier, earlier{Run: c.run, Before: c.before, Until: c.seq})
	c.before = c.seq
}

// takeLost is the condition on seq of the rows that earlier runs will never
// send and no later one has, as far as they fit into the run; where the rows of
// a run are gone, of all that it staged. left is how many do not fit, room how
// many more would.
func (s *eventStager) takeLost(ctx context.Context) (condition string, left, room int64, err error) {
	var conditions []string
	var keep []earlier
	room = s.limit()
	for _, e := range s.cursor.earlier {
		again, err := s.again(ctx, e.Run)
		if err != nil {
			return "", 0, 0, err
		}
		e.Taken = without(spans(again.Rows), e.Told)
		if len(e.Taken) == 0 {
			if again.More {
				keep = append(keep, e)
			}
			continue
		}
		if n := size(e.Taken); len(conditions) > 0 && n > room {
			left, e.Taken = left+n, nil
		} else {
			one, err := s.lost(ctx, e)
			if err != nil {
				return "", 0, 0, err
			}
			conditions, room = append(conditions, one), room-n
		}
		keep = append(keep, e)
	}
	s.cursor.earlier = keep
	return strings.Join(conditions, " OR "), left, max(0, room), nil
}

// lost is the condition on seq of what is taken of an earlier run.
func (s *eventStager) lost(ctx context.Context, e earlier) (string, error) {
	table := stagedTable(e.Run)
	var there int64
	switch err := s.tx.QueryRowContext(ctx, `SELECT count(*) FROM `+table).Scan(&there); {
	case missingTable(err):
		return fmt.Sprintf("seq > %d AND seq <= %d OR seq IN (SELECT seq FROM waiting_events WHERE target = %s AND taken = %s)",
			e.Before, e.Until, literal(string(s.r.Target)), literal(string(e.Run))), nil
	case err != nil:
		return "", fmt.Errorf("look for staged rows: %w", scrub(ctx, err))
	}
	ranges := make([]string, len(e.Taken))
	for i, r := range e.Taken {
		ranges[i] = fmt.Sprintf("n BETWEEN %d AND %d", r[0], r[1])
	}
	return fmt.Sprintf("seq IN (SELECT o.seq FROM %s o WHERE %s)", table, strings.Join(ranges, " OR ")), nil
}

func readEarlier(text string) (out []earlier, err error) {
	if text == "" {
		return nil, nil
	}
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		return nil, fmt.Errorf("read event cursor: %w", err)
	}
	return out, nil
}

func writeEarlier(all []earlier) (string, error) {
	if len(all) == 0 {
		return "", nil
	}
	text, err := json.Marshal(all)
	return string(text), err
}
