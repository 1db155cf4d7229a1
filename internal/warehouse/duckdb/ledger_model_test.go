package duckdb

import (
	"crypto/md5" //nolint:gosec // no secret
	"encoding/binary"
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
	// replacing: the run replaces all members.
	replacing bool
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

// modelWishes say whom of the members a run does not want.
type modelWishes struct {
	heldOut, excluded, outranked map[int64]bool
}

// wanted is the members less those; each counts once.
func (w modelWishes) wanted(members map[int64]values) (wanted map[int64]values, c activation.Counts) {
	wanted = map[int64]values{}
	for pid, now := range members {
		c.Selected++
		switch {
		case w.heldOut[pid]:
			c.HeldOut++
		case w.excluded[pid] || w.outranked[pid]:
			c.Excluded++
			if w.outranked[pid] {
				c.Outranked++
			}
		default:
			c.Eligible++
			wanted[pid] = now
		}
	}
	return wanted, c
}

// place is where a person is in a holdout, out of 10,000.
func place(salt string, pid int64) int {
	h := md5.Sum(fmt.Appendf(nil, "%s/%d", salt, pid)) //nolint:gosec // no secret
	return int(binary.LittleEndian.Uint64(h[:8]) % 10_000)
}

// others are those whom a run that moves keys alone has nothing to do with,
// besides those who await.
func (l modelLedger) others(wanted map[int64]values, awaiting map[int64]bool) map[int64]bool {
	all := maps.Clone(awaiting)
	for pid, now := range wanted {
		all[pid] = all[pid] || len(now) == 0 || !l.holds(pid)
	}
	for _, row := range l {
		if _, is := wanted[row.pid]; !is {
			all[row.pid] = true
		}
	}
	return all
}

// replace plans a run that replaces all members.
func (l modelLedger) replace(wanted map[int64]values, c activation.Counts) modelPlan {
	p := modelPlan{counts: c}
	staged, dropped := map[int64]bool{}, map[int64]bool{}
	for pid, now := range wanted {
		if len(now) == 0 {
			p.counts.Omitted++
			continue
		}
		staged[pid] = true
		p.counts.Add++
		p.counts.Staged++
		if row := l[rowKey(pid, now)]; row != nil && row.state == stateIn {
			p.counts.InBefore++
		}
		p.rows = append(p.rows, modelStaged{1, activation.OpAdd, true, pid, now, now, true})
	}
	for _, row := range l {
		if l.holds(row.pid) && !staged[row.pid] {
			dropped[row.pid] = true
		}
	}
	p.counts.Remove = int64(len(dropped))
	return p
}

// replaced drops what a run that is through did not bring to the network.
func (l modelLedger) replaced(staged []modelStaged) (left int64) {
	sent := map[string]bool{}
	for _, s := range staged {
		sent[rowKey(s.pid, s.all)] = true
	}
	held := map[int64]bool{}
	for key, row := range l {
		held[row.pid] = held[row.pid] || l.holds(row.pid)
		if !sent[key] || (row.state == stateMaybe && row.at == doubted) {
			delete(l, key)
		}
	}
	for pid, before := range held {
		if before && !l.holds(pid) {
			left++
		}
	}
	return left
}

// doubt is what is left of a replacement that was cut.
func (l modelLedger) doubt() {
	for _, row := range l {
		if row.state == stateIn {
			row.state = stateMaybe
		}
	}
}

// plan decides per person, first match wins.
func (l modelLedger) plan(members map[int64]values, counted activation.Counts, awaiting map[int64]bool, refreshBefore int64) modelPlan {
	p := modelPlan{counts: counted}
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
		p.rows = append(p.rows, modelStaged{1, activation.OpRemove, !usable && row.state != stateShared && full, row.pid, row.all, sends, false})
	}
	c := &p.counts
	for pid, now := range members {
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
			p.rows = append(p.rows, modelStaged{2, activation.OpReadd, !l.holds(pid), pid, now, now, false})
		default:
			c.Add++
			p.rows = append(p.rows, modelStaged{1, activation.OpAdd, !l.holds(pid), pid, now, now, false})
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
	c.Remove, c.Staged = int64(len(leaving)), int64(len(p.rows))
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
	case s.replacing && row != nil && row.state != stateRefused && (outcome == activation.Rejected || outcome == activation.Superseded):
		row.state, row.at = stateMaybe, doubted
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

// replace makes it hold these rows and no others.
func (n *modelNetwork) replace(rows []modelStaged) {
	n.rows, n.held = map[string]values{}, map[string]bool{}
	for _, s := range rows {
		n.apply(s)
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
