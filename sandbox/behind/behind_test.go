package behind_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"usher/sandbox/behind"
)

// list is a network with one audience, "7".
type list struct{ members []behind.Member }

func (l *list) PutMembers(id string, m []behind.Member) bool {
	if id != "7" {
		return false
	}
	l.members = append(l.members, m...)
	return true
}

func (l *list) DropMembers(id string, m []behind.Member) (int, bool) { return l.DropSome(id, len(m)) }

func (l *list) DropSome(id string, n int) (int, bool) {
	if id != "7" {
		return 0, false
	}
	n = min(n, len(l.members))
	l.members = l.members[n:]
	return n, true
}

func TestServe(t *testing.T) {
	l := &list{}
	mux := http.NewServeMux()
	behind.Serve(mux, "/lists", l)
	for _, tc := range []struct {
		path, body string
		status     int
		part       string
		left       int
	}{
		{"/lists/7/members", `{"members":[{"A":"1"},{"A":"2","B":"3"},{"A":"4"}]}`, 200, `"added":3`, 3},
		{"/lists/8/members", `{"members":[{"A":"1"}]}`, 404, "no such audience", 3},
		{"/lists/7/members", `{}`, 400, "members", 3},
		{"/lists/7/members", `{"members":[{}]}`, 400, "not what is needed", 3},
		{"/lists/7/members", `{"members":[{"A":1}]}`, 400, "not what is needed", 3},
		{"/lists/7/members", `x`, 400, "not what is needed", 3},
		{"/lists/7/members/remove", `{"members":[{"A":"1"}]}`, 200, `"removed":1`, 2},
		{"/lists/7/members/remove", `{"members":[{"A":"1"}],"count":1}`, 400, "count", 2},
		{"/lists/7/members/remove", `{}`, 400, "count", 2},
		{"/lists/7/members/remove", `{"count":-1}`, 400, "count", 2},
		{"/lists/8/members/remove", `{"count":1}`, 404, "no such audience", 2},
		{"/lists/7/members/remove", `{"count":9}`, 200, `"removed":2`, 0},
	} {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest(http.MethodPost, tc.path, strings.NewReader(tc.body)))
		if w.Code != tc.status || !strings.Contains(w.Body.String(), tc.part) || len(l.members) != tc.left {
			t.Errorf("%s %s: %d %s, %d are left", tc.path, tc.body, w.Code, w.Body, len(l.members))
		}
	}
}
