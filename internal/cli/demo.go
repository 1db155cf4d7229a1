package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/vbauerster/mpb/v8/decor"

	"usher/internal/activation"
	"usher/internal/api/client"
	"usher/internal/cli/demodata"
	"usher/internal/config"
	"usher/internal/ingest"
	"usher/internal/server"
	"usher/internal/warehouse"
	"usher/sandbox"
	"usher/sandbox/expect"
	"usher/sandbox/meta"
)

func (a *app) demoCommand() *cobra.Command {
	var once bool
	var data, dir, listen string
	var percent float64
	c := &cobra.Command{
		Use: "demo", Short: "The whole story on sample data: people in, audiences at the network, proved", Args: cobra.NoArgs,
		Long: `Start the server and the sandbox on loopback, load a shop's customers and orders,
work out what each customer is worth and where he lives, make three audiences,
send them to Meta's stand-in, change some of the people and send again. Then
compare, member by member, what the stand-in holds with what a program that
shares no code with the server says it should hold. Then edit campaigns at
Google's stand-in by a file, in order. Then keep serving.`,
		Example: `  usher demo
  usher demo --once --data ./adventureworks`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			d := &demo{app: a, cmd: cmd, once: once, percent: percent}
			return d.run(cmd.Context(), data, dir, listen)
		},
	}
	f := c.Flags()
	f.BoolVar(&once, "once", false, "exit instead of serving: 0 only if everything matched")
	f.StringVar(&data, "data", "", "directory with the AdventureWorks CSV files (default: the bundled part of them)")
	f.StringVar(&dir, "dir", "", "directory for the server's data (default: a temporary one, removed at the end)")
	f.StringVar(&listen, "listen", "127.0.0.1:0", "address of the API and the console")
	f.Float64Var(&percent, "percent", 1, "how many per cent of the people change before the second run")
	return c
}

// demo is one walk through the product, by its own API.
type demo struct {
	*app
	cmd     *cobra.Command
	once    bool
	percent float64

	api     *client.Client
	sandbox *sandbox.Sandbox
	jobs    map[string]activation.JobID // by audience
	matched bool
}

// demoAccount is the ad account of the demo.
const demoAccount = "4711"

func (d *demo) run(ctx context.Context, data, dir, listen string) (err error) {
	start := time.Now()
	work := dir
	if work == "" {
		if work, err = os.MkdirTemp("", "usher-demo-"); err != nil {
			return environmentError("%w", err)
		}
		defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	}
	first := filepath.Join(work, "delivery-1")
	if data != "" {
		first = data
	} else if err := writeFiles(demodata.Files, first); err != nil {
		return err
	}

	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	ln, err := sandbox.Listen(ctx, "127.0.0.1:0")
	if err != nil {
		return environmentError("%w", err)
	}
	d.sandbox = sandbox.New(sandbox.Options{Seed: 1})
	cfg := config.Default()
	cfg.Data, cfg.Listen, cfg.AllowHosts, cfg.LogLevel = filepath.Join(work, "data"), listen, []string{ln.Addr().String()}, "warn"
	log := slog.New(slog.NewTextHandler(d.err, &slog.HandlerOptions{Level: slog.LevelWarn}))
	s, err := server.New(ctx, cfg, log, server.Options{Version: Version})
	if err != nil {
		return errors.Join(&exitError{exitEnvironment, err}, ln.Close())
	}
	ended := make(chan error, 2)
	go func() { ended <- d.sandbox.Serve(ctx, ln) }()
	go func() { ended <- runServer(ctx, s, log) }()
	defer func() {
		stop(nil)
		err = errors.Join(err, <-ended, <-ended)
	}()

	token, err := os.ReadFile(filepath.Join(cfg.Data, tokenFile))
	if err != nil {
		return err
	}
	d.api = &client.Client{URL: s.URL(), Token: string(token)}
	if err := d.api.WaitReady(ctx); err != nil {
		return err
	}
	d.say("server %s · sandbox http://%s/meta", s.URL(), ln.Addr())

	if err := d.story(ctx, first, filepath.Join(work, "delivery-2"), "http://"+ln.Addr().String()+"/meta"); err != nil {
		return err
	}
	d.say("took %s", time.Since(start).Round(100*time.Millisecond))
	if !d.matched {
		d.say("the sandbox does not hold what it should")
		if d.once {
			return &exitError{exitFailed, errors.New("what the sandbox holds differs from what it should hold")}
		}
	}
	if d.once {
		return nil
	}
	console := s.URL() + "  (sign in with your account)"
	if link := s.SignInURL(); link != "" {
		console = link + "  (signs you in once)"
	}
	_, _ = fmt.Fprintf(d.out, "\nConsole: %s\nStop with Ctrl-C.\n", console)
	<-ctx.Done()
	return nil
}

// story is what the demo shows, step by step.
func (d *demo) story(ctx context.Context, first, second, network string) error {
	if err := d.declare(ctx); err != nil {
		return fmt.Errorf("declare fields and mappings: %w", err)
	}
	if err := d.load(ctx, first); err != nil {
		return err
	}
	if err := d.audiences(ctx); err != nil {
		return fmt.Errorf("make audiences: %w", err)
	}
	if err := d.connect(ctx, network); err != nil {
		return fmt.Errorf("connect the network: %w", err)
	}
	d.matched = true
	if err := d.settle(ctx, "first run", 1, first); err != nil {
		return err
	}
	changed, err := expect.Change{Percent: d.percent, Seed: 7}.Write(mustDir(second), os.DirFS(first))
	if err != nil {
		return fmt.Errorf("change people: %w", err)
	}
	n := 0
	for _, keys := range changed {
		n += len(keys)
	}
	d.say("%s people change: new orders, moves, e-mails, corrections", count(n))
	if err := d.load(ctx, second); err != nil {
		return err
	}
	for _, id := range d.jobs {
		if _, err := d.api.Do(ctx, http.MethodPost, "/v2/job/"+string(id)+"/run", nil, nil); err != nil {
			return err
		}
	}
	if err := d.settle(ctx, "second run", 2, first, second); err != nil {
		return err
	}
	if err := d.live(ctx); err != nil {
		return err
	}
	if err := d.campaigns(ctx, network); err != nil {
		return fmt.Errorf("edit campaigns: %w", err)
	}
	return nil
}

// demoSchema is what the shop's files mean.
func demoSchema() warehouse.Schema {
	latest := func(name string, t warehouse.FieldType, pii bool) warehouse.Field {
		return warehouse.Field{Name: name, Type: t, Merge: warehouse.Latest, PII: pii}
	}
	mapping := func(stream string, pairs ...string) []warehouse.Mapping {
		var out []warehouse.Mapping
		for i := 0; i < len(pairs); i += 2 {
			out = append(out, warehouse.Mapping{Stream: stream, Field: pairs[i], Expression: pairs[i+1]})
		}
		return out
	}
	key := latest("customer_key", warehouse.Text, false)
	key.Rank = 1
	return warehouse.Schema{
		Fields: []warehouse.Field{
			key,
			latest("first_name", warehouse.Text, true), latest("last_name", warehouse.Text, true), latest("email", warehouse.Text, true),
			latest("birth_date", warehouse.Time, true), latest("gender", warehouse.Text, false), latest("income", warehouse.Number, false),
			latest("home_owner", warehouse.Boolean, false), latest("children", warehouse.Integer, false), latest("country", warehouse.Text, false),
			{Name: "lifetime_value", Type: warehouse.Number, Merge: warehouse.Sum},
			{Name: "order_lines", Type: warehouse.Integer, Merge: warehouse.Count},
			{Name: "last_order", Type: warehouse.Time, Merge: warehouse.Max},
		},
		Streams: []warehouse.Stream{
			{Name: "products", ReferenceKey: "ProductKey"},
			{Name: "territories", ReferenceKey: "SalesTerritoryKey"},
			{Name: "customers"},
			{Name: "sales", TimestampField: "OrderDate", DateOrder: "mdy", MessageID: []string{"OrderNumber", "OrderLineItem", "CustomerKey"}},
		},
		Mappings: slices.Concat(
			mapping("customers",
				"customer_key", "CustomerKey", "first_name", "FirstName", "last_name", "LastName", "email", "EmailAddress",
				"birth_date", `date(BirthDate, "mdy")`, "gender", `if(Gender = "M", "m", if(Gender = "F", "f", ""))`, "income", "number(AnnualIncome)",
				"home_owner", `HomeOwner = "Y"`, "children", "TotalChildren"),
			mapping("sales",
				"customer_key", "CustomerKey",
				"lifetime_value", `number(OrderQuantity) * number(lookup("products", ProductKey, "ProductPrice"))`,
				"country", `lookup("territories", TerritoryKey, "Country")`,
				"order_lines", "OrderNumber", "last_order", `date(OrderDate, "mdy")`),
		),
	}
}

// declare declares streams and fields, then mappings, by the API.
func (d *demo) declare(ctx context.Context) error {
	s := demoSchema()
	for _, st := range s.Streams {
		if _, err := d.api.Do(ctx, http.MethodPut, "/v2/stream/"+st.Name, st, nil); err != nil {
			return err
		}
	}
	for _, f := range s.Fields {
		if _, err := d.api.Do(ctx, http.MethodPost, "/v2/field", f, nil); err != nil {
			return err
		}
	}
	by := map[string]map[string]string{}
	for _, m := range s.Mappings {
		if by[m.Stream] == nil {
			by[m.Stream] = map[string]string{}
		}
		by[m.Stream][m.Field] = m.Expression
	}
	for stream, set := range by {
		if _, err := d.api.Do(ctx, http.MethodPut, "/v2/mapping/"+stream, set, nil); err != nil {
			return err
		}
	}
	return nil
}

// load uploads the files of one delivery, each to its stream, and waits until
// they are in the profiles.
func (d *demo) load(ctx context.Context, dir string) error {
	names, err := filepath.Glob(filepath.Join(dir, "AdventureWorks_*.csv"))
	if err != nil {
		return err
	}
	if len(names) == 0 {
		return usageError("%s holds no AdventureWorks_*.csv files", dir)
	}
	slices.SortFunc(names, func(x, y string) int {
		if c := streamRank(x) - streamRank(y); c != 0 {
			return c
		}
		return strings.Compare(x, y)
	})
	bars := d.progress(d.cmd)
	var ids []string
	var rows int64
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		info, err := f.Stat()
		if err != nil {
			return errors.Join(err, f.Close())
		}
		b := bar(bars, strings.TrimSuffix(filepath.Base(name), ".csv"), info.Size(), decor.CountersKibiByte("% .1f / % .1f"))
		var sum ingest.Summary
		err = d.api.Upload(ctx, "/collect/bulk/"+streamOf(name)+"?filename="+filepath.Base(name), "text/csv", b.ProxyReader(io.NopCloser(f)), &sum)
		if cerr := f.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			b.Abort(false)
			bars.Wait()
			return fmt.Errorf("load %s: %w", filepath.Base(name), err)
		}
		b.SetTotal(-1, true)
		if sum.LoadID != "" {
			ids = append(ids, sum.LoadID)
		}
		rows += sum.MessageCount
	}
	merged := bar(bars, "in profiles", max(rows, 1), decor.CountersNoUnit("%d / %d"))
	var before int64
	for _, id := range ids {
		v, err := awaitLoad(ctx, d.api, id, func(v loadView) { merged.SetCurrent(before + v.Done) })
		if err != nil {
			merged.Abort(false)
			bars.Wait()
			return err
		}
		before += v.Rows
	}
	merged.SetTotal(-1, true)
	bars.Wait()
	var people struct {
		Profiles int64 `json:"profiles"`
	}
	if _, err := d.api.Do(ctx, http.MethodGet, "/v2/profile/count", nil, &people); err != nil {
		return err
	}
	d.say("%s messages in, %s people", count(rows), count(people.Profiles))
	return nil
}

// demoFiles say which stream a file belongs to, in the order of loading.
var demoFiles = []string{"products", "territories", "customers", "sales"}

func streamRank(name string) int { return slices.Index(demoFiles, streamOf(name)) }

func streamOf(name string) string {
	s := strings.ToLower(strings.TrimPrefix(filepath.Base(name), "AdventureWorks_"))
	s, _, _ = strings.Cut(s, ".")
	s, _, _ = strings.Cut(s, "_")
	return s
}

// demoAudiences are the audiences of the demo, in the order shown.
var demoAudiences = []string{expect.BigSpenders, expect.VIPs, expect.USHomeowners}

// demoRules are their rules.
var demoRules = map[string]string{
	expect.BigSpenders:  `FILTER lifetime_value > 1000`,
	expect.VIPs:         `FILTER lifetime_value > 5000`,
	expect.USHomeowners: `FILTER AND (country = "United States", home_owner = true)`,
}

func (d *demo) audiences(ctx context.Context) error {
	for _, slug := range demoAudiences {
		var out audienceView
		body := map[string]string{"slug_name": slug, "name": title(slug), "segment_ql": demoRules[slug]}
		if _, err := d.api.Do(ctx, http.MethodPost, "/v2/segment", body, &out); err != nil {
			return err
		}
		d.say("audience %-14s %6s people   %s", slug, count(out.Size), demoRules[slug])
	}
	return nil
}

// connect stores credentials, names the account and creates one job an audience.
func (d *demo) connect(ctx context.Context, network string) error {
	var auth client.Authorization
	body := map[string]any{"label": "Meta (sandbox)", "config": map[string]string{"access_token": meta.DefaultToken, "base_url": network}}
	if _, err := d.api.Do(ctx, http.MethodPost, "/v2/auth/meta", body, &auth); err != nil {
		return err
	}
	var dest activation.Destination
	if _, err := d.api.Do(ctx, http.MethodPost, "/v2/destination", map[string]any{
		"name": "AdventureWorks on Meta", "provider": "meta", "auth_id": auth.ID, "account": demoAccount,
		"mapping": map[string]string{
			"EXTERN_ID": "customer_key", "EMAIL": "email", "FN": "first_name", "LN": "last_name", "COUNTRY": "country", "GEN": "gender",
		},
	}, &dest); err != nil {
		return err
	}
	if _, err := d.api.Do(ctx, http.MethodPost, "/v2/destination/"+string(dest.ID)+"/test", nil, nil); err != nil {
		return err
	}
	d.jobs = map[string]activation.JobID{}
	for _, slug := range demoAudiences {
		var job client.Job
		if _, err := d.api.Do(ctx, http.MethodPost, "/v2/job/meta_custom_audience", map[string]any{
			"name": title(slug) + " to Meta", "destination_id": dest.ID, "segment_ids": []string{slug},
		}, &job); err != nil {
			return err
		}
		d.jobs[slug] = job.ID
	}
	return nil
}

// settle waits for the nth run of every job, then compares and shows.
func (d *demo) settle(ctx context.Context, name string, n int, deliveries ...string) error {
	runs := map[string]runView{}
	bars := d.progress(d.cmd)
	for _, slug := range demoAudiences {
		b := bar(bars, name+" "+slug, 0, decor.CountersNoUnit("%d / %d"))
		r, err := d.await(ctx, d.jobs[slug], n, func(r runView) {
			b.SetTotal(r.Counts.Staged, false)
			b.SetCurrent(r.Counts.Sent)
		})
		if err != nil {
			b.Abort(false)
			bars.Wait()
			return fmt.Errorf("%s of %s: %w", name, slug, err)
		}
		b.SetTotal(r.Counts.Staged, false)
		b.SetCurrent(r.Counts.Sent)
		b.SetTotal(-1, true)
		runs[slug] = r
	}
	bars.Wait()
	expected, err := judge(ctx, deliveries)
	if err != nil {
		return fmt.Errorf("ask the judge: %w", err)
	}
	return d.report(name, runs, expected)
}

// await waits until the job has n runs that have ended, and returns the newest;
// each is told how far the newest is.
func (d *demo) await(ctx context.Context, job activation.JobID, n int, each func(runView)) (runView, error) {
	for {
		var runs []runView
		if _, err := d.api.Do(ctx, http.MethodGet, "/v2/run?job_id="+string(job), nil, &runs); err != nil {
			return runView{}, err
		}
		ended := 0
		for _, r := range runs {
			if r.Status == activation.RunCompleted {
				ended++
			}
			if r.Status == activation.RunFailed || r.Reason == activation.SleepApproval {
				return runView{}, fmt.Errorf("run #%d is %s: %s %s", r.Number, runWord(r.Run), r.ErrorCode, r.ErrorText)
			}
		}
		if ended >= n {
			return runs[0], nil
		}
		if len(runs) > 0 {
			each(runs[0])
		}
		select {
		case <-ctx.Done():
			return runView{}, context.Cause(ctx)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// judge asks, in a process of its own, who should be in which audience.
func judge(ctx context.Context, deliveries []string) (map[string][]expect.Member, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, append([]string{"sandbox", "expect", "--members"}, deliveries...)...) //nolint:gosec // our own program
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, strings.TrimSpace(errs.String()))
	}
	var sets map[string][]expect.Member
	return sets, json.Unmarshal(out.Bytes(), &sets)
}

// report prints the table of a round and remembers whether all matched.
func (d *demo) report(name string, runs map[string]runView, expected map[string][]expect.Member) error {
	held := d.held()
	rows := make([][]string, 0, len(demoAudiences))
	for _, slug := range demoAudiences {
		c := runs[slug].Counts
		verdict := compare(expected[slug], held[slug])
		if verdict != "equal" {
			d.matched = false
		}
		rows = append(rows, []string{
			slug, count(c.Selected), count(c.Omitted), count(c.Added), count(c.Removed), count(c.Unchanged), count(c.Accepted), count(c.Rejected + c.Unplaced),
			count(len(expected[slug])), count(len(held[slug])), verdict,
		})
	}
	_, _ = fmt.Fprintf(d.out, "\n%s\n", name)
	return d.table([]string{"AUDIENCE", "SELECTED", "OMITTED", "ADDED", "REMOVED", "UNCHANGED", "ACCEPTED", "REJECTED", "EXPECTED", "AT THE SANDBOX", "MEMBER BY MEMBER"}, rows)
}

// held is who is in each audience at the sandbox.
func (d *demo) held() map[string][]meta.Member {
	held := map[string][]meta.Member{}
	for _, aud := range d.sandbox.Meta().Audiences() {
		for _, slug := range demoAudiences {
			if strings.Contains(aud.Name, title(slug)) {
				held[slug], _ = d.sandbox.Meta().Members(aud.ID)
			}
		}
	}
	return held
}

// compare compares two sets of people by customer key and e-mail hash.
func compare(expected []expect.Member, held []meta.Member) string {
	want := map[string]string{}
	for _, m := range expected {
		want[m.CustomerKey] = m.EmailSHA256
	}
	missing, extra, other := 0, 0, 0
	for _, m := range held {
		email, ok := want[m.ExternID]
		switch {
		case !ok:
			extra++
		case !slices.Equal(m.Keys["EMAIL"], []string{email}):
			other++
		}
		delete(want, m.ExternID)
	}
	missing = len(want)
	if missing+extra+other == 0 {
		return "equal"
	}
	return fmt.Sprintf("%d missing, %d too many, %d with other keys", missing, extra, other)
}

func title(slug string) string {
	return map[string]string{expect.BigSpenders: "Big spenders", expect.VIPs: "Very important", expect.USHomeowners: "Home owners in the US"}[slug]
}

// deliveries are directories as file systems.
func deliveries(dirs []string) []fs.FS {
	out := make([]fs.FS, len(dirs))
	for i, dir := range dirs {
		out[i] = os.DirFS(dir)
	}
	return out
}

func mustDir(dir string) string {
	_ = os.MkdirAll(dir, 0o700) // writing into it will say what is wrong
	return dir
}

// writeFiles copies the files of src into dir.
func writeFiles(src fs.FS, dir string) error {
	return fs.WalkDir(src, ".", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		in, err := src.Open(path)
		if err != nil {
			return err
		}
		defer func() { _ = in.Close() }()
		raw, err := io.ReadAll(in)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(mustDir(dir), filepath.Base(path)), raw, 0o600)
	})
}
