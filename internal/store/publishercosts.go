package store

import (
	"context"
	"fmt"
	"time"

	"usher/internal/activation"
)

// BeginCosts begins a reading of costs and returns its number; what an earlier one
// still brings is refused.
func (s *Store) BeginCosts(ctx context.Context, id activation.PublisherID) (reading int64, err error) {
	err = s.do(ctx, func(t *tx) error {
		if _, err := t.publisher(id); err != nil {
			return err
		}
		return t.row(`UPDATE publishers SET cost_reading = cost_reading + 1 WHERE id = $1 RETURNING cost_reading`, id).Scan(&reading)
	})
	if err != nil {
		return 0, fmt.Errorf("begin reading costs: %w", err)
	}
	return reading, nil
}

// SaveCosts stores rows of a reading, in place of what is there of their date and
// object.
func (s *Store) SaveCosts(ctx context.Context, id activation.PublisherID, reading int64, costs []activation.Cost) error {
	err := s.do(ctx, func(t *tx) error {
		if err := t.costReading(id, reading); err != nil {
			return err
		}
		rows := make([][]any, 0, len(costs))
		last := map[string]int{} // one INSERT must not have a row twice
		for _, c := range costs {
			row := []any{id, c.Date, c.Object.Kind, c.Object.ID, c.Currency, c.Impressions, c.Clicks, c.Micros, c.Conversions, c.Value, reading}
			key := c.Date + " " + string(c.Object.Kind) + " " + c.Object.ID
			if i, twice := last[key]; twice {
				rows[i] = row
				continue
			}
			last[key] = len(rows)
			rows = append(rows, row)
		}
		return t.insertAll(`INSERT INTO publisher_costs (publisher_id, date, kind, object_id, currency, impressions, clicks, micros, conversions, value, reading)`,
			` ON CONFLICT (publisher_id, kind, date, object_id) DO UPDATE SET currency = excluded.currency, impressions = excluded.impressions, clicks = excluded.clicks, micros = excluded.micros,
				conversions = excluded.conversions, value = excluded.value, reading = excluded.reading`, rows)
	})
	if err != nil {
		return fmt.Errorf("store costs: %w", err)
	}
	return nil
}

// costReading is nil when no later reading of the account's costs has begun.
func (t *tx) costReading(id activation.PublisherID, reading int64) error {
	if _, err := t.publisher(id); err != nil {
		return err
	}
	last, err := t.count(`SELECT cost_reading FROM publishers WHERE id = $1`, id)
	if err == nil && last != reading {
		err = activation.ErrFenced
	}
	return err
}

// EndCosts notes that costs were read whole, and deletes rows of these days that were
// not stored by this reading: their object has none any more.
func (s *Store) EndCosts(ctx context.Context, id activation.PublisherID, reading int64, from, until string, when time.Time) error {
	err := s.do(ctx, func(t *tx) error {
		if err := t.costReading(id, reading); err != nil {
			return err
		}
		if _, err := t.exec(`DELETE FROM publisher_costs WHERE publisher_id = $1 AND date >= $2 AND date <= $3 AND reading < $4`, id, from, until, reading); err != nil {
			return err
		}
		_, err := t.exec(`UPDATE publishers SET cost_at = $1 WHERE id = $2`, at(when), id)
		return err
	})
	if err != nil {
		return fmt.Errorf("end reading costs: %w", err)
	}
	return nil
}

// Costs returns sums of one account's costs, each in one currency: by day and object, by
// day or by object.
func (s *Store) Costs(ctx context.Context, q activation.CostQuery) (out []activation.CostRow, err error) {
	var w where
	equal(&w, "c.publisher_id", q.Publisher)
	equal(&w, "c.kind", q.Kind)
	equal(&w, "c.currency", q.Currency)
	if q.Object.ID != "" {
		w.add("c.kind = $%d AND c.object_id = $%d", string(q.Object.Kind), q.Object.ID)
	}
	in(&w, "c.object_id", q.Objects)
	if q.From != "" {
		w.add("c.date >= $%d", q.From)
	}
	if q.Until != "" {
		w.add("c.date <= $%d", q.Until)
	}
	columns, order := `c.date, c.kind, c.object_id`, `c.date, sum(c.micros) DESC, c.kind, c.object_id`
	switch q.By {
	case "date":
		columns, order = `c.date, c.kind, ''`, `c.date, c.kind`
	case "object":
		columns, order = `'', c.kind, c.object_id`, `sum(c.micros) DESC, c.kind, c.object_id`
	case "":
	default:
		return nil, invalid("by", "costs are told by date, by object or, without it, by both")
	}
	group := map[string]string{"date": `c.date, c.kind`, "object": `c.kind, c.object_id`, "": `c.date, c.kind, c.object_id`}[q.By]
	err = s.view(ctx, func(t *tx) error {
		text := `SELECT ` + columns + `, c.currency, CAST(sum(c.impressions) AS BIGINT), CAST(sum(c.clicks) AS BIGINT), CAST(sum(c.micros) AS BIGINT), sum(c.conversions), sum(c.value)
			FROM publisher_costs c` + w.sql() + ` GROUP BY ` + group + `, c.currency ORDER BY ` + order + `, c.currency`
		args := w.args
		if q.Limit > 0 {
			text += fmt.Sprintf(" LIMIT $%d", len(args)+1)
			args = append(args[:len(args):len(args)], q.Limit)
		}
		rows, err := t.query(text, args...)
		out, err = collect(rows, err, func(r scanner) (c activation.CostRow, err error) {
			return c, r.Scan(&c.Date, &c.Object.Kind, &c.Object.ID, &c.Currency, &c.Impressions, &c.Clicks, &c.Micros, &c.Conversions, &c.Value)
		})
		if err != nil || q.By == "date" {
			return err
		}
		refs := make([]activation.ObjectRef, len(out))
		for i, c := range out {
			refs[i] = c.Object
		}
		objects, err := t.objectRows(q.Publisher, refs)
		for i := range out {
			if o, ok := objects[out[i].Object]; ok {
				out[i].Name = o.Name()
			}
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read costs: %w", err)
	}
	return out, nil
}
