package duckdb

import (
	"context"
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"usher/internal/activation"
	"usher/internal/matchkey"
	"usher/internal/warehouse"
)

// keySet is a declared key set: the number its tables carry and its columns.
// Column i is k<i+1>, and bit i of a mask of held keys.
type keySet struct {
	n       int
	columns []keyColumn
}

// keyColumn is what must stay known of a key after its rule set is gone.
type keyColumn struct {
	Name       string `json:"name"`
	Identifies bool   `json:"identifies"`
}

// allKeys is the mask of a ledger row none of whose values was taken away yet.
const allKeys = -1

// noKeys is the fingerprint of people without a usable key, as SQL.
const noKeys = "'00000000-0000-0000-0000-000000000000'::UUID"

func (s keySet) table() string    { return fmt.Sprintf("keys_%d", s.n) }
func (s keySet) oldTable() string { return fmt.Sprintf("keys_%d_old", s.n) }

// fingerprint makes the fingerprints of different key sets differ even where
// the keys are the same; none stays none.
func (s keySet) fingerprint(fp matchkey.Fingerprint) matchkey.Fingerprint {
	if fp != (matchkey.Fingerprint{}) {
		binary.BigEndian.PutUint32(fp[:], binary.BigEndian.Uint32(fp[:])^uint32(s.n))
	}
	return fp
}

// each joins text for every column, i from 1, with %[1]d for i.
func (s keySet) each(format, sep string) string {
	var parts []string
	for i := range s.columns {
		parts = append(parts, fmt.Sprintf(format, i+1))
	}
	return strings.Join(parts, sep)
}

// identifying returns the numbers, from 1, of the columns that find a person
// on their own.
func (s keySet) identifying() []int {
	var is []int
	for i, c := range s.columns {
		if c.Identifies {
			is = append(is, i+1)
		}
	}
	return is
}

// column returns the number, from 1, of the key with this name, or 0.
func (s keySet) column(name string) int {
	for i, c := range s.columns {
		if c.Name == name {
			return i + 1
		}
	}
	return 0
}

// findKeySet returns the key set declared under id, or ErrNotFound.
func findKeySet(ctx context.Context, q queryer, id string) (keySet, error) {
	sets, err := readKeySets(ctx, q, `SELECT n, keys FROM keysets WHERE id = $1`, id)
	for _, s := range sets {
		return s, err
	}
	return keySet{}, errors.Join(err, fmt.Errorf("key set: %w", activation.ErrNotFound))
}

// allKeySets returns every key set by its number.
func allKeySets(ctx context.Context, q queryer) (map[int]keySet, error) {
	return readKeySets(ctx, q, `SELECT n, keys FROM keysets`)
}

func readKeySets(ctx context.Context, q queryer, query string, args ...any) (map[int]keySet, error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("read key sets: %w", scrub(ctx, err))
	}
	defer rows.Close()
	sets := map[int]keySet{}
	for rows.Next() {
		var s keySet
		var columns string
		if err := rows.Scan(&s.n, &columns); err != nil {
			return nil, fmt.Errorf("read key sets: %w", scrub(ctx, err))
		}
		if err := json.Unmarshal([]byte(columns), &s.columns); err != nil {
			return nil, fmt.Errorf("decode columns of key set %d: %w", s.n, err)
		}
		sets[s.n] = s
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read key sets: %w", scrub(ctx, err))
	}
	return sets, nil
}

// columnsOf describes the keys of a set.
func columnsOf(set matchkey.Set) []keyColumn {
	var cs []keyColumn
	for _, k := range set.Keys {
		cs = append(cs, keyColumn{Name: k.Name, Identifies: k.Identifies})
	}
	return cs
}

// declareKeySet returns the key set's tables, and makes them the first time.
func (d *DB) declareKeySet(ctx context.Context, set matchkey.Set) (keySet, error) {
	s, err := findKeySet(ctx, d.sql, set.ID)
	if err == nil || !errors.Is(err, activation.ErrNotFound) {
		return s, err
	}
	err = d.write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if s, err = findKeySet(ctx, tx, set.ID); !errors.Is(err, activation.ErrNotFound) {
			return err
		}
		n, err := take(ctx, tx, "keyset", 1)
		if err != nil {
			return err
		}
		s = keySet{n: int(n), columns: columnsOf(set)}
		columns, err := json.Marshal(s.columns)
		if err != nil {
			return fmt.Errorf("encode columns of a key set: %w", err)
		}
		if _, err := exec(ctx, tx, "declare key set", `INSERT INTO keysets VALUES ($1, $2, $3)`, set.ID, s.n, string(columns)); err != nil {
			return err
		}
		k := s.each("k%d BLOB", ", ")
		return execAll(ctx, tx,
			fmt.Sprintf(`CREATE TABLE %s (pid BIGINT, version INTEGER, src_seq BIGINT, fp UUID, %s)`, s.table(), k),
			fmt.Sprintf(`CREATE TABLE %s (pid BIGINT, version INTEGER, fp UUID, %s)`, s.oldTable(), k))
	})
	return s, err
}

// execAll runs statements in order.
func execAll(ctx context.Context, q queryer, statements ...string) error {
	for _, s := range statements {
		if _, err := exec(ctx, q, verb(s), s); err != nil {
			return err
		}
	}
	return nil
}

// verb is the beginning of a statement, enough to find it and free of values.
func verb(statement string) string {
	words := strings.Fields(statement)
	return strings.Join(words[:min(6, len(words))], " ")
}

// keySources are the SQL expressions, over profiles p, that yield the raw value
// of each key of the set as text.
func keySources(s *schema, set matchkey.Set) ([]string, error) {
	var exprs []string
	for i, name := range set.Fields {
		f, ok := s.field(name)
		if !ok {
			return nil, &activation.Error{
				Kind: activation.Invalid, Code: "MAPPING-FIELD", Field: set.Keys[i].Name,
				Message: fmt.Sprintf("match key %s is mapped to the field %q, which is not declared", set.Keys[i].Name, name),
			}
		}
		exprs = append(exprs, keySource(f, set.Keys[i].Exact))
	}
	return exprs, nil
}

// keySource is the text, in SQL over profiles p, that a key is made from: the
// field as it is where the key is exact, else what networks match by.
func keySource(f warehouse.Field, exact bool) string {
	column := "p." + quote(f.Name)
	switch {
	case f.Type == warehouse.Text:
		return column
	case f.Type == warehouse.Time && exact:
		return rfc3339(column)
	case f.Type == warehouse.Time:
		// Networks match by dates (of birth), never by a time of day.
		return fmt.Sprintf(`strftime(%s, '%%Y-%%m-%%d')`, column)
	case f.Type == warehouse.TextSet && exact:
		return fmt.Sprintf(`CAST(to_json(list_sort(%s)) AS VARCHAR)`, column)
	case f.Type == warehouse.TextSet:
		return fmt.Sprintf(`list_min(%s)`, column)
	default:
		return fmt.Sprintf(`CAST(%s AS VARCHAR)`, column)
	}
}

// rfc3339 is the text, in SQL, of a timestamp in UTC, with as many digits of the
// second as it has.
func rfc3339(timestamp string) string {
	return fmt.Sprintf(`regexp_replace(strftime(%s, '%%Y-%%m-%%dT%%H:%%M:%%S.%%f'), '[.]?0+$', '') || 'Z'`, timestamp)
}
