package duckdb

// audienceState is the declared audiences, cached in memory.
type audienceState struct{}
