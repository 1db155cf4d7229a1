package duckdb

import "context"

// load reads what is declared into memory.
func (d *DB) load(ctx context.Context) error {
	d.state.schema = &schema{}
	return nil
}
