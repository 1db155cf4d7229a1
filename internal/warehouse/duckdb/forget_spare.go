package duckdb

import (
	"context"
	"fmt"
)

// A value that is capped (identity_cap.go) may be carried by many people, and one
// on the stop-list by anybody. It tells of none of them: forgetting one of them
// must neither find the others nor keep their messages away.

// carriedByMany selects the capped values that more than one person carries.
const carriedByMany = `SELECT key FROM capped GROUP BY key HAVING count(DISTINCT pid) > 1`

// carriedByOthers selects the capped values that others carry than those in
// forget_pids.
const carriedByOthers = `SELECT key FROM capped WHERE pid NOT IN (SELECT pid FROM forget_pids)`

// spareOthers takes the values out of forget_values that tell of others too.
func (e *eraser) spareOthers(ctx context.Context) error {
	_, err := e.exec(ctx, "leave out what others carry", fmt.Sprintf(`DELETE FROM forget_values WHERE lower(value) IN (%s)
		OR md5_number(field || '=' || value) IN (%[2]s) OR md5_number(field || '=' || lower(value)) IN (%[2]s)`, nobodySQL(e.sc.Active.Identity), carriedByOthers))
	return err
}
