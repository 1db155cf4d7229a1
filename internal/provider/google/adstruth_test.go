package google_test

import (
	"net/http"
	"strings"
	"testing"

	"usher/internal/activation"
	"usher/internal/provider"
)

const known = `[{"results":[{"customer":{"currencyCode":"EUR","timeZone":"Europe/Paris"},"currencyConstant":{"billableUnitMicros":"10000"}}]}]`

// mutating answers edits so, after it was asked for what the account is.
func mutating(status int, body string) *far {
	return &far{answer: func(_ int, req *http.Request, _ []byte) (int, string) {
		if strings.HasSuffix(req.URL.Path, "searchStream") {
			return http.StatusOK, known
		}
		return status, body
	}}
}

// TestWhatIsNotToldIsNotDone: a stand-in that answers wrongly never makes an edit done,
// nor one refused of which that is not sure.
func TestWhatIsNotToldIsNotDone(t *testing.T) {
	budget := func(id string) string {
		return `{"campaignBudgetResult":{"resourceName":"customers/1234567890/campaignBudgets/` + id + `"}}`
	}
	results := func(list ...string) string { return `{"mutateOperationResponses":[` + strings.Join(list, ",") + `]}` }
	failed := func(code string) string {
		return `{"errorCode":{"campaignBudgetError":"` + code + `"},"location":{"fieldPathElements":[{"fieldName":"mutate_operations","index":1}]}}`
	}
	partial := func(list string, errs string) string {
		return `{"mutateOperationResponses":[` + list + `],"partialFailureError":{"code":3,"details":[{"@type":"x.errors.GoogleAdsFailure","errors":[` + errs + `]}]}}`
	}
	for name, tc := range map[string]struct{ body, want string }{
		"both":                       {results(budget("7"), budget("8")), "done done"},
		"the other way round":        {results(budget("8"), budget("7")), "unknown unknown"},
		"one that was not sent":      {results(budget("7"), budget("99")), "done unknown"},
		"one of another account":     {results(budget("7"), strings.ReplaceAll(budget("8"), "1234567890", "7")), "done unknown"},
		"one of another sort":        {results(budget("7"), strings.ReplaceAll(budget("8"), "campaignBudgets", "campaigns")), "done unknown"},
		"one of two sorts":           {results(budget("7"), `{"a":{"resourceName":"x"},"b":{"resourceName":"y"}}`), "done unknown"},
		"one too few":                {results(budget("7")), "unknown unknown"},
		"one too many":               {results(budget("7"), budget("8"), budget("8")), "unknown unknown"},
		"none":                       {`{}`, "unknown unknown"},
		"something else":             {`{"status":"ok"}`, "unknown unknown"},
		"one is refused":             {partial(budget("7")+",{}", failed("DUPLICATE_NAME")), "done refused"},
		"one is refused, one is not": {partial(budget("7"), failed("DUPLICATE_NAME")), "unknown refused"},
		"all that is told is bad":    {partial("", failed("DUPLICATE_NAME")), "unknown refused"},
	} {
		var n entries
		out, err := campaigns(t, mutating(http.StatusOK, tc.body)).Post(t.Context(), []provider.Edit{
			n.set("budget", "7", nil, map[string]string{"budget": "1"}), n.set("budget", "8", nil, map[string]string{"budget": "1"}),
		})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := string(out[0].State) + " " + string(out[1].State); got != tc.want {
			t.Errorf("%s: %s, want %s", name, got, tc.want)
		}
	}
	// What is made has an id of its own.
	for body, want := range map[string]provider.EditState{
		results(budget("7")):      provider.EditDone,
		results(budget("-1")):     provider.EditUnknown,
		results(budget("")):       provider.EditUnknown,
		results(budget("7/../8")): provider.EditUnknown,
	} {
		var n entries
		out, err := campaigns(t, mutating(http.StatusOK, body)).Post(t.Context(), []provider.Edit{n.create("budget", activation.ObjectRef{}, map[string]string{"name": "a", "budget": "1"})})
		if err != nil || out[0].State != want || (out[0].ID == "7") != (want == provider.EditDone) {
			t.Errorf("%s: %+v %v", body, out, err)
		}
	}
}

// TestACallThatBroke: where Google broke over one operation, nobody knows of the
// others, though it refuses one of them; and a good status with an error is no answer.
func TestACallThatBroke(t *testing.T) {
	at := func(i, family, code string) string {
		return `{"errorCode":{"` + family + `":"` + code + `"},"location":{"fieldPathElements":[{"fieldName":"mutate_operations","index":` + i + `}]}}`
	}
	failure := func(errs ...string) string {
		return `{"error":{"code":500,"status":"INTERNAL","details":[{"@type":"x.errors.GoogleAdsFailure","errors":[` + strings.Join(errs, ",") + `]}]}}`
	}
	refused := at("1", "campaignBudgetError", "DUPLICATE_NAME")
	for _, tc := range []struct {
		status int
		body   string
		code   string // of the call; "" = the edits are refused and waiting
	}{
		{500, failure(at("0", "internalError", "INTERNAL_ERROR"), refused), "GADS-UNAVAILABLE"},
		{500, failure(refused, at("0", "internalError", "INTERNAL_ERROR")), "GADS-UNAVAILABLE"},
		{200, failure(refused), "GADS-ANSWER"},
		{400, failure(refused), ""},
	} {
		var n entries
		out, err := campaigns(t, mutating(tc.status, tc.body)).Post(t.Context(), []provider.Edit{
			n.set("budget", "7", nil, map[string]string{"budget": "1"}), n.set("budget", "8", nil, map[string]string{"budget": "1"}),
		})
		if tc.code == "" {
			if err != nil || out[0].State != provider.EditLater || out[1].State != provider.EditRefused {
				t.Errorf("%+v %v", out, err)
			}
			continue
		}
		if e := wrong(t, err); e.Code != tc.code || !e.MayHaveApplied || e.Kind != activation.Unavailable {
			t.Errorf("%d %s: %+v", tc.status, tc.body, e)
		}
	}
}

// TestCostsAreWhole: a row that lacks what it must have is no cost of nothing.
func TestCostsAreWhole(t *testing.T) {
	row := `{"customer":{"currencyCode":"EUR"},"campaign":{"id":"2"},"adGroup":{"id":"3"},"adGroupCriterion":{"criterionId":"4"},"metrics":{"costMicros":"1234000","clicks":"10"},"segments":{"date":"2026-11-20"}}`
	for name, tc := range map[string]struct{ from, to string }{
		"as it is":            {"", ""},
		"no day":              {`"2026-11-20"`, `""`},
		"a day before":        {"2026-11-20", "2026-11-19"},
		"no currency":         {`"EUR"`, `""`},
		"no campaign":         {`"campaign":{"id":"2"},`, ``},
		"an amount in words":  {`"1234000"`, `"much"`},
		"an amount below 0":   {`"1234000"`, `"-1"`},
		"clicks with a point": {`"10"`, `"10.5"`},
	} {
		body := `[{"results":[` + strings.Replace(row, tc.from, tc.to, 1) + `]}]`
		rows := 0
		err := campaigns(t, always(http.StatusOK, body)).Costs(t.Context(), "2026-11-20", "2026-11-21", func(c activation.Cost) error {
			if rows++; c.Micros != 1_234_000 || c.Clicks != 10 || c.Currency != "EUR" || c.Date != "2026-11-20" {
				t.Errorf("%s: %+v", name, c)
			}
			return nil
		})
		if tc.from == "" && (err != nil || rows != 3) || tc.from != "" && (err == nil || wrong(t, err).Code != "GADS-ANSWER") {
			t.Errorf("%s: %d rows, %v", name, rows, err)
		}
	}
}
