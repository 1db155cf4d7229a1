package sqlite

import "testing"

func TestUnnamed(t *testing.T) {
	for text, want := range map[string]string{
		"SELECT 1":                             "SELECT 1",
		"VALUES ($1, $2), ($3, $4)":            "VALUES (?, ?), (?, ?)",
		"WHERE a = $1 AND b = $1":              "WHERE a = $1 AND b = $1",
		"WHERE b = $2 AND a = $1":              "WHERE b = $2 AND a = $1",
		"WHERE a = $1 AND b = $23":             "WHERE a = $1 AND b = $23",
		"WHERE a = '$' AND b = $1":             "WHERE a = '$' AND b = $1",
		"($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11)": "(?,?,?,?,?,?,?,?,?,?,?)",
	} {
		if got := unnamed(text); got != want {
			t.Errorf("%q is compiled as %q, want %q", text, got, want)
		}
	}
}
