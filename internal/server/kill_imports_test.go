package server_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/imports"
	"usher/internal/provider"
	"usher/internal/provider/postgres/postgrestest"
	"usher/internal/provider/sftp/sftptest"
	"usher/internal/warehouse"
	sandboxsftp "usher/sandbox/sftp"
)

const (
	importPeople = 200
	// importParts is how many rows of a file are durable together.
	importParts = 500
	// longFile is how many rows a long file has: many parts.
	longFile = 8000
)

// flow is what one import is to bring in, as the test made it.
type flow struct {
	name, workflow string
	job            activation.JobID
	pieces         int64   // files; of a query nobody knows
	ends           []int64 // rows up to the end of each file
	rows, bad      int64
	sums           [importPeople]int64
}

// upTo is how many rows the first files have.
func (f *flow) upTo(files int64) int64 {
	if files == 0 {
		return 0
	}
	return f.ends[files-1]
}

// add makes n rows of the flow and returns each as person and amount.
func (f *flow) add(r *rand.Rand, n int, row func(person, amount int)) {
	for range n {
		person, amount := r.IntN(importPeople), 1+r.IntN(9)
		f.sums[person] += int64(amount)
		f.rows++
		row(person, amount)
	}
}

// TestKillImports kills the server while it reads files by SFTP and a table of a
// database. In the end each row of each file and of the table counts once: rows
// have no message id, so one that was taken twice would count twice.
func TestKillImports(t *testing.T) {
	if os.Getenv("USHER_KILLS") == "" {
		t.Skip("make kill runs it")
	}
	kills := killCount(t)
	seed := seedOf(t)
	r := rand.New(rand.NewPCG(seed, 5))
	folder, err := sftptest.Open(sandboxsftp.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(folder.Close)
	shop := postgrestest.Open(t, nil)
	t.Cleanup(shop.Close)
	shop.Do(`CREATE TABLE ` + shop.Schema + `.sales (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, person int, amount int)`)
	shop.Do(`GRANT SELECT ON ` + shop.Schema + `.sales TO ` + shop.Role)

	hosts, dir := &far{addr: strings.Join(append(folder.Hosts(), shop.Hosts()...), ",")}, t.TempDir()
	parts := fmt.Sprintf("%s=%d", envParts, importParts)
	p := start(t, dir, hosts, "", parts)
	files, table := &flow{name: "orders", workflow: "sftp_import"}, &flow{name: "sales", workflow: "postgres_import"}
	p.must(http.MethodPost, "/v2/field", map[string]any{"name": "customer", "type": "text", "merge": "latest", "identifier_rank": 1, "pii": false, "public": false}, nil)
	for _, f := range []*flow{files, table} {
		p.must(http.MethodPut, "/v2/stream/"+f.name, map[string]any{}, nil)
		p.must(http.MethodPost, "/v2/field", map[string]any{"name": f.name, "type": "integer", "merge": "sum", "pii": false, "public": false}, nil)
		p.must(http.MethodPut, "/v2/mapping/"+f.name, map[string]string{"customer": `concat("id-", person)`, f.name: "amount"}, nil)
	}
	d := folder.Deps()
	files.job = p.importJob("sftp", files, d.Auth, map[string]string{"prefix": `orders_\d+`, "folder": sandboxsftp.DefaultFolder, "settle": "0s", "skip_bad_rows": "true"})
	d = shop.Deps()
	table.job = p.importJob("postgres", table, d.Auth, map[string]string{"database": d.Account, "table": shop.Schema + ".sales", "cursor_column": "id"})

	within := 0 // kills that came within a file
	for i := range kills {
		for range 1 + r.IntN(2) {
			putFile(folder, files, r, i%3 == 0)
		}
		var values []string
		table.add(r, 50+r.IntN(500), func(person, amount int) { values = append(values, fmt.Sprintf("(%d, %d)", person, amount)) })
		shop.Do(`INSERT INTO ` + shop.Schema + `.sales (person, amount) VALUES ` + strings.Join(values, ", "))
		for moment := time.Now().Add(time.Duration(r.IntN(1500)) * time.Millisecond); time.Now().Before(moment); {
			ask(p, files.job)
			ask(p, table.job)
			time.Sleep(20 * time.Millisecond)
		}
		if at := p.position(files.job); at.Pieces < files.pieces && at.Rows > files.upTo(at.Pieces) {
			within++
		}
		p.kill()
		p = start(t, dir, hosts, "", parts)
		if i%10 == 9 {
			p.allIn(files, table)
		}
		if t.Failed() {
			t.Fatalf("after kill %d", i+1)
		}
	}
	p.allIn(files, table)
	t.Logf("seed %d: %d kills; %d files with %d rows and %d bad ones, %d rows of a table; passes: %d and %d; kills within a file: %d", seed, kills, files.pieces, files.rows, files.bad, table.rows, len(p.passes(files.job)), len(p.passes(table.job)), within)
}

// putFile puts the next file into the folder, long or short, with some rows that
// can't be taken.
func putFile(folder *sftptest.Network, f *flow, r *rand.Rand, long bool) {
	var text strings.Builder
	text.WriteString("person,amount\n")
	n := 1 + r.IntN(500)
	if long {
		n = longFile
	}
	f.add(r, n, func(person, amount int) {
		fmt.Fprintf(&text, "%d,%d\n", person, amount)
		if r.IntN(1000) == 0 {
			text.WriteString("1,1,surplus\n")
			f.bad++
		}
	})
	f.pieces++
	f.ends = append(f.ends, f.rows)
	folder.Box.Put(fmt.Sprintf("%s/orders_%06d.csv", sandboxsftp.DefaultFolder, f.pieces), []byte(text.String()))
}

// importJob makes credentials and a job that imports into the flow's stream.
func (n *near) importJob(name string, f *flow, auth map[string]provider.Secret, settings map[string]string) activation.JobID {
	n.t.Helper()
	var a, j struct{ ID string }
	plain := map[string]string{}
	for field, value := range auth {
		plain[field] = value.Reveal()
	}
	n.must(http.MethodPost, "/v2/auth/"+name, map[string]any{"label": name, "config": plain}, &a)
	settings["stream"] = f.name
	n.must(http.MethodPost, "/v2/job/"+f.workflow, map[string]any{"name": f.name, "auth_ids": []string{a.ID}, "run_frequency": "hourly", "config": settings}, &j)
	return activation.JobID(j.ID)
}

func (n *near) passes(job activation.JobID) (all []activation.Pass) {
	n.t.Helper()
	n.must(http.MethodGet, "/v2/job/"+string(job)+"/passes?limit=500", nil, &all)
	return all
}

func (n *near) position(job activation.JobID) (at imports.Position) {
	n.t.Helper()
	n.must(http.MethodGet, "/v2/job/"+string(job)+"/position", nil, &at)
	return at
}

// idle asks for passes until one that began after this call has found nothing.
func (n *near) idle(job activation.JobID) {
	n.t.Helper()
	before := int64(0)
	if all := n.passes(job); len(all) > 0 {
		before = all[0].Number
	}
	n.eventually("nothing is left to be read", 5*time.Minute, func() (bool, string) {
		all := n.passes(job)
		last := activation.Pass{}
		if len(all) > 0 {
			last = all[0]
		}
		if last.Number > before && last.Status == activation.RunCompleted && last.Counts["rows"]+last.Counts["rejected"] == 0 {
			return true, ""
		}
		if last.Status == activation.RunCompleted || len(all) == 0 {
			before = max(before, last.Number)
			_, _ = n.Do(n.t.Context(), http.MethodPost, "/v2/job/"+string(job)+"/run", nil, nil) // one may have begun just now
		}
		return false, fmt.Sprintf("pass %d is %s: %v %s", last.Number, last.Status, last.Counts, last.ErrorText)
	})
}

// allIn waits until everything is in and compares it with what the test made.
func (n *near) allIn(flows ...*flow) {
	n.t.Helper()
	for _, f := range flows {
		n.idle(f.job)
	}
	n.eventually("all loads are merged", 5*time.Minute, func() (bool, string) {
		var all []struct{ ID, Status string }
		n.must(http.MethodGet, "/v2/load?limit=500", nil, &all)
		waiting := 0
		for _, l := range all {
			if l.Status == "pending" {
				waiting++
			}
		}
		return waiting == 0, fmt.Sprintf("%d wait", waiting)
	})
	for _, f := range flows {
		if at := n.position(f.job); at.Rows != f.rows || f.pieces > 0 && at.Pieces != f.pieces {
			n.t.Errorf("%s: %d rows of %d pieces are in, want %d of %d", f.name, at.Rows, at.Pieces, f.rows, f.pieces)
		}
		counted := map[string]int64{}
		for _, p := range n.passes(f.job) {
			for name, c := range p.Counts {
				counted[name] += c
			}
		}
		if counted["rows"] != f.rows || counted["rejected"] != f.bad || f.pieces > 0 && counted["pieces"] != f.pieces {
			n.t.Errorf("%s: the passes count %v, want %d rows, %d rejected, %d pieces", f.name, counted, f.rows, f.bad, f.pieces)
		}
	}
	for person := range importPeople {
		var is warehouse.Profile
		_, err := n.Do(n.t.Context(), http.MethodPost, "/v2/profile/lookup", map[string]string{"field": "customer", "value": fmt.Sprintf("id-%d", person)}, &is)
		for _, f := range flows {
			want := f.sums[person]
			if got, _ := is.Values[f.name].(float64); int64(got) != want {
				n.t.Errorf("%s of person %d is %v, want %d (%v)", f.name, person, is.Values[f.name], want, err)
			}
		}
	}
}
