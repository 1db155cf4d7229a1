package delivery_test

import (
	"context"
	"slices"
	"strings"

	"usher/internal/activation"
	"usher/internal/provider"
	"usher/internal/warehouse"
)

// What the fakes do about comparing. The network knows values and no people:
// everybody has one.

var (
	_ provider.Lister  = (*network)(nil)
	_ provider.Sizer   = (*network)(nil)
	_ warehouse.Drifts = (*plane)(nil)
)

// Members names each value as a member.
func (n *network) Members(_ context.Context, a provider.Audience, yield func(values [][]byte) error) error {
	if err := n.gate(); err != nil {
		return err
	}
	if n.asking != nil {
		n.asking()
	}
	for v := range n.holds(string(a.Remote)) {
		row := make([][]byte, len(a.Keys))
		row[slices.Index([]string{"e", "p"}, v[:1])] = []byte(v)
		if err := yield(row); err != nil {
			return err
		}
	}
	return n.sick
}

func (n *network) Size(_ context.Context, a provider.Audience) (provider.Size, error) {
	if n.asking != nil {
		n.asking()
	}
	size := n.size
	if size == (provider.Size{}) {
		size.Low = int64(len(n.holds(string(a.Remote))))
		size.High = size.Low
	}
	return size, n.sick
}

// behind changes an audience behind our back.
func (n *network) behind(remote string, remove, add []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, v := range remove {
		delete(n.audiences[remote], v)
	}
	for _, v := range add {
		n.audiences[remote][v] = true
	}
}

// drifting is what the plane keeps of the last comparison.
type drifting struct {
	rows   []warehouse.DriftRow
	values []string // of each row
}

func (p *plane) Compare(ctx context.Context, r warehouse.CompareRequest) (warehouse.Drift, error) {
	there := map[string]bool{}
	err := r.Read(ctx, func(values [][]byte) error {
		there[string(slices.Concat(values...))] = true
		return nil
	})
	if err != nil {
		return warehouse.Drift{}, err
	}
	defer p.lock()()
	d, known := warehouse.Drift{Remote: int64(len(there))}, map[string]bool{}
	p.drift = drifting{}
	for v, row := range p.ledger[r.Generation] {
		known[row.values[0]], known[row.values[1]] = row.state != "refused", row.state != "refused"
		if row.state != "in" {
			continue
		}
		if d.Ledger++; !there[row.values[0]] && !there[row.values[1]] {
			d.Missing++
			p.differs(warehouse.DriftRow{Kind: warehouse.DriftMissing, Profile: v.person, Keys: []string{"EMAIL"}}, row.values[0])
		}
	}
	for v := range there {
		if !known[v] {
			d.Extra++
			p.differs(warehouse.DriftRow{Kind: warehouse.DriftExtra, Keys: []string{"EMAIL"}}, v)
		}
	}
	return d, nil
}

func (p *plane) differs(r warehouse.DriftRow, value string) {
	r.N = int64(len(p.drift.rows) + 1)
	p.drift.rows, p.drift.values = append(p.drift.rows, r), append(p.drift.values, value)
}

func (p *plane) DriftRows(_ context.Context, _ activation.TargetID, after int64, limit int) ([]warehouse.DriftRow, error) {
	defer p.lock()()
	rows := p.drift.rows[min(int(after), len(p.drift.rows)):]
	return rows[:min(limit, len(rows))], nil
}

func (p *plane) Repair(_ context.Context, _ activation.TargetID, generation int) (missing, extra int64, err error) {
	defer p.lock()()
	for i, r := range p.drift.rows {
		value := p.drift.values[i]
		if r.Kind == warehouse.DriftMissing {
			missing++
			p.ledger[generation][version{r.Profile, p.people[r.Profile].keys}].state = "maybe"
			continue
		}
		extra++
		nobody := int64(-1 - i)
		p.people[nobody] = &human{keys: [2]string{value}}
		p.ledger[generation][version{nobody, [2]string{value}}] = &holding{state: "maybe", values: [2]string{value}}
	}
	p.drift = drifting{}
	return missing, extra, nil
}

// names joins whom the differences are about.
func names(rows []warehouse.DriftRow) string {
	var out []string
	for _, r := range rows {
		out = append(out, string(r.Kind)+" "+strings.Join(r.Keys, "+"))
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}
