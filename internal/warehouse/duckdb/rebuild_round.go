package duckdb

import (
	"context"
	"fmt"
	"strings"
)

// A round brings into the tables beside the live ones what merges did since the
// last: messages that came, messages that were taken back (their owners are
// resolved and derived anew from all their messages), and reference rows that
// changed. It is resolved by the same rules as a slice, against identifiers_next:
// on the rebuild's connection a temporary table hides the live identifiers.

// catchUp makes rounds until little is left.
func (r *rebuild) catchUp(ctx context.Context) error {
	for range mostRounds {
		came, err := r.round(ctx)
		if err != nil || came <= littleLeft {
			return err
		}
	}
	return nil
}

// round returns how much it caught up.
func (r *rebuild) round(ctx context.Context) (came int64, err error) {
	from := r.upTo
	to, err := readCounters(ctx, r.conn)
	if err != nil || to.message == from.message {
		return 0, err
	}
	if err := r.readSchema(); err != nil {
		return 0, err
	}
	if err := r.collect(ctx, from.message, to.message); err != nil {
		return 0, err
	}
	res := &resolver{q: r.conn, sc: r.sc, newIDs: r.newIDs, stored: "identifiers_next", load: func(ctx context.Context) error {
		return r.linkRound(ctx, from.message, to.message)
	}}
	if _, _, err := res.resolve(ctx); err != nil {
		return 0, err
	}
	if err := r.again(ctx); err != nil {
		return 0, err
	}
	if err := r.settle(ctx); err != nil {
		return 0, err
	}
	if err := r.deriveSome(ctx, `g.pid IN (SELECT pid FROM again)`); err != nil {
		return 0, err
	}
	r.upTo = to
	return to.message - from.message, dropTemporary(ctx, r.conn)
}

// collect fills dirty from the log of one round.
func (r *rebuild) collect(ctx context.Context, from, to int64) error {
	return r.each(ctx, "read what merges did",
		fmt.Sprintf(`CREATE OR REPLACE TEMP TABLE told AS SELECT kind, stream, seq, key FROM rebuild_log WHERE told_at >= %d AND told_at < %d`, from, to),
		`CREATE OR REPLACE TEMP TABLE dirty AS SELECT DISTINCT o.pid FROM message_owners_next o WHERE o.seq IN (SELECT seq FROM told WHERE kind = 'lost')`,
		`DELETE FROM message_owners_next WHERE seq IN (SELECT seq FROM told WHERE kind = 'lost')`)
}

// linkRound fills link and identifiers from the messages of one round and those of
// dirty profiles.
func (r *rebuild) linkRound(ctx context.Context, from, to int64) error {
	if err := r.each(ctx, "link messages", `CREATE OR REPLACE TEMP TABLE link AS `+noLinks); err != nil {
		return err
	}
	for _, st := range r.sc.sortedStreams() {
		for _, of := range []messages{
			{from: st.table() + ` m`, where: fmt.Sprintf(`m._seq >= %d AND m._seq < %d`, from, to)},
			{from: st.table() + ` m JOIN message_owners_next g ON g.seq = m._seq`, where: `g.pid IN (SELECT pid FROM dirty)`},
		} {
			if err := r.link(ctx, st, of); err != nil {
				return err
			}
		}
	}
	return r.known(ctx)
}

// known fills identifiers with whose the linked values are. What the tables beside
// do not know, or must resolve anew, keeps the id that it has in the live ones,
// unless somebody else has it beside.
func (r *rebuild) known(ctx context.Context) error {
	return r.each(ctx, "look up identifiers",
		fmt.Sprintf(`CREATE OR REPLACE TEMP TABLE lives AS SELECT i.key, i.pid FROM %s.main.identifiers i WHERE i.key IN (SELECT key FROM link)`, quote(r.live)),
		`DELETE FROM lives WHERE pid IN (SELECT pid FROM identifiers_next WHERE pid IN (SELECT pid FROM lives) AND pid NOT IN (SELECT pid FROM dirty))`,
		`CREATE OR REPLACE TEMP TABLE identifiers AS SELECT k.key,
			CASE WHEN n.pid IS NOT NULL AND n.pid NOT IN (SELECT pid FROM dirty) THEN n.pid ELSE coalesce(l.pid, n.pid) END AS pid
			FROM (SELECT DISTINCT key FROM link) k LEFT JOIN identifiers_next n ON n.key = k.key LEFT JOIN lives l ON l.key = k.key`,
		// Who was forgotten meanwhile may have been one with others here: they get ids of their own.
		`DELETE FROM identifiers WHERE pid IS NULL OR pid IN (SELECT pid FROM forgotten)`,
		`INSERT INTO dirty SELECT DISTINCT pid FROM lives WHERE pid IN (SELECT pid FROM identifiers) AND pid NOT IN (SELECT pid FROM dirty)`)
}

// again collects the profiles to derive anew: those that the round's messages are
// of, and those that look up a row that changed.
func (r *rebuild) again(ctx context.Context) error {
	if err := r.each(ctx, "choose profiles", `CREATE OR REPLACE TEMP TABLE again AS
		SELECT pid FROM msg UNION SELECT pid FROM moved WHERE pid IS NOT NULL`); err != nil {
		return err
	}
	var keys int64
	if err := queryRow(ctx, r.conn, "choose profiles", `SELECT count(*) FROM told WHERE kind = 'key'`, nil, &keys); err != nil || keys == 0 {
		return err
	}
	for _, st := range r.sc.sortedStreams() {
		m := r.compiled[st.Name]
		var terms []string
		for _, l := range m.lookups {
			terms = append(terms, fmt.Sprintf(`trim(%s) IN (SELECT key FROM told WHERE kind = 'key' AND stream = %d)`, l.key, r.sc.streams[l.stream].n))
		}
		if len(terms) == 0 {
			continue
		}
		// The owner may be one whom this round merges into another.
		if err := r.each(ctx, "choose profiles", fmt.Sprintf(`INSERT INTO again SELECT DISTINCT coalesce(v.pid, g.pid)
			FROM %s m JOIN message_owners_next g ON g.seq = m._seq LEFT JOIN moved v ON v.old = g.pid%s WHERE %s`,
			st.table(), m.joins(), strings.Join(terms, " OR "))); err != nil {
			return err
		}
	}
	return nil
}

// settle brings the tables beside in step with what resolve found, and takes out
// the profiles that are derived anew.
func (r *rebuild) settle(ctx context.Context) error {
	if r.compared.message > 0 {
		if err := r.each(ctx, "note what to compare",
			`INSERT INTO check_messages SELECT seq FROM msg UNION SELECT seq FROM message_owners_next WHERE pid IN (SELECT old FROM moved WHERE pid IS DISTINCT FROM old)`,
			`INSERT INTO check_people SELECT pid FROM again UNION SELECT old FROM moved UNION SELECT pid FROM dirty`); err != nil {
			return err
		}
	}
	if err := r.settleCapped(ctx); err != nil {
		return err
	}
	return r.each(ctx, "store identifiers",
		`DELETE FROM identifiers_next WHERE pid IN (SELECT pid FROM dirty)`,
		`UPDATE identifiers_next SET pid = m.pid FROM moved m WHERE identifiers_next.pid = m.old AND m.pid <> m.old`,
		`INSERT INTO identifiers_next SELECT key, pid FROM person WHERE known IS NULL OR known IN (SELECT pid FROM dirty)`,
		`DELETE FROM message_owners_next WHERE pid IN (SELECT pid FROM dirty) OR seq IN (SELECT seq FROM msg)`,
		`UPDATE message_owners_next SET pid = m.pid FROM moved m WHERE message_owners_next.pid = m.old AND m.pid <> m.old`,
		`INSERT INTO message_owners_next SELECT seq, pid FROM msg`,
		`DELETE FROM profiles_next WHERE _pid IN (SELECT pid FROM again UNION SELECT old FROM moved UNION SELECT pid FROM dirty)`)
}
