package postgres

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"usher/internal/activation"
	"usher/internal/provider"
)

// The types of columns.
const (
	typeText   = "text"
	typeNumber = "bigint"
	typeTime   = "timestamp with time zone"
	typeJSON   = "jsonb"
)

// column is a column of a table of ours.
type column struct{ name, kind string }

// The columns that are ours in every table.
const (
	columnSynced = "synced_at"
	columnLeft   = "left_at"
	// columnSession is there once all members were replaced: by which session a
	// row was written then.
	columnSession = "replace_session"
)

// maxName is the most bytes of a name ("4.1.1. Identifiers and Key Words").
const maxName = 63

var namePattern = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// system are the names that PostgreSQL keeps for itself ("5.6. System Columns").
var system = []string{"tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"}

// checkName refuses a name that is not plain: letters, digits and underscores.
func checkName(field, name string) error {
	if len(name) > maxName || !namePattern.MatchString(name) {
		return wrong(field, "must be a name of letters, digits and underscores, not beginning with a digit, of at most 63 characters")
	}
	return nil
}

// tableOf is the table of an audience: by the job's settings, else by its short
// name.
func (d *destination) tableOf(a provider.Audience) (name string, chosen bool, err error) {
	if name = a.Config[tableField]; name != "" || d.events != nil {
		return name, true, checkName(tableField, name)
	}
	word := a.Slug
	if word == "" {
		word = a.Name
	}
	name = "usher_" + strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '_':
			return r
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		}
		return '_'
	}, word)
	return name[:min(len(name), maxName)], false, nil
}

// A remote id is the name of the table and a digest of the mark it carries: a
// table of the same name that was made for something else is another one.
var remotePattern = regexp.MustCompile(`^([A-Za-z_][A-Za-z0-9_]{0,62})/([0-9a-f]{16})$`)

func remoteID(table, marker string) provider.RemoteID {
	return provider.RemoteID(table + "/" + digest(marker))
}

func digest(marker string) string {
	sum := sha256.Sum256([]byte(marker))
	return fmt.Sprintf("%x", sum[:8])
}

func parseRemote(id provider.RemoteID) (table, mark string, err error) {
	m := remotePattern.FindStringSubmatch(string(id))
	if m == nil {
		e := wrong("remote", "the id of the audience is not one of a table")
		return "", "", e
	}
	return m[1], m[2], nil
}

// markPattern finds our mark in the comment of a table. What else the comment
// says is its owner's.
var markPattern = regexp.MustCompile(`\[usher:([A-Za-z0-9._-]+)\]`)

// markText is how a marker stands in a comment; COMMENT takes no parameters, so
// it holds nothing that would need quoting.
func markText(marker string) (string, error) {
	text := "[usher:" + marker + "]"
	if !markPattern.MatchString(text) {
		return "", &activation.Error{Kind: activation.Internal, Code: "INTERNAL-019", Message: "the marker of the target cannot be written into a comment"}
	}
	return text, nil
}

// table is what the catalogue says of a table.
type table struct {
	comment string
	columns []column
	// key is the column that is the primary key by itself, "" = none is.
	key string
}

// mark is the digest of the marker it carries, "" = it carries none.
func (t table) mark() string {
	if m := markPattern.FindStringSubmatch(t.comment); m != nil {
		return digest(m[1])
	}
	return ""
}

func (d *destination) qualified(name string) string { return pgx.Identifier{d.schema, name}.Sanitize() }

func quoted(name string) string { return pgx.Identifier{name}.Sanitize() }

// read looks a table up. Where it is not there the server says so (42P01).
func (d *destination) read(ctx context.Context, tx pgx.Tx, name string) (t table, err error) {
	err = tx.QueryRow(ctx, `SELECT coalesce(pg_catalog.obj_description(c.oid, 'pg_class'), ''), coalesce((
			SELECT a.attname FROM pg_catalog.pg_index i JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
			WHERE i.indrelid = c.oid AND i.indisprimary AND i.indnkeyatts = 1), '')
		FROM pg_catalog.pg_class c WHERE c.oid = $1::text::pg_catalog.regclass`, d.qualified(name)).Scan(&t.comment, &t.key)
	if err != nil {
		return t, err
	}
	rows, err := tx.Query(ctx, `SELECT attname::text, pg_catalog.format_type(atttypid, NULL) FROM pg_catalog.pg_attribute
		WHERE attrelid = $1::text::pg_catalog.regclass AND attnum > 0 AND NOT attisdropped`, d.qualified(name))
	if err != nil {
		return t, err
	}
	t.columns, err = pgx.CollectRows(rows, func(r pgx.CollectableRow) (c column, err error) {
		err = r.Scan(&c.name, &c.kind)
		return c, err
	})
	return t, err
}

// EnsureAudience finds the table by the mark in its comment, or makes it. Its
// columns come with the first people, since only then they are known.
func (d *destination) EnsureAudience(ctx context.Context, a provider.Audience) (provider.RemoteID, error) {
	name, chosen, err := d.tableOf(a)
	if err != nil {
		return "", err
	}
	mark, err := markText(a.Marker)
	if err != nil {
		return "", err
	}
	if a.Remote != "" {
		known, _, err := parseRemote(a.Remote)
		switch {
		case err != nil:
			return "", err
		case chosen && known != name:
			e := classGone.error()
			e.Message = "the job names another table now"
			return "", e
		}
		name = known
	}
	err = d.inTx(ctx, func(ctx context.Context, tx pgx.Tx) (err error) {
		if a.Remote != "" {
			t, err := d.read(ctx, tx, name)
			switch {
			case err != nil:
				return err
			case t.mark() != digest(a.Marker):
				return classGone.error()
			}
			return errNothingToCommit
		}
		var found bool
		if name, found, err = d.find(ctx, tx, name, chosen, a.Marker); err != nil {
			return err
		} else if found {
			return errNothingToCommit
		}
		return d.create(ctx, tx, name, mark, a)
	})
	if err != nil {
		return "", notABatch(err)
	}
	return remoteID(name, a.Marker), nil
}

// find looks for the table that carries the marker, and says else under which
// name one can be made. A name that was chosen is the only one; a name that was
// not gets a digest of the marker behind it where it is somebody else's.
func (d *destination) find(ctx context.Context, tx pgx.Tx, name string, chosen bool, marker string) (string, bool, error) {
	names := []string{name}
	if !chosen {
		names = append(names, name[:min(len(name), maxName-17)]+"_"+digest(marker))
	}
	free := ""
	for _, n := range names {
		// A table that is missing would end this transaction, so it is looked for in
		// one within it.
		var t table
		err := pgx.BeginFunc(ctx, tx, func(inner pgx.Tx) (err error) {
			t, err = d.read(ctx, inner, n)
			return err
		})
		switch {
		case stateOf(err) == "42P01":
			if free == "" {
				free = n
			}
		case err != nil:
			return "", false, err
		case t.mark() == digest(marker):
			return n, true, nil
		}
	}
	if free == "" {
		return "", false, notOurs(d.schema, name)
	}
	return free, false, nil
}

func (d *destination) create(ctx context.Context, tx pgx.Tx, name, mark string, a provider.Audience) error {
	columns := []string{quoted(columnSynced) + ` timestamp with time zone NOT NULL DEFAULT pg_catalog.now()`}
	switch {
	case d.events != nil:
		for i, c := range d.events {
			columns = append(columns, quoted(c.name)+" "+c.kind+primary(i == 0))
		}
	case d.id != "":
		columns = append(columns, quoted(d.id)+" "+typeText+primary(true))
	}
	if d.marks(a) {
		columns = append(columns, quoted(columnLeft)+" "+typeTime)
	}
	if _, err := tx.Exec(ctx, `CREATE TABLE `+d.qualified(name)+` (`+strings.Join(columns, ", ")+`)`); err != nil {
		if s := stateOf(err); s == "42P07" || s == "23505" { // somebody made it a moment ago
			e := classUnavailable.error()
			e.Message = "the table was made by somebody else at this moment"
			return e
		}
		return err
	}
	_, err := tx.Exec(ctx, `COMMENT ON TABLE `+d.qualified(name)+` IS 'Kept in step by Usher, which finds it by this mark: `+mark+`'`)
	if err == nil {
		d.log.InfoContext(ctx, "postgres table made", "table", name)
	}
	return err
}

func primary(is bool) string {
	if is {
		return " PRIMARY KEY"
	}
	return ""
}

// marks reports whether who leaves stays as a marked row.
func (d *destination) marks(a provider.Audience) bool {
	return d.events == nil && a.Config[leaversField] == leaversMark
}

// OpenAudience proves that the table is there and ours.
func (d *destination) OpenAudience(ctx context.Context, id provider.RemoteID) error {
	name, mark, err := parseRemote(id)
	if err != nil {
		return err
	}
	err = d.inTx(ctx, func(ctx context.Context, tx pgx.Tx) error {
		t, err := d.read(ctx, tx, name)
		switch {
		case err != nil:
			return err
		case t.mark() != mark:
			return classGone.error()
		}
		return errNothingToCommit
	})
	return notABatch(err)
}

// shape makes the table have these columns, the first of them as its primary
// key, and refuses a table that has them otherwise.
func (d *destination) shape(ctx context.Context, tx pgx.Tx, name string, t table, want []column, key string) error {
	var changes []string
	for _, c := range want {
		i := slices.IndexFunc(t.columns, func(have column) bool { return have.name == c.name })
		switch {
		case i < 0:
			changes = append(changes, "ADD COLUMN IF NOT EXISTS "+quoted(c.name)+" "+c.kind)
		case t.columns[i].kind != c.kind:
			e := classTable.error()
			e.Message = fmt.Sprintf("the column %s of the table is of type %s, not %s: change it back, or name another table", c.name, t.columns[i].kind, c.kind)
			return e
		}
	}
	switch t.key {
	case key:
	case "":
		changes = append(changes, "ADD PRIMARY KEY ("+quoted(key)+")")
	default:
		e := classTable.error()
		e.Message = fmt.Sprintf("the rows of the table are found by the column %s, those of the destination by %s: name another table", t.key, key)
		return e
	}
	if len(changes) == 0 {
		return nil
	}
	d.log.InfoContext(ctx, "postgres table changed", "table", name, "changes", len(changes))
	_, err := tx.Exec(ctx, `ALTER TABLE `+d.qualified(name)+" "+strings.Join(changes, ", "))
	return err
}

func notOurs(schema, name string) error {
	e := classTable.error()
	e.Message = fmt.Sprintf("the table %s.%s is there and was not made for this audience: name another table, or drop that one", schema, name)
	return e
}

func stateOf(err error) string {
	var said *pgconn.PgError
	if errors.As(err, &said) {
		return said.Code
	}
	return ""
}

// notABatch turns "the batch is refused" into "the request is refused": there is
// nothing to halve.
func notABatch(err error) error {
	var e *activation.Error
	if errors.As(err, &e) && e.Kind == activation.RefusedWhole {
		other := *e
		other.Kind, other.Code = classRequest.kind, classRequest.code
		return &other
	}
	return err
}
