package publishing_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/provider"
	"usher/internal/provider/drop/sftpdrop/sshdtest"
	"usher/internal/provider/sftp"
	"usher/internal/publishing"
)

func dropDefinitions() []provider.Definition { return []provider.Definition{sftp.Definition()} }

const dropWorkflow = "sftp_publisher_upload"

// folder is a drop folder on a real server, and the job that reads it.
type folder struct {
	*office
	dir string
	job activation.Job
	// crash, where it is not nil, ends the process at a step of the store.
	crash func(step string) error
}

var errDropCrash = errors.New("the process is gone")

// dropStore ends the process before or after a writing.
type dropStore struct {
	officeStore
	f *folder
}

func (s dropStore) WriteEntries(ctx context.Context, id activation.PublisherID, parent *activation.Entry, entries []activation.Entry, w activation.EntryWrite) ([]activation.Entry, error) {
	if err := s.f.dies("before"); err != nil {
		return nil, err
	}
	out, err := s.officeStore.WriteEntries(ctx, id, parent, entries, w)
	if err == nil {
		err = s.f.dies("after")
	}
	return out, err
}

func (f *folder) dies(step string) error {
	if f.crash == nil {
		return nil
	}
	return f.crash(step)
}

func openDrop(t *testing.T, settings map[string]string) *folder {
	t.Helper()
	server := sshdtest.Start(t)
	f := &folder{office: stocked(t), dir: server.Folder}
	auth, err := f.store.CreateAuthorization(t.Context(), activation.Authorization{Label: "drop", Provider: "sftp", KeyID: "k", Sealed: []byte("sealed")}, "ann")
	f.ok(err)
	conf := map[string]string{"folder": server.Folder, "prefix": "edits_", "settle": "0s", "publisher": string(f.account.ID)}
	maps.Copy(conf, settings)
	f.job, err = f.store.CreateJob(t.Context(), activation.Job{
		Name: "Drop", Workflow: dropWorkflow, Provider: "sftp", Type: "import", CreatedBy: "cat", Config: conf, Authorizations: []activation.AuthorizationID{auth.ID},
		Schedule: activation.Schedule{Continuous: true, Frequency: activation.Realtime},
	})
	f.ok(err)
	f.source = func(job activation.Job) (provider.Source, error) {
		d := server.Deps(nil)
		d.Config, d.Workflow = job.Config, job.Workflow
		return sftp.NewSource(d)
	}
	return f
}

func (f *folder) put(name, body string) {
	f.t.Helper()
	f.ok(os.WriteFile(filepath.Join(f.dir, name), []byte(body), 0o600))
}

// pass is one attempt at a pass, by a process of its own.
func (f *folder) pass() (*progress, error) {
	f.t.Helper()
	d := publishing.New(publishing.Config{
		Store: dropStore{officeStore{f.store, f.office}, f}, Providers: append([]provider.Definition{officeAds()}, dropDefinitions()...), Now: func() time.Time { return f.now },
		Source: func(_ context.Context, job activation.Job) (provider.Source, provider.Definition, error) {
			src, err := f.source(job)
			return src, provider.Definition{}, err
		},
	})
	p := &progress{counts: map[string]int64{}}
	return p, d.Drops().Pass(f.t.Context(), f.job, p)
}

// uploads are the files that became uploads, in the order of the log.
func (f *folder) uploads() (out []string) {
	for _, e := range f.log() {
		if e.IsParent() {
			out = append(out, e.ObjectName)
		}
	}
	return out
}

func TestDropFolder(t *testing.T) {
	f := openDrop(t, map[string]string{"skip_bad_files": "true", "delete_file": "true", "send": "hold"})
	if got := f.Drops().Workflows(); !slices.Equal(got, []string{dropWorkflow}) {
		t.Errorf("workflows %q", got)
	}
	f.put("edits_1.csv", "Campaign,Status\nShoes,paused\nBags,paused\n")
	f.put("edits_2.csv", "Campaign,Status\nSecret name,paused\nBags,stopped\n")
	f.put("edits_3.tsv", wide("Ad group ID\tMax CPC\n21\t0.6\n"))
	f.put("edits_4.csv", "Campaign,Status\nBags,paused\n")
	f.put("other.csv", "Campaign,Status\nBags,enabled\n")
	p, err := f.pass()
	f.ok(err)
	var got []string
	for _, e := range f.log() {
		got = append(got, fmt.Sprintf("%s %s %s", e.Source, e.By, inOneLine(e)))
	}
	want := []string{
		`drop cat held upload   [] Upload “edits_1.csv”: 0 adds, 1 edit, 0 deletes`,
		`drop cat held status campaign 11 [status:enabled>paused] Pause “Shoes”`,
		`drop cat held upload   [] Upload “edits_3.tsv”: 0 adds, 1 edit, 0 deletes`,
		`drop cat held bid group 21 [bid:0.42>0.6] “Red”: bid 0.42 → 0.6`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	notes := []string{
		`info  took "edits_1.csv": 0 adds, 1 edit, 0 deletes, 1 the same; the upload is entry #1`,
		`warn PUB-DROP passed over "edits_2.csv": 2 errors (row 2: PUB-VALUE; row 2: PUB-VALUE; row 3, column Status: PUB-VALUE)`,
		`info  took "edits_3.tsv": 0 adds, 1 edit, 0 deletes, 0 the same; the upload is entry #3`,
		`info  took "edits_4.csv": 0 adds, 0 edits, 0 deletes, 1 the same`,
	}
	if !slices.Equal(p.notes, notes) {
		t.Errorf("notes\n%s", strings.Join(p.notes, "\n"))
	}
	if want := map[string]int64{"files": 3, "rows": 4, "edits": 2, "same": 2, "skipped_files": 1}; !maps.Equal(p.counts, want) {
		t.Errorf("counts %v", p.counts)
	}
	left, err := os.ReadDir(f.dir)
	f.ok(err)
	if len(left) != 1 || left[0].Name() != "other.csv" {
		t.Errorf("left: %v", left)
	}
}

func TestDropFolderStopsAtABadFile(t *testing.T) {
	f := openDrop(t, nil)
	f.put("edits_1.csv", "Campaign,Status\nBags,stopped\nShoes,paused\n")
	f.put("edits_2.csv", "Campaign,Status\nBags,enabled\n")
	for range 2 {
		if _, err := f.pass(); activation.KindOf(err) != activation.Unavailable || activation.CodeOf(err) != "PUB-DROP" || !strings.Contains(activation.SafeMessage(err), `"edits_1.csv" can't be taken: 1 error (row 2, column Status: PUB-VALUE)`) {
			t.Errorf("%v", err)
		}
	}
	if n := len(f.log()); n != 0 {
		t.Errorf("%d entries", n)
	}
	// Somebody mends it.
	f.put("edits_1.csv", "Campaign,Status\nShoes,paused\n")
	_, err := f.pass()
	f.ok(err)
	if got := f.uploads(); !slices.Equal(got, []string{"edits_1.csv", "edits_2.csv"}) {
		t.Errorf("%q", got)
	}
	// Or says that rows with an error are left out.
	f.job.Config["skip_errors"] = "true"
	f.put("edits_3.csv", "Campaign,Status\nBags,stopped\nShoes,enabled\n")
	p, err := f.pass()
	f.ok(err)
	if got := f.uploads(); len(got) != 3 || f.local(shoes, "status") != "enabled" || !strings.HasPrefix(p.notes[0], "warn ") || !strings.Contains(p.notes[0], "left out 1 error (row 2, column Status: PUB-VALUE)") {
		t.Errorf("%q, %q", got, p.notes)
	}
	for field, change := range map[string]map[string]string{
		"publisher": {"publisher": "none"}, "send": {"send": "soon"}, "skip_errors": {"skip_errors": "x"},
	} {
		wrong := f.job
		wrong.Config = maps.Clone(f.job.Config)
		maps.Copy(wrong.Config, change)
		var e *activation.Error
		if err := f.Drops().Pass(t.Context(), wrong, &progress{counts: map[string]int64{}}); !errors.As(err, &e) || e.Kind != activation.Invalid || e.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
}

// TestDropFolderTakesEachFileOnce: the process ends before or after any of its
// writings, and another attempt reads at the same time; every file is one upload.
func TestDropFolderTakesEachFileOnce(t *testing.T) {
	f := openDrop(t, map[string]string{"delete_file": "false"})
	const files = 6
	var want []string
	for i := range files {
		name := fmt.Sprintf("edits_%d.csv", i)
		want = append(want, name)
		f.put(name, fmt.Sprintf("Ad group ID,Max CPC\n21,%d\n22,%d\n", i+1, i+1))
	}
	crashes := 0
	for at := range 4 * files {
		seen := 0
		f.crash = func(string) error {
			if seen++; seen > at%3 {
				crashes++
				return errDropCrash
			}
			return nil
		}
		if _, err := f.pass(); err == nil {
			break
		} else if !errors.Is(err, errDropCrash) {
			t.Fatal(err)
		}
	}
	f.crash = nil
	// Another attempt that was thought dead is at the same file.
	f.put("edits_7.csv", "Ad group ID,Max CPC\n21,70\n")
	other := false
	f.between = func() {
		if other {
			return
		}
		other = true
		if _, err := f.pass(); err != nil {
			t.Error(err)
		}
	}
	if _, err := f.pass(); !errors.Is(err, activation.ErrFenced) {
		t.Errorf("the late one: %v", err)
	}
	if got := f.uploads(); !slices.Equal(got, append(want, "edits_7.csv")) || crashes < files {
		t.Errorf("%d crashes: %q", crashes, got)
	}
	for _, e := range f.log() {
		if e.IsParent() && e.Children[activation.EntryToBeSent] != 2 && e.ObjectName != "edits_7.csv" {
			t.Errorf("%s has %v", e.ObjectName, e.Children)
		}
	}
}
