package filterql_test

import (
	"testing"

	"usher/internal/filterql"
)

// TestLikeAfterAwkwardPrefixes: DuckDB fails a plain LIKE whose prefix ends with
// the byte BF or 7F.
func TestLikeAfterAwkwardPrefixes(t *testing.T) {
	db := openDuckDB(t)
	if _, err := db.Exec(`CREATE TABLE words (w VARCHAR); INSERT INTO words VALUES ('ÿes'), ('¿que'), (chr(127) || 'x'), ('߿A'), ('yes')`); err != nil {
		t.Fatal(err)
	}
	for _, pattern := range []string{"ÿ*", "¿*", "\x7f*", "߿*A", "y*"} {
		f, err := filterql.Parse(`FILTER w LIKE "` + pattern + `"`)
		if err != nil {
			t.Fatal(err)
		}
		c, err := filterql.Compile(f, filterql.Options{Schema: filterql.Fields{"w": filterql.Text}, Table: "p", FirstParam: 1})
		if err != nil {
			t.Fatal(err)
		}
		var n int
		if err := db.QueryRow(`SELECT count(*) FROM words AS p WHERE `+c.SQL, c.Args...).Scan(&n); err != nil || n != 1 {
			t.Errorf("LIKE %q finds %d words, %v; want 1", pattern, n, err)
		}
	}
}
