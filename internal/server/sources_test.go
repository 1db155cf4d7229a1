package server_test

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/api/client"
	"usher/internal/config"
	"usher/internal/provider"
	"usher/internal/provider/mysql/mysqltest"
	"usher/internal/provider/postgres/postgrestest"
	"usher/internal/provider/singer/singertest"
	"usher/internal/server"
	sandboxs3 "usher/sandbox/s3"
	sandboxwebhook "usher/sandbox/webhook"
)

// source is one thing to import from, and how rows come into it.
type source struct {
	provider, id string // id is the column that names a person
	auth         map[string]provider.Secret
	settings     map[string]string
	// add brings the people from up to, without it, numbered.
	add func(from, to int)
}

// TestSourceStories goes through each source with a whole server: rows become
// people, the second pass brings only what is new, the position is told and can be
// reset, and a job that is deleted leaves nothing behind. A program is then asked
// about everybody.
func TestSourceStories(t *testing.T) {
	if server.RaceEnabled {
		t.Skip("it is run without the race detector by make test, to be done in time; the parts are tried with it one by one")
	}
	far := startSandbox(t)
	pg, my, tap := postgrestest.Open(t, nil), mysqltest.New(t), singertest.Open(t)
	t.Cleanup(pg.Close)
	dir := t.TempDir()
	t.Cleanup(func() { nothingKept(t, dir) })
	n := serve(t, dir, far, func(c *config.Config) {
		c.Programs = tap.Deps().Programs
		c.AllowHosts = append(append(c.AllowHosts, pg.Hosts()...), my.Hosts()...)
	})
	n.must(http.MethodPost, "/v2/field", map[string]any{"name": "customer", "type": "text", "merge": "latest", "identifier_rank": 1, "pii": false, "public": false}, nil)

	rows := func(from, to int) string {
		var out []string
		for i := from; i < to; i++ {
			out = append(out, fmt.Sprintf("(%d, 'p%d')", i, i))
		}
		return strings.Join(out, ", ")
	}
	pg.Do(`CREATE TABLE ` + pg.Schema + `.people (id int PRIMARY KEY, name text)`)
	pg.Do(`GRANT SELECT ON ` + pg.Schema + `.people TO ` + pg.Role)
	my.Do(`CREATE TABLE people (id int PRIMARY KEY, name text)`)
	bucket := n.bucket(far)
	for _, s := range []source{
		{
			"postgres", "id", pg.Deps().Auth,
			map[string]string{"database": pg.Deps().Account, "table": pg.Schema + ".people", "cursor_column": "id"},
			func(from, to int) { pg.Do(`INSERT INTO ` + pg.Schema + `.people VALUES ` + rows(from, to)) },
		},
		{
			"mysql", "id", my.Deps().Auth,
			map[string]string{"table": "people", "cursor_column": "id"},
			func(from, to int) { my.Do(`INSERT INTO people VALUES ` + rows(from, to)) },
		},
		{
			"s3", "id", bucket,
			map[string]string{"bucket": sandboxs3.DefaultBucket, "prefix": "people"},
			func(from, to int) {
				text := "id,name\n"
				for i := from; i < to; i++ {
					text += fmt.Sprintf("%d,p%d\n", i, i)
				}
				if err := far.Network("s3").(*sandboxs3.Network).Put(sandboxs3.DefaultBucket, fmt.Sprintf("people/%04d.csv", from), []byte(text)); err != nil {
					t.Fatal(err)
				}
			},
		},
		{
			"singer", "name", tap.Deps().Auth,
			map[string]string{"program": "tap-test", "tap_stream": "shop-people"},
			func(from, to int) {
				var words []string
				for i := from; i < to; i++ {
					words = append(words, fmt.Sprintf("p%d", i))
				}
				if err := tap.Add(words); err != nil {
					t.Fatal(err)
				}
			},
		},
	} {
		t.Run(s.provider, func(t *testing.T) {
			n := &near{Client: n.Client, t: t, dir: n.dir}
			n.sourceStory(s)
		})
	}
	t.Run("webhook", func(t *testing.T) {
		n := &near{Client: n.Client, t: t, dir: n.dir}
		n.enrichmentStory(far, n.countPeople())
	})
}

func (n *near) sourceStory(s source) {
	n.t.Helper()
	f := &flow{name: s.provider + "_people", workflow: s.provider + "_import"}
	n.must(http.MethodPut, "/v2/stream/"+f.name, map[string]any{}, nil)
	n.must(http.MethodPut, "/v2/mapping/"+f.name, map[string]string{"customer": fmt.Sprintf("concat(%q, %s)", s.provider+"-", s.id)}, nil)
	before := n.countPeople()
	s.add(1, 11)
	f.job = n.importJob(s.provider, f, s.auth, s.settings)
	n.counted(f.job, 1, map[string]int64{"rows": 10, "new_profiles": 10})
	s.add(11, 14)
	n.must(http.MethodPost, "/v2/job/"+string(f.job)+"/run", nil, nil)
	n.counted(f.job, 2, map[string]int64{"rows": 3, "new_profiles": 3})
	n.must(http.MethodPost, "/v2/job/"+string(f.job)+"/run", nil, nil)
	n.counted(f.job, 3, map[string]int64{"rows": 0, "new_profiles": 0})
	at := n.position(f.job)
	if at.Rows != 13 || at.Pieces < 2 || at.Last == "" || at.Position == "" {
		n.t.Errorf("position: %+v", at)
	}
	// From the beginning again: the rows come anew, the people are there.
	n.must(http.MethodPost, "/v2/job/"+string(f.job)+"/reset", nil, nil)
	if at := n.position(f.job); at.Rows != 0 || at.Pieces != 0 || at.Position != "" {
		n.t.Errorf("position after the reset: %+v", at)
	}
	n.must(http.MethodPost, "/v2/job/"+string(f.job)+"/run", nil, nil)
	n.counted(f.job, 4, map[string]int64{"rows": 13, "new_profiles": 0})
	if got := n.countPeople() - before; got != 13 {
		n.t.Errorf("%d people came, want 13", got)
	}
	var metrics []client.Metric
	n.must(http.MethodGet, "/v2/job/"+string(f.job)+"/metric", nil, &metrics)
	for _, m := range metrics {
		if m.Name == "new_profiles" && m.Total != 13 {
			n.t.Errorf("the metrics of the job count %d new people, want 13", m.Total)
		}
	}
	if len(metrics) == 0 {
		n.t.Error("the job has no metrics")
	}
	n.must(http.MethodDelete, "/v2/job/"+string(f.job), nil, nil)
}

// counted waits until the numbered pass is over and compares its counts.
func (n *near) counted(job activation.JobID, number int64, want map[string]int64) {
	n.t.Helper()
	var last activation.Pass
	n.eventually(fmt.Sprintf("pass %d", number), time.Minute, func() (bool, string) {
		all := n.passes(job)
		if len(all) > 0 {
			last = all[0]
		}
		return last.Number == number && last.Status.Final(), fmt.Sprintf("pass %d is %s: %s", last.Number, last.Status, last.ErrorText)
	})
	if last.Status != activation.RunCompleted {
		n.t.Fatalf("pass %d is %s: %s %s", number, last.Status, last.ErrorCode, last.ErrorText)
	}
	for name, c := range want {
		if last.Counts[name] != c {
			n.t.Errorf("pass %d counts %d %s, want %d (%v)", number, last.Counts[name], name, c, last.Counts)
		}
	}
}

func (n *near) countPeople() int64 {
	n.t.Helper()
	var people struct{ Profiles int64 }
	n.must(http.MethodGet, "/v2/profile/count", nil, &people)
	return people.Profiles
}

// bucket is what opens the sandbox's bucket.
func (n *near) bucket(far *far) map[string]provider.Secret {
	return map[string]provider.Secret{
		"endpoint": provider.Secret("http://" + far.addr + "/s3"), "access_key": sandboxs3.DefaultAccessKey, "secret_key": sandboxs3.DefaultSecretKey,
	}
}

// enrichmentStory asks the sandbox's program about everybody, once.
func (n *near) enrichmentStory(far *far, people int64) {
	n.t.Helper()
	f := &flow{name: "scores", workflow: "webhook_enrichment"}
	n.must(http.MethodPut, "/v2/stream/scores", map[string]any{"message_id_fields": []string{"enrichment_id"}}, nil)
	n.must(http.MethodPost, "/v2/field", map[string]any{"name": "score", "type": "integer", "merge": "latest", "pii": false, "public": false}, nil)
	n.must(http.MethodPut, "/v2/mapping/scores", map[string]string{"customer": "customer", "score": "score"}, nil)
	auth := map[string]provider.Secret{"webhook_url": provider.Secret("http://" + far.addr + "/webhook/enrich"), "signing_secret": sandboxwebhook.DefaultSecret}
	f.job = n.importJob("webhook", f, auth, map[string]string{"batch_requests": "true", "batch_size": "20"})
	n.counted(f.job, 1, map[string]int64{"failed": 0})
	first := n.passes(f.job)[0].Counts
	if first["replies"]+first["no_reply"] != people || first["replies"] == 0 || first["no_reply"] == 0 {
		n.t.Errorf("the pass counts %v of %d people", first, people)
	}
	n.must(http.MethodPost, "/v2/job/"+string(f.job)+"/run", nil, nil)
	n.counted(f.job, 2, map[string]int64{"replies": 0, "no_reply": 0})
	if now := n.countPeople(); now != people {
		n.t.Errorf("%d people, there were %d: replies are messages of people who are there", now, people)
	}
	var metrics []client.Metric
	n.must(http.MethodGet, "/v2/job/"+string(f.job)+"/metric", nil, &metrics)
	if len(metrics) == 0 {
		n.t.Error("the job has no metrics")
	}
	n.must(http.MethodDelete, "/v2/job/"+string(f.job), nil, nil)
}

// nothingKept looks, when the server has ended, whether its inbox still knows where
// a job stood.
func nothingKept(t *testing.T, dir string) {
	db, err := sql.Open("sqlite", filepath.Join(dir, "inbox", "inbox.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	var rows int
	if err := db.QueryRowContext(context.Background(), `SELECT count(*) FROM imports`).Scan(&rows); err != nil || rows != 0 {
		t.Errorf("where %d deleted jobs stood is still in the inbox (%v)", rows, err)
	}
}
