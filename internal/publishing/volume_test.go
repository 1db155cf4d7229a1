package publishing_test

import (
	"bytes"
	"encoding/csv"
	"flag"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"usher/internal/activation"
)

// uploadRows is how many rows the long upload has: 100000 are as many as the docs speak of.
var uploadRows = flag.Int("upload-rows", 2500, "rows of the long upload")

// TestAnUploadOfManyRows: however many deletes a file has, they are one upload. It says
// how long it took and judges only what is there.
func TestAnUploadOfManyRows(t *testing.T) {
	n := *uploadRows
	if raceEnabled {
		n /= 4
	}
	o := openOffice(t)
	all := []activation.PublisherObject{
		thing(activation.KindCampaign, "11", "campaign", activation.ObjectRef{}, "name=Shoes", "status=enabled", "budget=50", "channel=search"),
		thing(activation.KindGroup, "21", "ad group", shoes, "name=Red"),
	}
	var file strings.Builder
	file.WriteString("Action,Ad ID\n")
	for i := range n {
		all = append(all, thing(activation.KindCreative, fmt.Sprint(1000+i), "ad", red, fmt.Sprint("headline=Ad ", i), "final_url=https://example.com", "status=enabled"))
		fmt.Fprintf(&file, "remove,%d\n", 1000+i)
	}
	o.has(all...)
	begun := time.Now()
	p := o.preview(file.String())
	seen := time.Since(begun)
	if p.Deletes != int64(n) || p.Errors != 0 {
		t.Fatalf("%+v", p.EditResult)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	made := o.upload(file.String(), false)
	runtime.ReadMemStats(&after)
	t.Logf("%d rows: preview %v, upload %v, %d MB allocated in all", n, seen, time.Since(begun)-seen, (after.TotalAlloc-before.TotalAlloc)>>20)
	parent, err := o.store.Entry(t.Context(), made.Parent)
	o.ok(err)
	if parent.Children[activation.EntryToBeSent] != int64(n) || len(made.Entries) != 100 {
		t.Errorf("%s, %d entries", asJSON(parent), len(made.Entries))
	}
	x, err := o.store.Object(t.Context(), o.account.ID, ref(activation.KindCreative, fmt.Sprint(1000+n-1)))
	if err != nil || !x.Deleted {
		t.Errorf("%+v, %v", x, err)
	}
}

// TestErrorFile: what failed of an upload is a file that says why, and that can be
// mended and uploaded as it is.
func TestErrorFile(t *testing.T) {
	o := stocked(t)
	made := o.upload("Action,Type,Campaign,Ad group,Keyword,Match type,Status,Budget,Max CPC,Channel,Client ID\n"+
		",,Shoes,,,,paused,,,,c-1\n,,Hats,,,,,10,,search,c-2\n,,Hats,Straw,,,,,0.3,,\n,,Shoes,Red,red shoes,exact,,,[],,\nremove,,Shoes,Blue,,,,,,,\n,,Bags,,,,enabled,,,,\n", false)
	if made.Errors != 0 || made.Parent == 0 {
		t.Fatal(told(made.Problems))
	}
	_, err := o.store.MoveEntries(t.Context(), activation.CommandPost, activation.EntryQuery{Publisher: o.account.ID, Parent: made.Parent}, "bob", false)
	o.ok(err)
	p, err := o.store.TakePass(t.Context(), o.account.PostJob, "node", time.Minute)
	o.ok(err)
	head, _, err := o.store.QueueHead(t.Context(), o.account.ID, 100)
	o.ok(err)
	var ids []activation.EntryID
	var outcomes []activation.EntryOutcome
	for _, e := range head {
		ids = append(ids, e.ID)
		outcome := activation.EntryOutcome{Entry: e.ID, Status: activation.EntryFailed, ErrorCode: "OFFICE-POLICY", ErrorText: "not, \"allowed\"", ErrorField: "status", RequestID: "r-1"}
		if e.ObjectName == "Bags" {
			outcome = activation.EntryOutcome{Entry: e.ID, Status: activation.EntryDone}
		}
		if len(e.Refers) > 0 {
			continue // it fails with its create
		}
		outcomes = append(outcomes, outcome)
	}
	ids = ids[:0]
	for _, x := range outcomes {
		ids = append(ids, x.Entry)
	}
	for i, id := range ids {
		_, err = o.store.ClaimEntries(t.Context(), p, o.account.ID, []activation.EntryID{id})
		o.ok(err)
		o.ok(o.store.SettleEntries(t.Context(), p, o.account.ID, outcomes[i:i+1]))
	}
	var file bytes.Buffer
	o.ok(o.ErrorFile(t.Context(), made.Parent, &file))
	rows, err := csv.NewReader(&file).ReadAll()
	o.ok(err)
	var got []string
	for _, r := range rows {
		got = append(got, strings.Join(r, "|"))
	}
	want := []string{
		"Action|Type|Campaign|Ad group|Keyword|Match type|Status|Budget|Max CPC|Channel|Client ID|Result|Error code|Error message|Field|Request ID|Row",
		`set|campaign|Shoes||||paused||||c-1|failed|OFFICE-POLICY|not, "allowed"|status|r-1|2`,
		`add|campaign|Hats|||||10||search|c-2|failed|OFFICE-POLICY|not, "allowed"|status|r-1|3`,
		"add|ad group|Hats|Straw|||||0.3|||failed|PUB-NEEDS-001|*|||4",
		`set|keyword|Shoes|Red|red shoes||||[]|||failed|OFFICE-POLICY|not, "allowed"|status|r-1|5`,
		`remove|ad group|Shoes|Blue||||||||failed|OFFICE-POLICY|not, "allowed"|status|r-1|6`,
	}
	for i, w := range want {
		if i >= len(got) {
			t.Errorf("row %d is not there", i)
			continue
		}
		if a, b, ok := strings.Cut(w, "*"); got[i] != w && !(ok && strings.HasPrefix(got[i], a) && strings.HasSuffix(got[i], b)) {
			t.Errorf("row %d:\n%s, want\n%s", i, got[i], w)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d rows", len(got))
	}
	if err := o.ErrorFile(t.Context(), o.log()[1].ID, &file); activation.KindOf(err) != activation.Invalid {
		t.Errorf("of what is no upload: %v", err)
	}
}
