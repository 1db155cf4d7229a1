package google_test

import (
	"testing"

	"usher/sandbox/behind"
	"usher/sandbox/google"
)

func TestSomebodyElseChangesAList(t *testing.T) {
	p := newPeer(t, google.Options{SmallestShown: 1})
	id := p.list("L", "CONTACT_ID")
	p.ingest(id, []string{"a", "b"}, []string{"c"}, []string{"d"}, []string{"e"}, []string{"f"})
	p.net.Finish()
	before, _ := p.net.Members(id)
	if n, ok := p.net.DropSome(id, 2); n != 2 || !ok {
		t.Errorf("%d are gone, %v", n, ok)
	}
	one := behind.Member{}
	for kind, texts := range before[4].Identifiers {
		one[kind] = texts[0]
	}
	if n, ok := p.net.DropMembers(id, []behind.Member{one, {"emailAddress": "nobody"}}); n != 1 || !ok {
		t.Errorf("%d are gone, %v", n, ok)
	}
	if !p.net.PutMembers(id, []behind.Member{{"emailAddress": "x", "phoneNumber": "y"}, {"userId": "z"}}) {
		t.Error("nobody was brought in")
	}
	if after, _ := p.net.Members(id); len(after) != 4 || !p.net.Holds(id, "phoneNumber", "y") {
		t.Errorf("the list has %+v", after)
	}
	got := p.call("GET", "/v1/accountTypes/GOOGLE_ADS/accounts/1234567890/userLists/"+id, "")
	if size := got.body["sizeInfo"].(map[string]any)["gmailMembersCount"]; size != "4" {
		t.Errorf("the size is %v", size)
	}
	if n, ok := p.net.DropSome("9", 1); n != 0 || ok {
		t.Error("a list that is not there was changed")
	}
}
