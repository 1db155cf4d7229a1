package duckdb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"

	"github.com/duckdb/duckdb-go/v2"

	"usher/internal/expression"
	"usher/internal/matchkey"
)

// phone is the SQL function that mappings with phone() call. It is registered
// with the database, so that every connection has it, each time that is opened.
type phone struct{ text duckdb.TypeInfo }

func (p phone) Config() duckdb.ScalarFuncConfig {
	return duckdb.ScalarFuncConfig{InputTypeInfos: []duckdb.TypeInfo{p.text, p.text}, ResultTypeInfo: p.text}
}

func (p phone) Executor() duckdb.ScalarFuncExecutor {
	return duckdb.ScalarFuncExecutor{RowExecutor: func(values []driver.Value) (any, error) {
		text, _ := values[0].(string)
		country, _ := values[1].(string)
		if number := matchkey.Phone(text, country); number != "" {
			return number, nil
		}
		return nil, nil
	}}
}

func registerPhone(ctx context.Context, db *sql.DB) error {
	text, err := duckdb.NewTypeInfo(duckdb.TYPE_VARCHAR)
	if err != nil {
		return fmt.Errorf("register phone(): %w", err)
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return fmt.Errorf("register phone(): %w", scrub(ctx, err))
	}
	defer conn.Close()
	if err := duckdb.RegisterScalarUDF(conn, expression.PhoneFunction, phone{text}); err != nil {
		return fmt.Errorf("register phone(): %w", scrub(ctx, err))
	}
	return nil
}
