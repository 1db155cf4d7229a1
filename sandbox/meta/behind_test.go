package meta_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"usher/sandbox/behind"
	"usher/sandbox/meta"
)

// names are the EXTERN_IDs of the members, in order.
func (p *peer) names(id string) string {
	p.t.Helper()
	list, ok := p.net.Members(id)
	if !ok {
		p.t.Fatalf("there is no audience %s", id)
	}
	var names []string
	for _, m := range list {
		names = append(names, m.ExternID)
	}
	return strings.Join(names, " ")
}

// TestSomebodyElseChangesAnAudience: three go and two come without any call, the
// size shows it, and it is there after a restart.
func TestSomebodyElseChangesAnAudience(t *testing.T) {
	file := stateFile(t)
	p := newPeerWith(t, meta.Options{}, file)
	id := p.audience(settings())
	var rows [][]any
	for i := range 1200 {
		rows = append(rows, []any{fmt.Sprintf("c%04d", i), hash("shared")})
	}
	if r := p.call("POST", "/v26.0/"+id+"/users", body([]string{"EXTERN_ID", "EMAIL"}, rows...)); r.status != 200 {
		t.Fatal(r.text)
	}
	before, _ := p.net.Audience(id)
	if n, ok := p.net.DropSome(id, 200); n != 200 || !ok {
		t.Errorf("%d are gone, %v", n, ok) // although all of them share an e-mail address
	}
	if n, ok := p.net.DropMembers(id, []behind.Member{{"EXTERN_ID": "c0500"}, {"EXTERN_ID": "nobody"}}); n != 1 || !ok {
		t.Errorf("%d are gone, %v", n, ok)
	}
	w := httptest.NewRecorder()
	p.net.Control().ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/audiences/"+id+"/members", strings.NewReader(`{"members":[{"EXTERN_ID":"x1"},{"EMAIL":"`+hash("x2")+`"}]}`)))
	if w.Code != http.StatusOK {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	a, _ := p.net.Audience(id)
	if a.Members != 1001 || fmt.Sprint(a.Books) != fmt.Sprint(before.Books) {
		t.Errorf("%d members; books %+v, were %+v", a.Members, a.Books, before.Books)
	}
	if r := p.call("GET", "/v26.0/"+id+"?fields=approximate_count_lower_bound,approximate_count_upper_bound", nil); r.body["approximate_count_lower_bound"] != 1000.0 || r.body["approximate_count_upper_bound"] != 1100.0 {
		t.Errorf("the size is %s", r.text)
	}
	if _, ok := p.net.DropSome("9", 1); ok || p.net.PutMembers("9", []behind.Member{{"EXTERN_ID": "x"}}) {
		t.Error("an audience that is not there was changed")
	}
	want := p.names(id)
	if err := p.net.Close(); err != nil {
		t.Fatal(err)
	}
	if got := newPeerWith(t, meta.Options{}, file).names(id); got != want || !strings.HasPrefix(want, " c0200 ") || !strings.HasSuffix(want, " c1199 x1") {
		t.Errorf("after a restart %.40s…, was %.40s…", got, want)
	}
}
