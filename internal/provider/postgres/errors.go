package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"usher/internal/activation"
	"usher/internal/provider/query"
)

// class is one way a call can fail: what to do, and what it is called. Each has
// a page in docs/troubleshooting.
type class struct {
	code    string
	kind    activation.Kind
	message string
	field   string
}

var (
	classAuth        = class{"POSTGRES-AUTH", activation.Unauthorized, "the database does not let this role sign in: check user name, password and whether the role may connect", ""}
	classPermission  = class{"POSTGRES-PERMISSION", activation.Invalid, "the role may not do this: it needs USAGE and CREATE on the schema, and must own the table", schemaField}
	classDatabase    = class{"POSTGRES-DATABASE", activation.Invalid, "the server has no such database", "account"}
	classSchema      = class{"POSTGRES-SCHEMA", activation.Invalid, "the database has no such schema", schemaField}
	classTLS         = class{"POSTGRES-TLS", activation.Invalid, "the server's certificate is not to be trusted, or it has none: check sslmode and root_certificate", sslModeField}
	classTable       = class{"POSTGRES-TABLE", activation.Invalid, "the table is not as usher makes it", tableField}
	classUnavailable = class{"POSTGRES-UNAVAILABLE", activation.Unavailable, "the database is not working as it should", ""}
	classLost        = class{"POSTGRES-LOST", activation.Unavailable, "the conversation with the database broke off or took too long", ""}
	classAnswer      = class{"POSTGRES-ANSWER", activation.Unavailable, "what answers does not speak as a PostgreSQL server", ""}
	classGone        = class{"POSTGRES-GONE", activation.Gone, "the table does not exist any more", ""}
	classData        = class{"POSTGRES-DATA", activation.RefusedWhole, "the database refuses the batch and does not say which row is wrong", ""}
	classSize        = class{"POSTGRES-SIZE", activation.RefusedWhole, "the batch is larger than one transaction may be", ""}
	classRow         = class{"POSTGRES-ROW", activation.RefusedWhole, "the database did not take the row", ""}
	classRequest     = class{"POSTGRES-REQUEST", activation.Invalid, "the database refuses the request", ""}
	classSettings    = class{"POSTGRES-SETTINGS", activation.Invalid, "a setting is wrong", ""}
)

// classes lists them all, in the order of the docs.
var classes = []class{
	classAuth, classPermission, classDatabase, classSchema, classTLS, classTable, classUnavailable, classLost,
	classAnswer, classGone, classData, classSize, classRow, classRequest, classSettings,
}

// Codes are the codes of the errors this provider returns.
func Codes() []string {
	out := make([]string, len(classes))
	for i, c := range classes {
		out[i] = c.code
	}
	return out
}

// states are the classes of SQLSTATE codes ("Appendix A. PostgreSQL Error
// Codes"): of a whole code, or of its first two characters.
var states = map[string]class{
	"28": classAuth, "0P": classAuth,
	"42501": classPermission,
	"3D":    classDatabase,
	"3F":    classSchema,
	"42P01": classGone,
	// A column that is missing or of another type, no unique index on the id, a
	// table that is a view.
	"42703": classTable, "42804": classTable, "42P10": classTable, "42809": classTable, "42P07": classTable, "55000": classTable, "42701": classTable,
	// Connection, resources, operator, a time limit, a lock, a deadlock, a server
	// that is read only since another one took over, system and internal errors.
	"08": classUnavailable, "53": classUnavailable, "57": classUnavailable, "55P03": classUnavailable, "40": classUnavailable,
	"25006": classUnavailable, "58": classUnavailable, "XX": classUnavailable, "F0": classUnavailable,
	// Values, constraints, what triggers raise, limits of the program.
	"22": classData, "23": classData, "44": classData, "P0": classData, "54": classData, "21": classData,
}

func classOf(state string) class {
	if c, ok := states[state]; ok {
		return c
	}
	if len(state) >= 2 {
		if c, ok := states[state[:2]]; ok {
			return c
		}
	}
	return classRequest
}

// errBroken takes the place of causes whose text may repeat people's values or
// name the server.
var errBroken = errors.New("the conversation with the server broke off")

// error makes the error of a class.
func (c class) error() *activation.Error {
	return &activation.Error{Kind: c.kind, Code: c.code, Message: c.message, Field: c.field}
}

// asError classifies what pgx returned. committing is true when a COMMIT may
// have reached the server. The server's text is never kept: it may hold a row.
func asError(ctx context.Context, err error, committing bool) error {
	if err == nil {
		return nil
	}
	var own *activation.Error
	if errors.As(err, &own) {
		return own
	}
	var said *pgconn.PgError
	if errors.As(err, &said) && ctx.Err() == nil {
		e := classOf(said.Code).error()
		if safeState(said.Code) {
			e.Message += " (SQLSTATE " + said.Code + ")"
		}
		e.MayHaveApplied = committing && e.Kind == activation.Unavailable && !rolledBack(said.Code)
		return e
	}
	e := classLost.error()
	e.Err = errBroken
	switch {
	case ctx.Err() != nil:
		e.Err = context.Cause(ctx)
	case errors.Is(err, pgx.ErrTxCommitRollback):
		return classUnavailable.error()
	case query.Untrusted(err):
		e = classTLS.error()
	case garbled(err):
		e = classAnswer.error()
	}
	e.MayHaveApplied = committing
	return e
}

// rolledBack reports whether an error of COMMIT says for sure that nothing was
// committed: a deadlock or a serialization failure.
func rolledBack(state string) bool { return len(state) == 5 && state[:2] == "40" && state != "40003" }

func safeState(state string) bool {
	if len(state) != 5 {
		return false
	}
	for i := range len(state) {
		if c := state[i]; (c < '0' || c > '9') && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return true
}

// garbled reports whether what answered cannot be a PostgreSQL server.
func garbled(err error) bool {
	var long *pgproto3.ExceededMaxBodyLenErr
	return errors.As(err, &long)
}
