package linkedin

import (
	"strings"
	"testing"
	"time"

	"usher/sandbox/behind"
)

func TestSomebodyElseChangesASegment(t *testing.T) {
	w := open(t, Options{})
	id := w.segment()
	add := `{"elements":[{"action":"ADD","userIds":[{"idType":"SHA256_EMAIL","idValue":"` + mail + `"}],"country":"US"}]}`
	w.want(w.call("POST", "/rest/dmpSegments/"+id+"/users", "BATCH_CREATE", add), 200, "201")
	hash := func(c string) string { return strings.Repeat(c, 64) }
	if !w.PutMembers(id, []behind.Member{{"SHA256_EMAIL": hash("1"), "country": "DE"}, {"SHA256_EMAIL": hash("2"), "GOOGLE_AID": "g"}, {"SHA256_EMAIL": hash("3")}}) {
		t.Error("nobody was brought in")
	}
	if n, ok := w.DropMembers(id, []behind.Member{{"GOOGLE_AID": "g"}, {"SHA256_EMAIL": hash("9")}}); n != 1 || !ok {
		t.Errorf("%d are gone, %v", n, ok)
	}
	first, _ := w.Members(id)
	if n, ok := w.DropSome(id, 1); n != 1 || !ok {
		t.Errorf("%d are gone, %v", n, ok)
	}
	left, _ := w.Members(id)
	if len(left) != 2 || left[0].text() != first[1].text() {
		t.Errorf("left are %+v", left)
	}
	w.now = w.now.Add(25 * time.Hour)
	w.want(w.call("GET", "/rest/dmpSegments/"+id, "GET", ""), 200, `"audienceSize":2`)
	if _, ok := w.DropSome("9", 1); ok || w.PutMembers("9", nil) {
		t.Error("a segment that is not there was changed")
	}
}
