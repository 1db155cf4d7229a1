package duckdb

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"usher/internal/activation"
)

// modelLedger is the protocol once more, in plain Go over sets of texts, to
// judge plans and folds by. It knows people by number and values as "EMAIL a".
type modelLedger map[string]*modelRow // by person and version of keys

type modelRow struct {
	pid       int64
	all       values // what the version's keys are
	remaining values // what the network may still hold of it
	state     string
	at        int64
}

// values is a sorted list of identifying values.
type values []string

func (v values) key() string { return strings.Join(v, ",") }

func (v values) minus(other map[string]bool) values {
	var out values
	for _, x := range v {
		if !other[x] {
			out = append(out, x)
		}
	}
	return out
}

func (v values) set() map[string]bool {
	m := map[string]bool{}
	for _, x := range v {
		m[x] = true
	}
	return m
}

func rowKey(pid int64, v values) string { return fmt.Sprintf("%d|%s", pid, v.key()) }

// modelStaged is one staged row.
type modelStaged struct {
	phase int
	op    activation.Op
	plain bool
	pid   int64
	all   values
	sends values
}

func (s modelStaged) String() string {
	return fmt.Sprintf("%d %s %t %d %s", s.phase, s.op, s.plain, s.pid, s.sends.key())
}

type modelPlan struct {
	rows   []modelStaged
	counts activation.Counts
}

// holds reports whether the network may have the person under any keys.
func (l modelLedger) holds(pid int64) bool {
	for _, row := range l {
		if row.pid == pid && (row.state == stateIn || row.state == stateMaybe) {
			return true
		}
	}
	return false
}

// plan decides per person, first match wins.
func (l modelLedger) plan(members map[int64]values, awaiting map[int64]bool, refreshBefore int64) modelPlan {
	var p modelPlan
	wanted := map[string]bool{} // values that a wanted person holds
	for _, v := range members {
		maps.Copy(wanted, v.set())
	}
	moved, removing := map[int64]bool{}, map[int64]bool{}
	for _, row := range l {
		now, member := members[row.pid]
		if awaiting[row.pid] || (member && now.key() == row.all.key()) || row.state == stateRefused {
			continue
		}
		usable := member && len(now) > 0
		sends := row.remaining.minus(wanted)
		if usable && (len(sends) > 0 || row.state != stateShared) {
			moved[row.pid] = true
		}
		if len(sends) == 0 {
			continue
		}
		removing[row.pid] = true
		full := len(row.remaining) == len(row.all)
		p.rows = append(p.rows, modelStaged{1, activation.OpRemove, !usable && row.state != stateShared && full, row.pid, row.all, sends})
	}
	c := &p.counts
	for pid, now := range members {
		c.Selected++
		row := l[rowKey(pid, now)]
		switch {
		case awaiting[pid]:
			c.Deferred++
		case len(now) == 0, row != nil && row.state == stateRefused:
			c.Omitted++
		case row != nil && row.state == stateIn && row.at >= refreshBefore && !removing[pid]:
			c.Unchanged++
		case moved[pid]:
			c.Update++
			p.rows = append(p.rows, modelStaged{2, activation.OpReadd, !l.holds(pid), pid, now, now})
		default:
			c.Add++
			p.rows = append(p.rows, modelStaged{1, activation.OpAdd, !l.holds(pid), pid, now, now})
		}
	}
	leaving := map[int64]bool{}
	for _, s := range p.rows {
		if s.op == activation.OpRemove && s.plain {
			leaving[s.pid] = true
		}
		if row := l[rowKey(s.pid, s.all)]; row != nil && row.state == stateIn {
			c.InBefore++
		}
	}
	c.Eligible, c.Remove, c.Staged = c.Selected, int64(len(leaving)), int64(len(p.rows))
	return p
}

// tidy drops what a plan found to say nothing any more, and doubts what nobody
// protects any more.
func (l modelLedger) tidy(members map[int64]values, awaiting map[int64]bool) {
	for key, row := range l {
		now, member := members[row.pid]
		if awaiting[row.pid] || (member && now.key() == row.all.key()) {
			continue
		}
		present := l[rowKey(row.pid, now)]
		covered := member && len(now) > 0 && present != nil && present.state == stateIn && len(row.remaining.minus(now.set())) == 0
		if row.state == stateRefused || covered {
			delete(l, key)
		}
	}
	for _, row := range l {
		if now, member := members[row.pid]; row.state == stateIn && (!member || now.key() != row.all.key()) {
			row.at = doubted
		}
	}
}

// fold moves one row over its receipt.
func (l modelLedger) fold(s modelStaged, outcome activation.Outcome, at int64) {
	key := rowKey(s.pid, s.all)
	row := l[key]
	adds := s.op != activation.OpRemove
	switch {
	case outcome == activation.Accepted && adds:
		l[key] = &modelRow{s.pid, s.all, s.all, stateIn, at}
	case outcome == activation.Accepted:
		row.state, row.remaining, row.at = stateShared, row.remaining.minus(s.sends.set()), at
		if len(row.remaining) == 0 {
			delete(l, key)
		}
	case outcome == activation.Unknown && adds:
		l[key] = &modelRow{s.pid, s.all, s.all, stateMaybe, at}
	case outcome == activation.Unknown:
		row.state, row.at = stateMaybe, at
	case outcome == activation.Rejected && adds && row == nil:
		l[key] = &modelRow{s.pid, s.all, s.all, stateRefused, at}
	}
}

func (l modelLedger) String() string {
	var lines []string
	for _, r := range l {
		lines = append(lines, fmt.Sprintf("%d %s %s", r.pid, r.state, r.remaining.key()))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// modelNetwork is a far side that keeps every row it was given and takes away
// whatever shares any value with a removal.
type modelNetwork struct {
	rows map[string]values
	// held is the same far side as a set of single values.
	held map[string]bool
}

func newModelNetwork() *modelNetwork {
	return &modelNetwork{rows: map[string]values{}, held: map[string]bool{}}
}

func (n *modelNetwork) apply(s modelStaged) {
	if s.op != activation.OpRemove {
		n.rows[s.sends.key()] = s.sends
		maps.Copy(n.held, s.sends.set())
		return
	}
	gone := s.sends.set()
	for key, row := range n.rows {
		if len(row.minus(gone)) < len(row) {
			delete(n.rows, key)
		}
	}
	for v := range gone {
		delete(n.held, v)
	}
}

// differs says how the far side differs from who is wanted; refused people
// may be missing.
func (n *modelNetwork) differs(members map[int64]values, l modelLedger) string {
	may, must := map[string]bool{}, map[string]bool{}
	for pid, v := range members {
		maps.Copy(may, v.set())
		if row := l[rowKey(pid, v)]; len(v) > 0 && (row == nil || row.state != stateRefused) {
			maps.Copy(must, v.set())
			if _, ok := n.rows[v.key()]; !ok {
				return fmt.Sprintf("person %d with %s is not there", pid, v.key())
			}
		}
	}
	for v := range n.held {
		if !may[v] {
			return fmt.Sprintf("%s is there and nobody wanted has it", v)
		}
	}
	for v := range must {
		if !n.held[v] {
			return fmt.Sprintf("%s is not there and somebody wanted has it", v)
		}
	}
	for _, row := range n.rows {
		if len(row.minus(may)) > 0 {
			return fmt.Sprintf("row %s holds what nobody wanted has", row.key())
		}
	}
	return ""
}
