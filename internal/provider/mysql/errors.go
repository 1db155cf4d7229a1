package mysql

import (
	"context"
	"database/sql/driver"
	"errors"
	"regexp"
	"slices"
	"strconv"

	"github.com/go-sql-driver/mysql"

	"usher/internal/activation"
	"usher/internal/provider/query"
)

// class is one way a call can fail. Each has a page in docs/troubleshooting.
type class struct {
	code    string
	kind    activation.Kind
	message string
	field   string
}

var (
	classAuth        = class{"MYSQL-AUTH", activation.Unauthorized, "the server does not let this user sign in: check user name, password, and from where it may connect", ""}
	classPermission  = class{"MYSQL-PERMISSION", activation.Invalid, "the user may not read this: it needs SELECT on what is read", ""}
	classDatabase    = class{"MYSQL-DATABASE", activation.Invalid, "the server has no such database", databaseField}
	classTLS         = class{"MYSQL-TLS", activation.Invalid, "the server's certificate is not to be trusted, or it has none: check sslmode and root_certificate", query.SSLModeField}
	classUnavailable = class{"MYSQL-UNAVAILABLE", activation.Unavailable, "the server is not working as it should", ""}
	classLost        = class{"MYSQL-LOST", activation.Unavailable, "the conversation with the server broke off or took too long", ""}
	classAnswer      = class{"MYSQL-ANSWER", activation.Unavailable, "what answers does not speak as a MySQL server", ""}
	classSettings    = class{"MYSQL-SETTINGS", activation.Invalid, "a setting is wrong", ""}
)

func (c class) error() *activation.Error {
	return &activation.Error{Kind: c.kind, Code: c.code, Message: c.message, Field: c.field}
}

func wrong(field, message string) *activation.Error {
	e := classSettings.error()
	e.Field, e.Message = field, field+": "+message
	return e
}

// The numbers of errors by what they mean ("Server Error Message Reference";
// MariaDB, "Error Codes").
var (
	numbersAuth       = []uint16{1045, 1130, 1251, 1275, 1524, 1698, 1820, 1862, 3118, 3159, 3955, 4151}
	numbersPermission = []uint16{1044, 1142, 1143, 1227, 1345, 1370, 1449}
	numbersTimeout    = []uint16{1969, 3024}
	numbersChange     = []uint16{1290, 1422, 1792}
	// A group function where none may be, collations that do not mix, values that
	// do not fit, a row that was not alone.
	numbersQuery = []uint16{1111, 1242, 1253, 1267, 1270, 1271, 1292, 1365, 1366, 1411, 1525, 3141, 3156}
)

var (
	errTimeLimit = errors.New("the time limit is over")
	errBroken    = errors.New("the conversation with the server broke off")
)

// atLine is where the text of a syntax error names its line.
var atLine = regexp.MustCompile(` at line (\d{1,6})$`)

// fault classifies what the driver returned. The server's text is never kept.
func fault(ctx context.Context, s query.Settings, err error) error {
	if err == nil {
		return nil
	}
	var own *activation.Error
	if errors.As(err, &own) {
		at := *own
		at.MayHaveApplied = false
		return &at
	}
	var said *mysql.MySQLError
	if errors.As(err, &said) && ctx.Err() == nil {
		number := " (error " + strconv.Itoa(int(said.Number)) + ")"
		state := string(said.SQLState[:2])
		is := func(list []uint16) bool { return slices.Contains(list, said.Number) }
		switch {
		case is(numbersAuth):
			return told(classAuth, number)
		case is(numbersPermission):
			return told(classPermission, number)
		case said.Number == 1049:
			return told(classDatabase, number)
		case is(numbersTimeout):
			return s.TimedOut()
		case is(numbersChange):
			return s.Refused("the query would change something, and may only read" + number)
		case said.Number == 1146:
			return s.Refused("there is no such table" + number)
		case said.Number == 1060:
			return s.Refused("the result has two columns of the same name: give one of them another with AS" + number)
		case said.Number == 1064:
			place := ""
			if m := atLine.FindStringSubmatch(said.Message); m != nil && s.Query != "" {
				place = " near line " + m[1]
			}
			return s.Refused("the server does not understand it" + place + number)
		case is(numbersQuery), state == "21", state == "22":
			return s.Refused("the query fails on a row" + number)
		case state == "42":
			return s.Refused("the server does not understand it" + number)
		}
		return told(classUnavailable, number)
	}
	e := classLost.error()
	e.Err = errBroken
	switch {
	case ctx.Err() != nil:
		e.Err = context.Cause(ctx)
	case query.Untrusted(err), errors.Is(err, mysql.ErrNoTLS):
		return classTLS.error()
	case errors.Is(err, mysql.ErrCleartextPassword), errors.Is(err, mysql.ErrNativePassword), errors.Is(err, mysql.ErrOldPassword), errors.Is(err, mysql.ErrUnknownPlugin):
		c := classAuth.error()
		c.Message = "the user has a kind of sign-in that Usher does not take part in"
		return c
	case errors.Is(err, mysql.ErrMalformPkt), errors.Is(err, mysql.ErrPktSync), errors.Is(err, mysql.ErrPktSyncMul), errors.Is(err, mysql.ErrOldProtocol):
		return classAnswer.error()
	case errors.Is(err, driver.ErrBadConn), errors.Is(err, mysql.ErrInvalidConn):
	}
	return e
}

func told(c class, number string) *activation.Error {
	e := c.error()
	e.Message += number
	return e
}
