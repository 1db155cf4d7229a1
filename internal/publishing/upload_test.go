package publishing_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf16"

	"usher/internal/activation"
	"usher/internal/publishing"
)

var update = flag.Bool("update", false, "write golden files")

func (o *office) preview(file string) publishing.UploadPreview {
	o.t.Helper()
	p, err := o.Preview(o.t.Context(), o.account.ID, "edits.csv", strings.NewReader(file))
	o.ok(err)
	return p
}

func (o *office) upload(file string, skip bool) publishing.UploadPreview {
	o.t.Helper()
	p, err := o.Upload(o.t.Context(), o.account.ID, "edits.csv", strings.NewReader(file), activation.SendNightly, skip, "bob")
	o.ok(err)
	return p
}

// told writes problems as people read them.
func told(problems []publishing.Problem) string {
	var b strings.Builder
	for _, p := range problems {
		fmt.Fprintf(&b, "row %d, column %q: %s: %s\n", p.Row, p.Column, p.Code, p.Message)
	}
	return b.String()
}

// TestEveryKindOfMistake: one file with each of them, and what the preview says to it.
func TestEveryKindOfMistake(t *testing.T) {
	o := openOffice(t)
	all := shop()
	for i := range 5 {
		id := fmt.Sprint(101 + i)
		all = append(all, thing(activation.KindCampaign, id, "campaign", activation.ObjectRef{}, "name=Other "+id, "status=enabled", "budget=5", "channel=search"))
	}
	o.has(all...)
	file, err := os.ReadFile(filepath.Join("testdata", "mistakes.csv"))
	o.ok(err)
	p := o.preview(string(file))
	var got strings.Builder
	fmt.Fprintf(&got, "%s: %d rows, %d adds, %d edits, %d deletes, %d the same, %d errors\n", p.Format, p.Rows, p.Adds, p.Edits, p.Deletes, p.Same, p.Errors)
	for _, c := range p.Columns {
		fmt.Fprintf(&got, "column %q: %q\n", c.Header, c.Field)
	}
	got.WriteString(told(p.Problems))
	for _, c := range p.Sample {
		fmt.Fprintf(&got, "row %d: %s %s %q %v\n", c.Row, c.Operation, c.Type, c.Object, c.Changes)
	}
	golden := filepath.Join("testdata", "mistakes.golden")
	if *update {
		o.ok(os.WriteFile(golden, []byte(got.String()), 0o600))
	}
	want, err := os.ReadFile(golden)
	o.ok(err)
	if got.String() != string(want) {
		t.Errorf("the preview says\n%s", got.String())
	}
	// Nothing of it is taken, and nothing of a file that breaks off, whatever is skipped.
	for _, skip := range []bool{false, true} {
		if made := o.upload(string(file), skip); made.Parent != 0 || made.Errors != p.Errors || len(o.log()) != 0 {
			t.Errorf("it was taken: %+v", made.EditResult)
		}
	}
	// Without its broken end, what is right of it is taken.
	whole := file[:bytes.LastIndex(file, []byte("\n,,,,Shoes,,\"Red"))+1]
	made := o.upload(string(whole), true)
	if made.Parent == 0 || made.Errors != p.Errors-1 || int64(len(o.log())) != made.Adds+made.Edits+made.Deletes+1 {
		t.Errorf("%+v", made.EditResult)
	}
	parent, err := o.store.Entry(t.Context(), made.Parent)
	o.ok(err)
	if parent.Detail["errors"] != fmt.Sprint(made.Errors) || parent.Children[activation.EntryToBeSent] != int64(len(o.log())-1) {
		t.Errorf("%s", asJSON(parent))
	}
	var left bytes.Buffer
	o.ok(o.ErrorFile(t.Context(), made.Parent, &left))
	rows := map[int]bool{}
	for _, one := range made.Problems {
		rows[one.Row] = true
		if !strings.Contains(left.String(), strings.ReplaceAll(one.Message, `"`, `""`)) {
			t.Errorf("the error file does not say %q", one.Message)
		}
	}
	if n := strings.Count(left.String(), "left out"); n != len(rows) {
		t.Errorf("%d of %d rows with an error are in the error file", n, len(rows))
	}
}

// TestLeftOutRowsAreMended: the rows that an upload leaves out stand in its error file as
// they were, and are taken once they are mended there.
func TestLeftOutRowsAreMended(t *testing.T) {
	o := stocked(t)
	made := o.upload("Campaign ID,Status,Daily budget\n11,asleep,many\n12,enabled,\n", true)
	if made.Edits != 1 || made.Errors != 1 {
		t.Fatalf("%+v", made.EditResult)
	}
	var left bytes.Buffer
	o.ok(o.ErrorFile(t.Context(), made.Parent, &left))
	if !strings.Contains(left.String(), "\n11,asleep,many,left out,PUB-VALUE,") || strings.Count(left.String(), "\n") != 2 {
		t.Fatalf("the error file is\n%s", left.String())
	}
	if same := o.preview(left.String()); same.Errors != 1 {
		t.Errorf("as it is: %+v", same.EditResult)
	}
	mended := o.upload(strings.NewReplacer("asleep", "paused", "many", "77").Replace(left.String()), false)
	if mended.Edits != 1 || mended.Errors != 0 {
		t.Errorf("mended: %+v", mended.EditResult)
	}
}

// TestMistakesOfAWholeFile are those that leave no rows to speak of.
func TestMistakesOfAWholeFile(t *testing.T) {
	o := stocked(t)
	for _, tc := range []struct{ what, file, says string }{
		{"empty", "", `row 0, column "": PUB-FILE: the file is empty`},
		{"no header", "\n\n", `row 0, column "": PUB-FILE: the file has no header: its first row names the columns`},
		{"a header only", "Campaign ID,Status\n", `row 0, column "": PUB-FILE: the file has no row below its header`},
		{"nothing known", "a,b\n1,2\n", `row 1, column "": PUB-FILE: no column is known: the first row names them, such as Type, Campaign ID, Campaign, Status; the template has all there are`},
		{"two columns for one field", "Campaign ID,Daily budget,Budget\n11,1,1\n", `row 1, column "Budget": PUB-FILE: this column and “Daily budget” are the same, budget: keep one of them`},
		{"two columns for one field of another type", "Ad group ID,CPC bid,Max. CPC\n21,1,1\n", `row 1, column "Max. CPC": PUB-FILE: this column and “CPC bid” are the same, bid: keep one of them`},
		{"twice the id", "Campaign ID,campaign_id\n11,11\n", `row 1, column "campaign_id": PUB-FILE: this column and “Campaign ID” are the same, campaign id: keep one of them`},
		{"a workbook", "PK\x03\x04...", `row 0, column "": PUB-FILE: this is a workbook, or another archive: save the sheet as CSV or as Unicode text`},
		{"no UTF-8", "Campaign ID,Labels\n11,caf\xe9\n", `row 2, column "Labels": PUB-FILE: the cell is not UTF-8: save the file as CSV UTF-8 or as Unicode text`},
		{"an id of the publisher's that is a name's", "ID,Status\n11,paused\n", `row 2, column "": PUB-OBJECT: the row names no object: fill in the columns of its id or name, or the type, one of campaign, ad group, ad, keyword, budget, location`},
		{"ids that differ", "Type,ID,Campaign ID,Status\ncampaign,11,12,paused\n", `row 2, column "ID": PUB-OBJECT: two columns name different ids`},
		{"names that differ", "Type,Name,Campaign,Status\ncampaign,Shoes,Bags,paused\n", `row 2, column "Campaign": PUB-VALUE: two columns of the row say different things: “Name” and “Campaign”`},
		{"what lies in what has an error", "Campaign,Ad group,Status,Budget\nCaps,,enabled,\nCaps,Wool,,\n", "row 2, column \"\": PUB-VALUE: Budget is needed to create: The amount per day\nrow 2, column \"\": PUB-VALUE: Channel is needed to create: Where it is shown\nrow 3, column \"Campaign\": PUB-OBJECT: the campaign “Caps” of row 2 has an error"},
		{"the same object by id and by name", "Campaign ID,Campaign,Status\n11,,paused\n,Shoes,paused\n", `row 3, column "Campaign": PUB-OBJECT: campaign “Shoes” is here twice, in row 2 too: put all its changes into one`},
		{"in another place", "Campaign,Ad group ID,Status\nBags,21,paused\n", `row 2, column "Ad group ID": PUB-OBJECT: the ad group of this id lies in another campaign than the row says`},
	} {
		p := o.preview(tc.file)
		if got := strings.TrimSpace(told(p.Problems)); got != tc.says || p.Errors == 0 {
			t.Errorf("%s: %s", tc.what, got)
		}
		if made := o.upload(tc.file, false); made.Parent != 0 {
			t.Errorf("%s: it was taken", tc.what)
		}
	}
	if n := len(o.log()); n != 0 {
		t.Errorf("%d entries", n)
	}
	lost := errors.New("the line is cut")
	if _, err := o.Upload(t.Context(), o.account.ID, "x", iotest.ErrReader(lost), activation.SendNightly, false, "bob"); !errors.Is(err, lost) {
		t.Errorf("%v", err)
	}
}

func wide(s string) string {
	out := []byte{0xff, 0xfe}
	for _, u := range utf16.Encode([]rune(s)) {
		out = binary.LittleEndian.AppendUint16(out, u)
	}
	return string(out)
}

// TestUpload: one parent, one child for each row that changes something; parents may be
// made by an earlier row, and names are found however they are written.
func TestUpload(t *testing.T) {
	file := strings.Join([]string{
		"Action;TYPE;Campaign;ad_set;Keyword;Match Type;state;budget;CPC bid;Final URLs;channel;client id;LABELS",
		";;shoes;;;;Paused;;;;;;",
		";;Hats;;;;;10.00;;;Search;c-1;",
		";;Hats;Straw;;;;;0.30;;;;",
		";;Hats;straw;straw hat;Exact;active;;;;;;",
		";;Hats;straw;straw hat;Broad;;;;;;;",
		"remove;;Shoes;Red;red shoes;BROAD;;;;;;;",
		";;Shoes;Red;;;;;0.55;;;;",
		";;Bags;Red;;;;;;;;;",
		";;Bags;;;;;20.50;;;;;[]",
	}, "\r\n")
	for _, in := range []string{file, "\xef\xbb\xbf" + file, wide(strings.ReplaceAll(file, ";", "\t"))} {
		o := stocked(t)
		seen := o.preview(in)
		made := o.upload(in, false)
		made.Parent, made.Entries = 0, nil
		if asJSON(seen) != asJSON(made) || made.Adds != 4 || made.Edits != 2 || made.Deletes != 1 || made.Same != 2 || made.Errors != 0 || made.Rows != 9 {
			t.Fatalf("%s", asJSON(made))
		}
		var got []string
		for _, e := range o.log() {
			got = append(got, fmt.Sprintf("%d in %d, row %d: %s", e.ID, e.Parent, e.Row, inOneLine(e)))
		}
		want := []string{
			`1 in 0, row 0: to_be_sent upload   [] Upload “edits.csv”: 4 adds, 2 edits, 1 delete`,
			`2 in 1, row 2: to_be_sent status campaign 11 [status:enabled>paused] Pause “Shoes”`,
			`3 in 1, row 3: to_be_sent create campaign new-3 [name:>Hats budget:>10 channel:>search] Create campaign “Hats”`,
			`4 in 1, row 4: to_be_sent create group new-4 [name:>Straw bid:>0.3] Create ad group “Straw” in “Hats” needs [3]`,
			`5 in 1, row 5: to_be_sent create keyword new-5 [keyword:>straw hat match_type:>exact status:>enabled] Create keyword “straw hat” in “Straw” needs [4]`,
			`6 in 1, row 6: to_be_sent create keyword new-6 [keyword:>straw hat match_type:>broad] Create keyword “straw hat” in “Straw” needs [4]`,
			`7 in 1, row 7: to_be_sent delete keyword 52 [] Delete keyword “red shoes” in “Red”`,
			`8 in 1, row 8: to_be_sent bid group 21 [bid:0.42>0.55] “Red”: bid 0.42 → 0.55`,
		}
		if !slices.Equal(got, want) {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		parent := o.log()[0]
		if parent.Source != "upload" || parent.By != "bob" || parent.Children[activation.EntryToBeSent] != 7 || o.log()[2].Detail["client_id"] != "c-1" {
			t.Errorf("%s", asJSON(parent))
		}
	}
}

// TestTemplateChangesNothing: the structure as a file, uploaded as it is, is the same
// in every row; and with one cell changed it is one edit.
func TestTemplateChangesNothing(t *testing.T) {
	o := stocked(t)
	o.has(append(shop(),
		thing(activation.KindCampaign, "15", "campaign", activation.ObjectRef{}, "name= spaced,\n\"quoted\" ", "status=paused", "budget=1.234", "channel=display only", "labels=[]"),
		thing(activation.KindGroup, "24", "ad group", ref(activation.KindCampaign, "15"), "name=name"),
	)...)
	o.edit(activation.SendNightly,
		publishing.EditSpec{Action: publishing.ActionCreate, Kind: activation.KindCampaign, Fields: map[string]string{"name": "Twin", "budget": "1", "channel": "search"}},
		publishing.EditSpec{Action: publishing.ActionCreate, Kind: activation.KindGroup, Parent: ref(activation.KindCampaign, activation.PendingObjectID(0)), Fields: map[string]string{"name": "Red"}},
	)
	var file bytes.Buffer
	o.ok(o.Template(t.Context(), o.account.ID, &file))
	p := o.preview(file.String())
	if p.Errors != 0 || p.Adds+p.Edits+p.Deletes != 0 || p.Same != 18 {
		t.Fatalf("%s%s\n%s", told(p.Problems), asJSON(p.Sample), file.String())
	}
	for _, c := range p.Columns {
		if c.Field == "" {
			t.Errorf("the template has a column that nobody knows: %q", c.Header)
		}
	}
	before := len(o.log())
	if made := o.upload(file.String(), false); made.Parent != 0 || len(o.log()) != before {
		t.Errorf("%+v", made.EditResult)
	}
	p = o.preview(strings.Replace(file.String(), "1003854,1.1", "1003854,1.3", 1))
	if len(p.Sample) != 1 || p.Sample[0].Operation != activation.OpGeo || p.Errors != 0 {
		t.Errorf("%s%s\n%s", told(p.Problems), asJSON(p.Sample), file.String())
	}
}
