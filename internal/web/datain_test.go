package web_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"usher/internal/activation"
	"usher/internal/warehouse"
)

// TestDataIn looks at the pages of data that comes in, by role, over fakes.
func TestDataIn(t *testing.T) {
	d := startData(t)
	admin, operator, viewer := d.as(activation.RoleAdmin), d.as(activation.RoleOperator), d.as(activation.RoleViewer)
	t.Run("data", func(t *testing.T) { testDataPage(t, d, admin, viewer) })
	t.Run("rebuild", func(t *testing.T) { testRebuild(t, d, operator, viewer) })
	t.Run("stream", func(t *testing.T) { testStream(t, d, admin, operator) })
	t.Run("mappings", func(t *testing.T) { testMappings(t, d, admin, operator, viewer) })
	t.Run("fields", func(t *testing.T) { testFields(t, d, operator) })
	t.Run("look-up", func(t *testing.T) { testProfile(t, d, admin, viewer) })
	t.Run("forget", func(t *testing.T) { testForget(t, d, admin, operator) })
	t.Run("import", func(t *testing.T) { testImport(t, d, admin, operator, viewer) })
	t.Run("overview", func(t *testing.T) {
		wantPage(t, operator, "/", "1 upload failed", "BADREQ-LOAD-001", "Data that comes in needs a look")
	})
}

func wantNot(t *testing.T, body, where string, not ...string) {
	t.Helper()
	for _, text := range not {
		if strings.Contains(body, text) {
			t.Errorf("%s: %q is shown", where, text)
		}
	}
}

// wantAnswer posts a form and looks at the answer.
func wantAnswer(t *testing.T, b *browser, path string, form url.Values, status int, want ...string) string {
	t.Helper()
	res, body := b.submit(path, form)
	if res.StatusCode != status {
		t.Errorf("POST %s: status %d to %q, want %d", path, res.StatusCode, res.Header.Get("Location"), status)
	}
	for _, text := range want {
		if !strings.Contains(body, text) {
			t.Errorf("POST %s: %q is not on the page", path, text)
		}
	}
	return body
}

func testDataPage(t *testing.T, d *dataWorld, admin, viewer *browser) {
	wantPage(t, admin, "/data", "customers", "3 changes", "messages in 24 hours", "3 of 6", "Reference by sku", "customer_key, rank 1", "50 values a person", "18,148", "/data/loads/l2/rejected", "Merge again", "12 identifier values",
		"replays 18,148 messages (4.2 MB) in about 56 seconds", "income in euros", "4,021 changed", "DISK-FULL-001")
	res, body := admin.get("/data/loads/l2/rejected")
	if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "application/x-ndjson" || !strings.Contains(body, private) {
		t.Errorf("rejected rows: status %d: %s", res.StatusCode, body)
	}
	if !slices.Contains(d.audited(), "admin read rejected rows load l2") {
		t.Error("who read rejected rows is not noted")
	}
	if res, _ := admin.get("/data/loads/l1/rejected"); res.StatusCode != http.StatusNotFound {
		t.Errorf("no rejected rows: status %d", res.StatusCode)
	}
	if res, body := viewer.get("/data/loads/l2/rejected"); res.StatusCode != http.StatusForbidden || strings.Contains(body, private) {
		t.Errorf("a viewer reads rejected rows: status %d", res.StatusCode)
	}
	_, body = viewer.get("/data")
	wantNot(t, body, "a viewer's page of data", "/data/loads/l2/rejected", "New stream")
	wantRedirect(t, admin, "/data/loads/l3/retry", nil, "/data")
	wantRedirect(t, admin, "/data/loads/l3/discard", nil, "/data")
	if got := d.work.told; !slices.Equal(got, []string{"retry l3", "discard l3"}) {
		t.Errorf("told %v", got)
	}
}

func testRebuild(t *testing.T, d *dataWorld, operator, viewer *browser) {
	wantAnswer(t, viewer, "/data/rebuild", nil, http.StatusForbidden, "Your role may only look")
	wantRedirect(t, operator, "/data/rebuild", url.Values{"reason": {"new country codes"}}, "/data#rebuilds")
	wantPage(t, operator, "/data", "Rebuild #9: 4,537 of 18,148 messages", "25.0%", "About 42 seconds left", "new country codes", "Asked for by operator", "/data/rebuild/r9/cancel")
	wantRedirect(t, operator, "/data/rebuild", nil, "/data")
	wantPage(t, operator, "/data", "rebuild #1 is under way"[10:])
	wantRedirect(t, operator, "/data/rebuild/r9/cancel", nil, "/data#rebuilds")
	wantPage(t, operator, "/data", "Cancelled", "cancelled by operator")
	if d.work.rebuilds[0].CancelledBy != "operator" {
		t.Errorf("cancelled by %q", d.work.rebuilds[0].CancelledBy)
	}
}

func testStream(t *testing.T, d *dataWorld, admin, operator *browser) {
	const at = "/data/streams/customers"
	_, body := operator.get(at)
	for _, want := range []string{"New column", "Missing column", "31 of 640 values could not become", "mappings?column=FirstName", "stream-chart", `data-style="up"`, "24 duplicates", "customers.csv", `value="ModifiedDate"`, "number(AnnualIncome)"} {
		if !strings.Contains(body, want) {
			t.Errorf("the stream does not show %q", want)
		}
	}
	wantNot(t, body, "an operator's stream", private, at+"/messages")
	if res, body := operator.get(at + "/messages"); res.StatusCode != http.StatusForbidden || strings.Contains(body, private) {
		t.Errorf("an operator reads messages: status %d", res.StatusCode)
	}
	wantPage(t, admin, at+"/messages", private, "called twice")
	if !slices.Contains(d.audited(), "admin read messages stream customers") {
		t.Error("who read messages is not noted")
	}
	wantAnswer(t, operator, at+"/settings", url.Values{"raw_retention_days": {"-1"}, "timestamp_field": {"Kept"}}, http.StatusBadRequest, "Must be a whole number of days", `value="Kept"`)
	wantRedirect(t, operator, at+"/settings", url.Values{"timestamp_field": {"ModifiedDate"}, "date_order": {"dmy"}, "message_id_fields": {"CustomerKey, ModifiedDate"}, "phone_country": {"us"}, "raw_retention_days": {"730"}}, at)
	i := slices.IndexFunc(d.plane.schema.Streams, func(s warehouse.Stream) bool { return s.Name == "customers" })
	if s := d.plane.schema.Streams[i]; s.PhoneCountry != "US" || s.RetentionDays != 730 || s.DateOrder != "dmy" || !slices.Equal(s.MessageID, []string{"CustomerKey", "ModifiedDate"}) {
		t.Errorf("declared %+v", s)
	}
	wantPage(t, operator, "/", "The stream customers brings something else", "The column Notes is new, 31 of 640 values of income could not be read")
	wantRedirect(t, operator, at+"/accept", nil, at)
	_, body = operator.get(at)
	wantNot(t, body, "a stream whose drift was accepted", "It brings something else than before")
}

func testMappings(t *testing.T, d *dataWorld, admin, operator, viewer *browser) {
	const at = "/data/streams/customers/mappings"
	rows := func(do string, pairs ...string) url.Values {
		v := url.Values{"do": {do}}
		for i := 0; i < len(pairs); i += 2 {
			v.Add("field", pairs[i])
			v.Add("expression", pairs[i+1])
		}
		return v
	}
	wantPage(t, viewer, at, "lower(EmailAddress)", "Your role may only look", "coalesce(a, b, …)")
	wantPage(t, operator, at+"?column=Notes", ">Notes</textarea>", "Expression of row 4")
	wantAnswer(t, operator, at, rows("add:Annual Income", "email", "kept text"), http.StatusOK, "kept text", ">`Annual Income`</textarea>")
	body := wantAnswer(t, operator, at, rows("remove:1", "email", "gone row", "income", "stays"), http.StatusOK, "stays")
	wantNot(t, body, "a removed row", "gone row")
	before := len(d.plane.schema.Mappings)
	wantAnswer(t, operator, at, rows("save", "email", "lower(", "", "x", "email", "y"), http.StatusBadRequest, "line 1, column 7"[7:], "Choose the field", "has a mapping above", "lower(")
	if len(d.plane.schema.Mappings) != before {
		t.Error("wrong mappings were saved")
	}
	d.plane.rebuild = []string{"income"}
	preview := rows("preview", "email", "lower(EmailAddress)", "income", "number(AnnualIncome)", "customer_key", "CustomerKey", "first_name", "EmailAddress")
	body = wantAnswer(t, operator, at, preview, http.StatusOK, "newest 1,000 messages, personal values masked", "not parsed", "n/a", "1 parsed, 1 not", "j•••@private.example", "11000", "need a rebuild for income", "18,148 messages")
	wantNot(t, body, "an operator's preview", private, "eve@")
	wantAnswer(t, admin, at, preview, http.StatusOK, private)
	// A field that is not personal tells nothing of a personal column.
	body = wantAnswer(t, operator, at, rows("preview", "customer_key", "EmailAddress"), http.StatusOK)
	wantNot(t, body, "a personal column in another field", private, "eve@")
	d.plane.refuse = &activation.Error{Kind: activation.Invalid, Field: "income", Message: `mapping of stream "customers" to field "income": line 1, column 3: must be a number`}
	wantAnswer(t, operator, at, rows("preview", "email", "lower(EmailAddress)", "income", "EmailAddress"), http.StatusBadRequest, `id="e-row-2"`, "must be a number")
	d.plane.refuse = nil
	wantRedirect(t, operator, at, rows("save", "email", "lower(trim(EmailAddress))", "", "", "income", "number(AnnualIncome)"), "/data/streams/customers")
	var got []string
	for _, m := range d.plane.schema.Mappings {
		got = append(got, m.Stream+"."+m.Field+"="+m.Expression)
	}
	if want := []string{"orders.email=email", "customers.email=lower(trim(EmailAddress))", "customers.income=number(AnnualIncome)"}; !slices.Equal(got, want) {
		t.Errorf("declared %v, want %v", got, want)
	}
	wantPage(t, operator, "/data/streams/customers", "need a rebuild for income")
}

func testFields(t *testing.T, d *dataWorld, operator *browser) {
	wantPage(t, operator, "/data/fields", "customer_key", "rank 1", "/data/streams/orders", "test@test.com")
	wantPage(t, operator, "/data/fields/income", "Change income", "What a person earns")
	wantPage(t, operator, "/data/fields?name=mobile_phone&rank=1", `value="mobile_phone"`, `value="1"`)
	if res, _ := operator.get("/data/fields/none"); res.StatusCode != http.StatusNotFound {
		t.Errorf("an unknown field: status %d", res.StatusCode)
	}
	d.plane.rebuild = []string{"income"}
	change := url.Values{"name": {"income"}, "type": {"number"}, "merge": {"max"}, "identifier_rank": {"3"}, "pii": {"false"}, "public": {"true"}}
	wantAnswer(t, operator, "/data/fields", change, http.StatusConflict, "identifier of rank 3 instead of no identifier", "read anew at the next rebuild", "18,148 messages", "Sites may read it of their visitors", "Nothing was saved yet", `<option value="max" selected>`)
	if d.plane.schema.Fields[3].Rank != 0 {
		t.Error("a question was saved")
	}
	change.Set("sure", "1")
	wantRedirect(t, operator, "/data/fields", change, "/data/fields")
	if f := d.plane.schema.Fields[3]; f.Rank != 3 || f.Merge != warehouse.Max || !f.Public {
		t.Errorf("declared %+v", f)
	}
	wantPage(t, operator, "/data/fields/income", "It is in use: it identifies people with rank 3", "the mapping of the stream")
	wantRedirect(t, operator, "/data/fields/income/delete", nil, "/data/fields/income")
	wantPage(t, operator, "/data/fields/income", "The field is in use")
	wantRedirect(t, operator, "/data/fields", url.Values{"name": {"unused"}, "type": {"text"}, "merge": {"latest"}}, "/data/fields")
	wantPage(t, operator, "/data/fields/unused", "Delete the field unused?", `action="/data/fields/unused/delete"`)
	wantRedirect(t, operator, "/data/fields/unused/delete", nil, "/data/fields")
	if res, _ := operator.get("/data/fields/unused"); res.StatusCode != http.StatusNotFound {
		t.Errorf("a deleted field: status %d", res.StatusCode)
	}
	wantAnswer(t, operator, "/data/identity", url.Values{"max_identifiers": {"0"}, "stop_list": {"till@shop.example"}}, http.StatusBadRequest, "from 1 to", "till@shop.example")
	set := url.Values{"max_identifiers": {"20"}, "stop_list": {"Till@shop.example\n\n till@shop.example \nnobody"}}
	wantAnswer(t, operator, "/data/identity", set, http.StatusConflict, "told apart anew")
	set.Set("sure", "1")
	wantRedirect(t, operator, "/data/identity", set, "/data/fields")
	if i := d.plane.schema.Identity; i.MaxIdentifiers != 20 || !slices.Equal(i.StopList, []string{"till@shop.example", "nobody"}) {
		t.Errorf("declared %+v", i)
	}
}

func testProfile(t *testing.T, d *dataWorld, admin, viewer *browser) {
	wantPage(t, viewer, "/data/profile", "Give one identifier")
	body := wantAnswer(t, viewer, "/data/profile", url.Values{"field": {"email"}, "value": {private}}, http.StatusOK,
		"Profile 4,711", "j•••@private.example", "High income", "customers", "orders", "Profile 12 became part of 4,711", "Left apart", "was parted", "by a rebuild", "needs the role admin")
	wantNot(t, body, "a look-up", private)
	wantAnswer(t, admin, "/data/profile", url.Values{"field": {"email"}, "value": {private}}, http.StatusOK, "Type <b>email</b> to confirm", `action="/data/forget"`)
	body = wantAnswer(t, viewer, "/data/profile", url.Values{"field": {"email"}, "value": {"nobody@private.example"}}, http.StatusOK, "Nobody has this email")
	wantNot(t, body, "a look-up of nobody", "nobody@private")
	if !slices.Contains(d.audited(), "viewer lookup profile 4711") {
		t.Error("who looked is not noted")
	}
}

func testForget(t *testing.T, d *dataWorld, admin, operator *browser) {
	_, body := operator.get("/data/forget")
	wantNot(t, body, "an operator's page", "Forget for good")
	wantAnswer(t, operator, "/data/forget", url.Values{"field": {"email"}, "value": {forgotten}, "confirm": {"email"}}, http.StatusForbidden)
	body = wantAnswer(t, admin, "/data/forget", url.Values{"field": {"email"}, "value": {forgotten}, "confirm": {"e-mail"}}, http.StatusBadRequest, "Type email to confirm")
	wantNot(t, body, "the form again", forgotten)
	wantAnswer(t, admin, "/data/forget", url.Values{"field": {"email"}, "confirm": {"email"}}, http.StatusBadRequest, "Give the value")
	d.work.wrong = &activation.Error{Kind: activation.Invalid, Field: "field", Message: "is no identifier"}
	wantAnswer(t, admin, "/data/forget", url.Values{"field": {"email"}, "value": {forgotten}, "confirm": {"email"}}, http.StatusBadRequest, "Is no identifier")
	d.work.wrong = nil
	if len(d.work.asked) != 0 {
		t.Fatalf("asked %v", d.work.asked)
	}
	wantRedirect(t, admin, "/data/forget", url.Values{"field": {"email"}, "value": {forgotten}, "confirm": {"email"}}, "/data/forget/f9")
	if got := d.work.asked; len(got) != 1 || got[0] != [2]string{"email", forgotten} {
		t.Errorf("asked %v", got)
	}
	wantPage(t, operator, "/data/forget/f9", "Under way", "being erased", "Not known yet")
	wantPage(t, operator, "/data/forget/f1", "Complete", "Facebook shop", "Removed", "TIKTOK-PERMISSION", "Refused", "1 network audience has to be asked by other ways", "#41", "Messages</dt><dd class=\"num\">14")
	wantPage(t, operator, "/data/forget", "/data/forget/f9", "/data/forget/f1")
	if res, _ := operator.get("/data/forget/none"); res.StatusCode != http.StatusNotFound {
		t.Errorf("an unknown receipt: status %d", res.StatusCode)
	}
	d.work.mu.Lock()
	d.work.forgets[0].ErrorCode, d.work.forgets[0].ErrorText = "META-PERMISSION", "the token may not do it"
	d.work.mu.Unlock()
	wantPage(t, operator, "/", "A forget does not get on", "META-PERMISSION")
}

func testImport(t *testing.T, d *dataWorld, admin, operator, viewer *browser) {
	job := "/jobs/" + string(d.job.ID)
	wantPage(t, viewer, job, "customers-2026-11-19.csv", "40,000", "Position", "12")
	_, page := viewer.get(job)
	wantNot(t, page, "a viewer's import job", "cursor-of-jon")
	wantPage(t, admin, job, "cursor-of-jon")
	wantAnswer(t, viewer, job+"/preview", nil, http.StatusForbidden)
	body := wantAnswer(t, operator, job+"/preview", nil, http.StatusOK, "First rows of Customers from files", "e••", "The rows' time", "2026-11-20T00:00:00Z", "Has 4 values where", "2.4 MB", "/data/fields?name=mobile_phone&amp;rank=1", "2 of 2 rows")
	wantNot(t, body, "an operator's first rows", private, "Use as the time")
	wantAnswer(t, admin, job+"/preview", nil, http.StatusOK, private)
	if d.work.previewed.ID != d.job.ID {
		t.Errorf("previewed %+v", d.work.previewed)
	}
	wantAnswer(t, viewer, job+"/reset", nil, http.StatusForbidden)
	wantPage(t, operator, job, "12 pieces would be read again")
	wantRedirect(t, operator, job+"/reset", nil, job)
	if !slices.Contains(d.work.told, "reset "+string(d.job.ID)) || !slices.Contains(d.audited(), "operator reset job "+string(d.job.ID)) {
		t.Errorf("told %v, noted %v", d.work.told, d.audited())
	}
	// The wizard: an offer of the preview becomes a setting of the job.
	res, _ := operator.submit("/jobs/new", url.Values{"provider": {"files"}})
	at := res.Header.Get("Location")
	wantRedirect(t, operator, at, url.Values{"type": {"files_import"}}, strings.TrimSuffix(at, "type")+"authorization")
	at = strings.TrimSuffix(at, "type") + "configure"
	form := url.Values{"name": {"New import"}, "config.folder": {"in"}, "config.stream": {"customers"}, "run_frequency": {"daily"}, "go": {"preview"}}
	wantPage(t, operator, at, `value="preview"`)
	body = wantAnswer(t, operator, at, form, http.StatusOK, "e••", `value="timestamp:BirthDate"`, "Create job")
	wantNot(t, body, "the wizard's first rows", private)
	form.Set("go", "timestamp:BirthDate")
	wantAnswer(t, operator, at, form, http.StatusOK, `name="config.timestamps" type="text" value="BirthDate"`, "The rows' time")
	if got := d.work.previewed; got.ID != "" || got.Config["timestamps"] != "BirthDate" || got.Config["folder"] != "in" {
		t.Errorf("previewed %+v", got)
	}
	form.Set("go", "preview")
	form.Set("config.folder", "")
	wantAnswer(t, operator, at, form, http.StatusBadRequest, "e-config.folder")
	form.Set("config.folder", "in")
	d.work.wrong = &activation.Error{Kind: activation.Unavailable, Code: "SFTP-DOWN", Message: "the server does not answer"}
	wantAnswer(t, operator, at, form, http.StatusBadRequest, "The server does not answer")
	d.work.wrong = nil
}
