package filterql_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"usher/internal/filterql"
	"usher/internal/filterql/filterqltest"
)

// docs is docs/filterql.md, taken apart.
type docs struct {
	schema    filterql.Fields
	people    []filterqltest.Profile
	audiences map[string]string
	selects   [][]string // rule, names
	errors    [][]string // rule, error
	forms     [][]string // text, JSON
}

func readDocs(t *testing.T) docs {
	t.Helper()
	data, err := os.ReadFile("../../docs/filterql.md")
	if err != nil {
		t.Fatal(err)
	}
	d := docs{schema: filterql.Fields{}, audiences: map[string]string{}}
	var header []string
	for line := range strings.Lines(string(data)) {
		cells := cellsOf(line)
		switch {
		case cells == nil:
			header = nil
		case header == nil:
			header = cells
		case !strings.HasPrefix(cells[0], "---"):
			d.add(t, header, cells)
		}
	}
	return d
}

// cellsOf returns the cells of a line of a table, nil for any other line.
func cellsOf(line string) []string {
	line = strings.TrimSpace(line)
	if !strings.HasPrefix(line, "|") {
		return nil
	}
	cells := strings.Split(line[1:len(line)-1], "|")
	for i, c := range cells {
		cells[i] = strings.Trim(strings.TrimSpace(c), "`")
	}
	return cells
}

func (d *docs) add(t *testing.T, header, cells []string) {
	t.Helper()
	switch header[0] + ", " + header[1] {
	case "name text, city text":
		d.people = append(d.people, d.person(t, header, cells))
	case "Audience, Rule":
		d.audiences[cells[0]] = cells[1]
	case "Rule, Selects":
		d.selects = append(d.selects, cells)
	case "Rule, Error":
		d.errors = append(d.errors, cells)
	case "Text, JSON":
		d.forms = append(d.forms, cells)
	}
}

func (d *docs) person(t *testing.T, header, cells []string) filterqltest.Profile {
	t.Helper()
	p := filterqltest.Profile{}
	for i, h := range header {
		name, typ, _ := strings.Cut(h, " ")
		d.schema[name] = filterql.Type(typ)
		if cells[i] == "" {
			continue
		}
		var err error
		switch filterql.Type(typ) {
		case filterql.Integer:
			p[name], err = strconv.ParseInt(cells[i], 10, 64)
		case filterql.Number:
			p[name], err = strconv.ParseFloat(cells[i], 64)
		case filterql.Boolean:
			p[name], err = strconv.ParseBool(cells[i])
		case filterql.Time:
			p[name], err = time.Parse(time.RFC3339, cells[i])
		case filterql.Set:
			p[name] = strings.Split(cells[i], ", ")
		default:
			p[name] = cells[i]
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return p
}

func (d *docs) compile(text string) (filterql.Compiled, error) {
	f, err := filterql.Parse(text)
	if err != nil {
		return filterql.Compiled{}, err
	}
	return filterql.Compile(f, filterql.Options{Schema: d.schema, Resolve: audiences(d.audiences), Table: "p", Now: noon})
}

// TestDocs runs every example of the page.
func TestDocs(t *testing.T) {
	d := readDocs(t)
	if len(d.people) != 4 || len(d.audiences) != 4 || len(d.selects) < 40 || len(d.errors) < 10 || len(d.forms) < 5 {
		t.Fatalf("read %d people, %d audiences, %d rules, %d errors, %d forms: the page or its reader is broken",
			len(d.people), len(d.audiences), len(d.selects), len(d.errors), len(d.forms))
	}
	db := openDuckDB(t)
	createProfiles(t, db, d.schema)
	if err := fill(db, d.schema, d.people); err != nil {
		t.Fatal(err)
	}
	for _, x := range d.selects {
		c, err := d.compile(x[0])
		if err != nil {
			t.Errorf("%s: %v", x[0], err)
			continue
		}
		in, err := selected(db, c)
		if err != nil {
			t.Fatalf("%s: %v", x[0], err)
		}
		var names []string
		for _, pid := range in {
			names = append(names, fmt.Sprint(d.people[pid]["name"]))
		}
		if got := strings.Join(names, ", "); got != x[1] {
			t.Errorf("%s selects %s, want %s", x[0], got, x[1])
		}
	}
	for _, x := range d.errors {
		if _, err := d.compile(x[0]); err == nil || err.Error() != x[1] {
			t.Errorf("%s: error is %v, want %s", x[0], err, x[1])
		}
	}
	for _, x := range d.forms {
		checkForm(t, x[0], x[1])
	}
}

// checkForm compares a rule's text with its JSON, both ways.
func checkForm(t *testing.T, text, form string) {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(mustParse(t, text)); err != nil {
		t.Fatal(err)
	}
	if got := strings.TrimSpace(b.String()); got != form {
		t.Errorf("%s is %s as JSON, want %s", text, got, form)
	}
	if f, err := filterql.ParseJSON([]byte(form)); err != nil || f.String() != text {
		t.Errorf("%s is %v (%v) as text, want %s", form, f, err, text)
	}
}
