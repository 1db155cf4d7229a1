package duckdb

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"usher/internal/warehouse"
)

// profileStep brings the rows of profiles in step and tells the audiences.
type profileStep struct {
	d        *DB
	tx       *sql.Tx
	sc       *schema
	compiled map[string]*streamMappings
	merge    int64
	now      time.Time
}

// sources are what profiles are combined from.
type sources struct {
	// messages are new messages of stream, with their owners; stream "" = none.
	messages messages
	stream   string
	// alone: no two of the messages are of one person.
	alone bool
	// stored: moved names existing profiles, whose rows take part.
	stored bool
	// again selects the pids that are derived from all their stored messages
	// instead; "" = none.
	again string
}

// run replaces the rows of the profiles that src and moved name, and returns
// how many there are.
func (p profileStep) run(ctx context.Context, src sources) (touched int64, err error) {
	if !src.stored && src.again == "" {
		err = p.insertNew(ctx, src)
	} else {
		err = p.replace(ctx, src)
	}
	if err != nil {
		return 0, err
	}
	if err := queryRow(ctx, p.tx, "count touched profiles", `SELECT count(*) FILTER (NOT gone) FROM touched`, nil, &touched); err != nil {
		return 0, err
	}
	return touched, p.d.updateMembership(ctx, p.tx, "touched", p.merge, p.now)
}

// insertNew adds profiles none of which was there before.
func (p profileStep) insertNew(ctx context.Context, src sources) error {
	fields := p.sc.fields()
	rows := contribution(fields, p.compiled[src.stream], src.messages)
	if src.alone {
		rows = alone(fields, rows)
	} else {
		rows = combine(fields, []string{rows})
	}
	if err := p.insert(ctx, fields, `(`+rows+`)`); err != nil {
		return err
	}
	_, err := exec(ctx, p.tx, "note touched profiles", `CREATE OR REPLACE TEMP TABLE touched AS SELECT DISTINCT pid, true AS keys_changed, false AS gone FROM msg`)
	return err
}

// replace takes out the rows of the profiles concerned and puts in the new ones.
func (p profileStep) replace(ctx context.Context, src sources) error {
	fields := p.sc.fields()
	if err := p.combineFresh(ctx, fields, src); err != nil {
		return err
	}
	if _, err := exec(ctx, p.tx, "replace profiles", `DELETE FROM profiles WHERE _pid IN (SELECT old FROM moved)`); err != nil {
		return err
	}
	if err := p.insert(ctx, fields, `fresh`); err != nil {
		return err
	}
	_, err := exec(ctx, p.tx, "note touched profiles", `CREATE OR REPLACE TEMP TABLE touched AS
		SELECT f.pid, o._pid IS NULL OR `+keysDiffer(fields, "f", "o")+` AS keys_changed, false AS gone
		FROM fresh f LEFT JOIN old o ON o._pid = f.pid
		UNION ALL SELECT old, true, true FROM moved WHERE old NOT IN (SELECT pid FROM fresh)`)
	return err
}

// combineFresh fills old with the rows there are and fresh with the new ones.
func (p profileStep) combineFresh(ctx context.Context, fields []warehouse.Field, src sources) error {
	if _, err := exec(ctx, p.tx, "read profiles", `CREATE OR REPLACE TEMP TABLE old AS
		SELECT v.pid, p.* FROM profiles p JOIN moved v ON v.old = p._pid`); err != nil {
		return err
	}
	unless := `true`
	if src.again != "" {
		if _, err := exec(ctx, p.tx, "choose profiles", `CREATE OR REPLACE TEMP TABLE again AS `+src.again); err != nil {
			return err
		}
		if err := fillRaw(ctx, p.tx, `SELECT pid FROM again`); err != nil {
			return err
		}
		unless = `pid NOT IN (SELECT pid FROM again)`
	}
	parts := []string{`SELECT pid` + columnList(fields, "") + ` FROM old WHERE pid IS NOT NULL AND ` + unless}
	if src.stream != "" {
		parts = append(parts, contribution(fields, p.compiled[src.stream], messages{src.messages.from, unless}))
	}
	if src.again != "" {
		parts = append(parts, p.stored(fields)...)
	}
	_, err := exec(ctx, p.tx, "combine profiles", `CREATE OR REPLACE TEMP TABLE fresh AS `+combine(fields, parts))
	return err
}

// stored are the contributions of the stored messages of the profiles in raw.
func (p profileStep) stored(fields []warehouse.Field) []string {
	var parts []string
	for _, st := range p.sc.sortedStreams() {
		if len(p.compiled[st.Name].fields) > 0 {
			parts = append(parts, contribution(fields, p.compiled[st.Name], messagesOfRaw(st)))
		}
	}
	return parts
}

func (p profileStep) insert(ctx context.Context, fields []warehouse.Field, from string) error {
	columns := columnList(fields, "")
	_, err := exec(ctx, p.tx, "store profiles", fmt.Sprintf(`INSERT INTO profiles (_pid, _seq%s) SELECT pid, %d%s FROM %s`, columns, p.merge, columns, from))
	return err
}

// fillRaw fills the temporary table raw with every profile id under which
// messages of the selected profiles may be stored.
func fillRaw(ctx context.Context, q queryer, selected string) error {
	_, err := exec(ctx, q, "choose messages", `CREATE OR REPLACE TEMP TABLE raw AS
		SELECT pid AS stored, pid FROM (`+selected+`)
		UNION ALL SELECT old, pid FROM profile_merges WHERE pid IN (`+selected+`)`)
	return err
}

// messagesOfRaw are the stored messages of the profiles in raw.
func messagesOfRaw(st stream) messages {
	return messages{from: st.table() + ` m JOIN raw w ON w.stored = m._pid`}
}
