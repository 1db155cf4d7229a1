package google_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"usher/internal/activation"
	"usher/internal/provider"
)

// TestGoneIsProven: a list is gone only if it is not there and its account is.
func TestGoneIsProven(t *testing.T) {
	gone, denied := failure(404, "NOT_FOUND", "NOT_FOUND"), failure(403, "PERMISSION_DENIED", "PERMISSION_DENIED")
	noList := failure(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", violations("destinations[0].product_destination_id", "INVALID_USER_LIST_ID"))
	for _, tc := range []struct {
		name             string
		list, account    int // statuses
		listBody, others string
		want             activation.Kind
		code             string
	}{
		{"not there", 404, 200, gone, `{}`, activation.Gone, "GOOGLE-GONE"},
		{"the account is not there either", 404, 403, gone, denied, activation.Invalid, "GOOGLE-PERMISSION"},
		{"nothing is there", 404, 404, gone, gone, activation.Invalid, "GOOGLE-PERMISSION"},
		{"google is out of order", 404, 503, gone, `{}`, activation.Unavailable, "GOOGLE-UNAVAILABLE"},
		{"it is there", 200, 200, `{"id":"998877"}`, `{}`, activation.Invalid, "GOOGLE-DESTINATION"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := &far{answer: func(_ int, req *http.Request, _ []byte) (int, string) {
				switch {
				case strings.HasSuffix(req.URL.Path, ":ingest"):
					return 400, noList
				case strings.HasSuffix(req.URL.Path, "/998877"):
					return tc.list, tc.listBody
				}
				return tc.account, tc.others
			}}
			_, err := open(t, f).Deliver(context.Background(), people(t, 2))
			if e := wrong(t, err); e.Kind != tc.want || e.Code != tc.code || e.MayHaveApplied {
				t.Errorf("%s %s", e.Kind, e.Code)
			}
		})
	}
}

// TestFindTurnsPages: a look-up goes through all pages and takes the lowest id.
func TestFindTurnsPages(t *testing.T) {
	f := &far{answer: func(_ int, req *http.Request, _ []byte) (int, string) {
		switch req.URL.Query().Get("pageToken") {
		case "":
			return 200, `{"userLists":[{"id":"30","integrationCode":"m0"},{"id":"2000","integrationCode":"m","membershipDuration":"46656000s"}],"nextPageToken":"p2"}`
		case "p2":
			return 200, `{"userLists":[{"id":"900","integrationCode":"m","membershipDuration":"46656000s","membershipStatus":"OPEN"}],"nextPageToken":"p2"}`
		}
		return 500, `{}`
	}}
	id, err := open(t, f).EnsureAudience(context.Background(), provider.Audience{Marker: "m", Name: "N", Config: accepted})
	if err != nil || id != "900" {
		t.Errorf("%q, %v", id, err)
	}
}

// TestATakenNameIsToldApart: however Google says that a name is taken, the list is
// made under another one.
func TestATakenNameIsToldApart(t *testing.T) {
	for _, taken := range []struct {
		status int
		body   string
	}{
		{400, failure(400, "INVALID_ARGUMENT", "DISPLAY_NAME_ALREADY_USED")},
		{409, failure(409, "ALREADY_EXISTS", "")},
	} {
		f := &far{answer: func(_ int, req *http.Request, body []byte) (int, string) {
			switch {
			case req.Method == http.MethodGet:
				return 200, `{}`
			case strings.Contains(string(body), `"displayName":"N"`):
				return taken.status, taken.body
			}
			return 200, `{"id":"7"}`
		}}
		id, err := open(t, f).EnsureAudience(context.Background(), provider.Audience{Marker: "m", Name: "N", Config: accepted})
		if err != nil || id != "7" {
			t.Errorf("HTTP status %d: %q, %v", taken.status, id, err)
		}
	}
}

func TestAListMustFit(t *testing.T) {
	for name, tc := range map[string]struct{ list, code, field string }{
		"closed":          {`{"id":"7","membershipStatus":"CLOSED"}`, "GOOGLE-CLOSED", ""},
		"of another kind": {`{"id":"7","ingestedUserListInfo":{"uploadKeyTypes":["MOBILE_ID"]}}`, "GOOGLE-SETTINGS", "upload_key_type"},
		"another one":     {`{"id":"8"}`, "GOOGLE-ANSWER", ""},
	} {
		_, err := open(t, always(200, tc.list)).EnsureAudience(context.Background(), provider.Audience{Marker: "m", Name: "N", Config: accepted, Remote: "7"})
		if e := wrong(t, err); e.Code != tc.code || e.Field != tc.field {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, config := range map[string]map[string]string{
		"app_id":          {"customer_match_terms": "x", "upload_key_type": "MOBILE_ID"},
		"upload_key_type": {"customer_match_terms": "x", "upload_key_type": "EMAIL"},
	} {
		f := always(200, `{}`)
		_, err := open(t, f).EnsureAudience(context.Background(), provider.Audience{Marker: "m", Name: "N", Config: config})
		if e := wrong(t, err); e.Field != name || len(f.calls) != 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}
