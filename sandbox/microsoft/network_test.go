package microsoft_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"usher/sandbox/fault"
	"usher/sandbox/microsoft"
)

// far is a network behind a server.
type far struct {
	*microsoft.Network
	t      *testing.T
	server *httptest.Server
	faults *fault.Plan
}

func open(t *testing.T) *far {
	t.Helper()
	plan := fault.NewPlan(1)
	n, err := microsoft.New(microsoft.Options{Limits: map[string]int{"Keywords": 3}}, microsoft.Deps{Seed: 1, Log: slog.New(slog.DiscardHandler), Now: time.Now, Faults: plan})
	if err != nil {
		t.Fatal(err)
	}
	f := &far{Network: n, t: t, server: httptest.NewServer(n), faults: plan}
	t.Cleanup(func() {
		f.server.Close()
		_ = n.Close()
	})
	return f
}

// send makes a call with what every call needs; change takes something away.
func (f *far) send(method, path, body string, change func(h http.Header)) (int, string) {
	f.t.Helper()
	req, err := http.NewRequestWithContext(f.t.Context(), method, f.server.URL+path, strings.NewReader(body))
	if err != nil {
		f.t.Fatal(err)
	}
	for name, v := range map[string]string{
		"Authorization": "Bearer " + microsoft.DefaultToken, "DeveloperToken": microsoft.DefaultDeveloperToken, "CustomerId": microsoft.DefaultCustomer,
		"CustomerAccountId": microsoft.DefaultAccount, "Content-Type": "application/json",
	} {
		req.Header.Set(name, v)
	}
	if change != nil {
		change(req.Header)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		f.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

const api = "/CampaignManagement/v13/"

// edit makes a call and wants it to be good.
func (f *far) edit(method, resource, body string) string {
	f.t.Helper()
	status, text := f.send(method, api+resource, body, nil)
	if status != http.StatusOK {
		f.t.Fatalf("%s %s: %d %s", method, resource, status, text)
	}
	return text
}

const campaign = `{"Name":"Winter","CampaignType":"Search","TimeZone":"BrusselsCopenhagenMadridParis","Languages":["All"],"DailyBudget":10,"BudgetType":"DailyBudgetStandard"}`

func inAccount(list string) string {
	return `{"AccountId":"` + microsoft.DefaultAccount + `",` + list + `}`
}

// made is the id of the last object.
func (f *far) made() string {
	all := f.Objects()
	return all[len(all)-1].ID
}

// TestAdmission: a call that lacks anything is refused, and nothing is made.
func TestAdmission(t *testing.T) {
	f := open(t)
	body := inAccount(`"Campaigns":[` + campaign + `]`)
	for name, tc := range map[string]struct {
		change func(h http.Header)
		status int
		word   string
	}{
		"no token":              {func(h http.Header) { h.Del("Authorization") }, 401, "AuthenticationTokenExpired"},
		"another token":         {func(h http.Header) { h.Set("Authorization", "Bearer x") }, 401, "AuthenticationTokenExpired"},
		"no developer token":    {func(h http.Header) { h.Del("DeveloperToken") }, 401, "InvalidCredentials"},
		"another customer":      {func(h http.Header) { h.Set("CustomerId", "1") }, 403, "UserIsNotAuthorized"},
		"another account":       {func(h http.Header) { h.Set("CustomerAccountId", "1") }, 403, "UserIsNotAuthorized"},
		"another type of body":  {func(h http.Header) { h.Set("Content-Type", "text/plain") }, 415, "UnsupportedMediaType"},
		"the SOAP name of auth": {func(h http.Header) { h.Set("AuthenticationToken", h.Get("Authorization")); h.Del("Authorization") }, 401, "AuthenticationTokenExpired"},
	} {
		if status, text := f.send("POST", api+"Campaigns", body, tc.change); status != tc.status || !strings.Contains(text, tc.word) {
			t.Errorf("%s: %d %s", name, status, text)
		}
	}
	if n := len(f.Objects()); n != 0 {
		t.Errorf("%d objects were made", n)
	}
}

// TestStrict: calls that the real one would not take are refused whole.
func TestStrict(t *testing.T) {
	f := open(t)
	f.edit("POST", "Campaigns", inAccount(`"Campaigns":[`+campaign+`]`))
	c := f.made()
	for name, tc := range map[string]struct{ method, path, body, word string }{
		"an unknown element":       {"POST", "Campaigns", inAccount(`"Campaigns":[],"Colour":"red"`), "InvalidJson"},
		"an element of another":    {"POST", "AdGroups", `{"CampaignId":"` + c + `","AdGroups":[{"Name":"A"}],"AccountId":"` + microsoft.DefaultAccount + `"}`, "UnknownElement"},
		"an id as a number":        {"POST", "AdGroups", `{"CampaignId":` + c + `,"AdGroups":[{"Name":"A"}]}`, "InvalidJson"},
		"no rows":                  {"POST", "Campaigns", inAccount(`"Campaigns":[]`), "NullOrEmpty"},
		"too many rows":            {"DELETE", "Keywords", `{"AdGroupId":"5","KeywordIds":["1","2","3","4"]}`, "ExceedsLimit"},
		"a campaign that is not":   {"POST", "AdGroups", `{"CampaignId":"5","AdGroups":[{"Name":"A"}]}`, "InvalidCampaignId"},
		"another account":          {"PUT", "Campaigns", `{"AccountId":"5","Campaigns":[{"Id":"` + c + `"}]}`, "InvalidAccountId"},
		"criteria without a type":  {"POST", "CampaignCriterions", `{"CampaignCriterions":[{}]}`, "InvalidCriterionType"},
		"a type that is not":       {"POST", "Campaigns/QueryByAccountId", inAccount(`"CampaignType":"Display"`), "InvalidCampaignType"},
		"ads without types":        {"POST", "Ads/QueryByAdGroupId", `{"AdGroupId":"5"}`, "AdTypesMissing"},
		"a report of another kind": {"POST", "../../Reporting/v13/GenerateReport/Submit", `{"ReportRequest":{"Type":"GeoReport"}}`, "NullRequest"},
	} {
		path := api + tc.path
		if strings.HasPrefix(tc.path, "../../") {
			path = strings.TrimPrefix(tc.path, "../..")
		}
		if status, text := f.send(tc.method, path, tc.body, nil); status != http.StatusBadRequest || !strings.Contains(text, tc.word) {
			t.Errorf("%s: %d %s", name, status, text)
		}
	}
	if n := len(f.Objects()); n != 1 {
		t.Errorf("%d objects", n)
	}
}

// TestRows: what is wrong with one row is said of it, and its neighbours take effect.
func TestRows(t *testing.T) {
	f := open(t)
	f.edit("POST", "Budgets", `{"Budgets":[{"Name":"All","Amount":5,"BudgetType":"DailyBudgetStandard"}]}`)
	budget := f.made()
	f.edit("POST", "Campaigns", inAccount(`"Campaigns":[`+campaign+`]`))
	c := f.made()
	for name, tc := range map[string]struct{ row, word string }{
		"an unknown field":        {`{"Id":"%","Colour":"red"}`, "UnknownField"},
		"a name that is empty":    {`{"Id":"%","Name":" "}`, "NameMissing"},
		"a name that is long":     {`{"Id":"%","Name":"` + strings.Repeat("é", 129) + `"}`, "StringTooLong"},
		"a status of its own":     {`{"Id":"%","Status":"enabled"}`, "InvalidValue"},
		"tenths of a cent":        {`{"Id":"%","DailyBudget":1.005}`, "InvalidAmount"},
		"an amount as text":       {`{"Id":"%","DailyBudget":"1"}`, "InvalidType"},
		"another type":            {`{"Id":"%","CampaignType":"Search"}`, "CannotBeChanged"},
		"a budget that is not":    {`{"Id":"%","BudgetId":"5"}`, "InvalidBudgetId"},
		"two budgets":             {`{"Id":"%","BudgetId":"` + budget + `","DailyBudget":5}`, "CannotUpdateSharedBudget"},
		"an object that is not":   {`{"Id":"5","Name":"B"}`, "InvalidCampaignId"},
		"an object of another":    {`{"Id":"` + budget + `","Name":"B"}`, "InvalidCampaignId"},
		"an object a second time": {`{"Id":"%","Name":"C"},{"Id":"%","Name":"D"}`, "DuplicateInRequest"},
	} {
		row := strings.ReplaceAll(tc.row, "%", c)
		if text := f.edit("PUT", "Campaigns", inAccount(`"Campaigns":[`+row+`]`)); !strings.Contains(text, tc.word) {
			t.Errorf("%s: %s", name, text)
		}
	}
	same := strings.Replace(campaign, "Winter", "WINTER", 1)
	f.edit("PUT", "Campaigns", inAccount(`"Campaigns":[{"Id":"`+c+`","Name":"Winter"}]`))
	text := f.edit("POST", "Campaigns", inAccount(`"Campaigns":[`+strings.Replace(campaign, "Winter", "Summer", 1)+`,`+same+`]`))
	var out struct {
		CampaignIDs   []*string `json:"CampaignIds"`
		PartialErrors []struct{ Index int }
	}
	if err := json.Unmarshal([]byte(text), &out); err != nil || len(out.CampaignIDs) != 2 || out.CampaignIDs[0] == nil || out.CampaignIDs[1] != nil || len(out.PartialErrors) != 1 || out.PartialErrors[0].Index != 1 {
		t.Errorf("a name twice: %s", text)
	}
	f.edit("PUT", "Campaigns", inAccount(`"Campaigns":[{"Id":"`+c+`","BudgetId":"`+budget+`"}]`))
	if text := f.edit("DELETE", "Budgets", `{"BudgetIds":["`+budget+`"]}`); !strings.Contains(text, "BudgetIsUsed") {
		t.Errorf("a budget that is used is deleted: %s", text)
	}
	f.edit("DELETE", "Campaigns", inAccount(`"CampaignIds":["`+c+`"]`))
	if text := f.edit("DELETE", "Budgets", `{"BudgetIds":["`+budget+`"]}`); strings.Contains(text, "BudgetIsUsed") {
		t.Errorf("a budget that nobody uses: %s", text)
	}
}

// TestFaultOfARow: a fault meets the row that it names, takes effect or not as it
// says, and is counted.
func TestFaultOfARow(t *testing.T) {
	f := open(t)
	for i, applied := range []bool{false, true} {
		if _, err := f.faults.Add(fault.Fault{Network: "microsoft", Op: "edit", Kind: fault.Invalid, Row: 1, Rows: 1, Message: "InternalError", Applied: applied}); err != nil {
			t.Fatal(err)
		}
		f.send("POST", "/CustomerManagement/v13/Account/Query", `{"AccountId":"`+microsoft.DefaultAccount+`"}`, nil)
		name := []string{"A", "B"}[i]
		text := f.edit("POST", "Budgets", `{"Budgets":[{"Name":"`+name+`1","Amount":5,"BudgetType":"DailyBudgetStandard"},{"Name":"`+name+`2","Amount":5,"BudgetType":"DailyBudgetStandard"}]}`)
		if !strings.Contains(text, `"Index":1`) || !strings.Contains(text, "InternalError") || !strings.Contains(text, `",null]`) {
			t.Errorf("applied %v: %s", applied, text)
		}
	}
	names := ""
	for _, o := range f.Objects() {
		names += o.Fields["Name"].(string) + " "
		if o.Effects != 1 {
			t.Errorf("%v", o)
		}
	}
	if names != "A1 B1 B2 " {
		t.Errorf("there are %s", names)
	}
	if f.Writes() != 2 || f.Calls() != 4 || len(f.Log()) != 4 {
		t.Errorf("%d writes, %d calls", f.Writes(), f.Calls())
	}
}

// TestReadBack changes the tree behind the caller's back.
func TestReadBack(t *testing.T) {
	f := open(t)
	f.edit("POST", "Campaigns", inAccount(`"Campaigns":[`+campaign+`]`))
	c := f.made()
	f.edit("POST", "AdGroups", `{"CampaignId":"`+c+`","AdGroups":[{"Name":"A"}]}`)
	control := httptest.NewServer(f.Control())
	t.Cleanup(control.Close)
	f.server = control
	for _, tc := range []struct {
		method, path, body string
		status             int
	}{
		{"POST", "/objects/" + c, `{"Name":"Mine"}`, 204},
		{"POST", "/objects/" + c, `{"Status":"on"}`, 400},
		{"POST", "/objects/5", `{"Name":"Mine"}`, 400},
		{"POST", "/costs", `{"kind":"Campaigns","id":"` + c + `","date":"2026-11-20","cost_micros":5}`, 204},
		{"POST", "/costs", `{"kind":"Pages"}`, 400},
		{"GET", "/objects", "", 200},
		{"GET", "/calls", "", 200},
	} {
		status, text := f.send(tc.method, tc.path, tc.body, nil)
		if status != tc.status || tc.path == "/objects" && !strings.Contains(text, `"Mine"`) {
			t.Errorf("%s %s: %d %s", tc.method, tc.path, status, text)
		}
	}
	if status, _ := f.send("DELETE", "/objects/"+c, "", nil); status != 204 || len(f.Objects()) != 0 {
		t.Errorf("%d, %d objects are left", status, len(f.Objects()))
	}
	if status, _ := f.send("DELETE", "/objects/"+c, "", nil); status != 404 {
		t.Errorf("a second time: %d", status)
	}
}

// TestToken: tokens are given for the refresh token, and taken.
func TestToken(t *testing.T) {
	f := open(t)
	form := "grant_type=refresh_token&client_id=" + microsoft.DefaultClientID + "&client_secret=" + microsoft.DefaultClientSecret + "&refresh_token="
	asForm := func(h http.Header) { h.Set("Content-Type", "application/x-www-form-urlencoded") }
	if status, text := f.send("POST", "/token", form+"x", asForm); status != 400 || !strings.Contains(text, "invalid_grant") {
		t.Errorf("%d %s", status, text)
	}
	status, text := f.send("POST", "/token", form+microsoft.DefaultRefreshToken, asForm)
	var out struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(text), &out); err != nil || status != 200 || out.Token == "" {
		t.Fatalf("%d %s", status, text)
	}
	status, text = f.send("POST", "/CustomerManagement/v13/Account/Query", `{"AccountId":"`+microsoft.DefaultAccount+`"}`, func(h http.Header) { h.Set("Authorization", "Bearer "+out.Token) })
	if status != 200 || !strings.Contains(text, `"EUR"`) {
		t.Errorf("%d %s", status, text)
	}
}
