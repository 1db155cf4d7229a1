package duckdb

import (
	"context"
	"fmt"
	"strings"

	"usher/internal/matchkey"
)

// A value of an identifier belongs to one person at a time. When profiles merge,
// or a correction parts them, it goes from one to the other, and the network still
// takes the rows of both for one member. A removal that keeps such a value back,
// because a wanted person has it now, may therefore take that person along by the
// values that it does carry.
//
// So whoever has it is sent after the removal, in phase 2: as newly added, or once
// more where the ledger has them in already. Their row is doubted meanwhile, so
// that a later run sends them when this one does not come to it.

// names returns the numbers, from 1, of the keys of a set that are made from an
// identifier.
func (s *schema) names(set matchkey.Set) (is []int) {
	for i, name := range set.Fields {
		if f, ok := s.field(name); ok && f.Rank > 0 && set.Keys[i].Identifies {
			is = append(is, i+1)
		}
	}
	return is
}

// keepers fills plan_kept with the wanted people who alone hold such a value of a
// removal. Values that several hold tell of no one.
func (p *planner) keepers(ctx context.Context) error {
	if err := p.exec(ctx, "create plan_kept", `CREATE OR REPLACE TEMP TABLE plan_kept (pid BIGINT)`); err != nil {
		return err
	}
	for _, i := range p.names {
		if err := p.exec(ctx, "find who keeps a value", `INSERT INTO plan_kept SELECT any_value(k.pid) FROM %[1]s k
			JOIN (SELECT DISTINCT o.k%[2]d AS v FROM plan_old o JOIN plan_remove r ON r.pid = o.pid AND r.fp = o.fp
				WHERE o.k%[2]d IS NOT NULL AND r.k%[2]d IS NULL AND (%[3]s)) s ON s.v = k.k%[2]d
			WHERE k.pid IN %[4]s GROUP BY k.k%[2]d HAVING count(*) = 1`,
			p.present, i, p.keys.each("r.k%d IS NOT NULL", " OR "), p.members()); err != nil {
			return err
		}
	}
	return nil
}

// awaitKept defers the members who hold an identifier that a removal kept back
// whose answer the network still owes, as awaitValues does those of the values
// that it carries.
func (p *planner) awaitKept(ctx context.Context, staged string) error {
	sets, err := p.numbers(ctx, `SELECT DISTINCT keyset FROM `+staged+` AND op = 'remove' AND held <> 0`)
	if err != nil {
		return err
	}
	for _, n := range sets {
		was := p.sets[n]
		for _, i := range p.names {
			c := was.column(p.keys.columns[i-1].Name)
			if c == 0 {
				continue
			}
			if err := p.exec(ctx, "list holders of values kept back", `INSERT INTO plan_awaiting SELECT DISTINCT k.pid FROM %[1]s k
				JOIN (SELECT DISTINCT v.k%[2]d AS v FROM (SELECT pid, version FROM %[3]s AND op = 'remove' AND keyset = %[4]d AND held & %[5]d <> 0) s
					JOIN (%[6]s) v ON v.pid = s.pid AND v.version = s.version) o ON o.v = k.k%[7]d WHERE k.pid IN %[8]s`,
				p.present, c, staged, n, bit(c), was.versions(c), i, p.members()); err != nil {
				return err
			}
		}
	}
	return nil
}

// versions is all versions of a key of the set, as SQL.
func (s keySet) versions(i int) string {
	var parts []string
	for _, table := range []string{s.table(), s.oldTable()} {
		parts = append(parts, fmt.Sprintf(`SELECT pid, version, k%d FROM %s`, i, table))
	}
	return strings.Join(parts, " UNION ALL ")
}
