package duckdb

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"usher/internal/activation"
	"usher/internal/matchkey"
	"usher/internal/warehouse"
)

// reachPeople is of how many members keys are computed to learn how many have
// them; of more, those are a sample.
const reachPeople = 100_000

// Reach counts which keys of a set the members of an audience have. Each key is
// counted for itself, whether or not others identify the person.
func (d *DB) Reach(ctx context.Context, audience activation.AudienceID, keys matchkey.Set) (warehouse.KeyReach, error) {
	var out warehouse.KeyReach
	sources, err := keySources(d.state.snapshot(), keys)
	if err != nil {
		return out, err
	}
	for _, k := range keys.Keys {
		out.Keys = append(out.Keys, warehouse.KeyCount{Name: k.Name})
	}
	return out, d.onOwnConnection(ctx, func(conn *sql.Conn) error {
		return inTx(ctx, conn, func(tx *sql.Tx) error {
			n, _, err := audienceNumber(ctx, tx, audience)
			if err != nil {
				return err
			}
			members := fmt.Sprintf(`SELECT pid FROM membership WHERE audience = %d`, n)
			if err := queryRow(ctx, tx, "count members", `SELECT count(*) FROM (`+members+`)`, nil, &out.People); err != nil || out.People == 0 || len(sources) == 0 {
				return err
			}
			most := d.state.audience.reach
			if most == 0 {
				most = reachPeople
			}
			const parts = 1 << 20
			if out.People > most {
				members += fmt.Sprintf(` AND hash(pid) %% %d < %d`, parts, most*parts/out.People)
			}
			return countKeys(ctx, tx, fmt.Sprintf(`SELECT %s FROM profiles p WHERE p._pid IN (%s)`, strings.Join(sources, ", "), members), keys, out.People > most, &out)
		})
	})
}

// countKeys computes the keys of the people whose source values the query
// returns. The counts of a sample are scaled up to all people.
func countKeys(ctx context.Context, tx *sql.Tx, query string, keys matchkey.Set, sample bool, out *warehouse.KeyReach) error {
	rows, err := tx.QueryContext(ctx, query)
	if err != nil {
		return fmt.Errorf("read key sources: %w", scrub(ctx, err))
	}
	defer rows.Close()
	n := len(out.Keys)
	raw, dest, values, keyed := make([]sql.RawBytes, n), make([]any, n), make([]string, n), make([][]byte, n)
	for i := range raw {
		dest[i] = &raw[i]
	}
	each := eachEnough(keys)
	var looked int64
	for rows.Next() {
		if err := rows.Scan(dest...); err != nil {
			return fmt.Errorf("read key sources: %w", scrub(ctx, err))
		}
		for i, v := range raw {
			values[i] = string(v)
		}
		each.Compute(values, keyed, nil)
		looked++
		usable := false
		for i, v := range keyed {
			if v != nil {
				out.Keys[i].Count++
				usable = usable || keys.Keys[i].Identifies
			}
		}
		if usable {
			out.Usable++
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read key sources: %w", scrub(ctx, err))
	}
	if !sample {
		return nil
	}
	out.Sampled = looked
	scale := func(count *int64) { *count = (*count*out.People + looked/2) / max(looked, 1) }
	scale(&out.Usable)
	for i := range out.Keys {
		scale(&out.Keys[i].Count)
	}
	return nil
}
