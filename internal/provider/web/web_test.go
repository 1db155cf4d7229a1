package web_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"usher/internal/activation"
	"usher/internal/matchkey"
	"usher/internal/provider"
	"usher/internal/provider/providertest"
	"usher/internal/provider/web"
	"usher/internal/provider/web/webtest"
)

func TestConformance(t *testing.T) { providertest.Run(t, webtest.Harness()) }

// at is a destination of a fresh table with one audience.
func at(t *testing.T) (*webtest.Network, provider.Destination, provider.RemoteID, []matchkey.Key) {
	t.Helper()
	n, err := webtest.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	d, err := web.Definition().NewDestination(n.Deps())
	if err != nil {
		t.Fatal(err)
	}
	id, err := d.EnsureAudience(t.Context(), provider.Audience{Marker: "usher-1-1", Name: "VIP", Slug: "vip"})
	if err != nil {
		t.Fatal(err)
	}
	return n, d, id, web.Definition().Rules(nil, map[string]string{"public_id": "id", "city": "city"}).Keys
}

func batch(id provider.RemoteID, keys []matchkey.Key, rows ...[2]string) provider.Batch {
	b := provider.Batch{Remote: id, Op: activation.OpAdd, Keys: keys}
	for _, r := range rows { // keys are ordered by name: city, public_id
		b.Values = append(b.Values, []byte(r[0]), []byte(r[1]))
	}
	return b
}

func TestOnlyThePublicIdFinds(t *testing.T) {
	for mapping, want := range map[string]string{"": "public_id", "visitor": "visitor"} {
		rs := web.Definition().Rules(map[string]string{"id_column": mapping}, map[string]string{"public_id": "a", "city": "b", "visitor": "c"})
		for _, k := range rs.Keys {
			if k.Identifies != (k.Name == want) {
				t.Errorf("%s identifies: %v, the id is %s", k.Name, k.Identifies, want)
			}
			if got := k.Normalize("ann@example.com", nil); (got == "") != (k.Name == want) {
				t.Errorf("an e-mail address as %s is %q", k.Name, got)
			}
		}
	}
}

// TestRowsThatAreNotShown: what must not be public, or is too long for a page, is
// rejected at its place, and the others go in.
func TestRowsThatAreNotShown(t *testing.T) {
	n, d, id, keys := at(t)
	rc, err := d.Deliver(t.Context(), batch(id, keys, [2]string{"Bonn", "v1"}, [2]string{"Bonn", "ann@example.com"}, [2]string{"Bonn", "+14155550100"}, [2]string{strings.Repeat("x", 5000), "v2"}, [2]string{"Ulm", "v3"}))
	if err != nil {
		t.Fatal(err)
	}
	if rc.Accepted != 2 || rc.Rejected != 3 || rc.Exceptions[0].Ordinal != 1 || rc.Exceptions[2].Ordinal != 3 || rc.Exceptions[0].Code != "WEB-ROW" || n.Size(id) != 2 {
		t.Errorf("receipt %+v, %d in the table", rc, n.Size(id))
	}
	v, err := n.Table.Visitor(t.Context(), "v3")
	if err != nil || len(v.Audiences) != 1 || v.Audiences[0] != "vip" || string(v.Attributes["city"]) != `"Ulm"` {
		t.Errorf("v3 is %+v, %v", v, err)
	}
}

func TestAudiencesOpen(t *testing.T) {
	n, d, id, _ := at(t)
	o, ok := d.(provider.Opener)
	if !ok {
		t.Fatal("the destination does not open audiences")
	}
	if err := o.OpenAudience(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	n.Delete(id)
	if err := o.OpenAudience(t.Context(), id); activation.KindOf(err) != activation.Gone {
		t.Errorf("one that is gone: %v", err)
	}
}

// broken is a table that cannot be written.
type broken struct{ provider.Site }

var errDisk = errors.New("disk full")

func (broken) Put(context.Context, provider.RemoteID, []string, []string) error { return errDisk }

func TestATableThatCannotBeWritten(t *testing.T) {
	n, _, id, keys := at(t)
	deps := n.Deps()
	deps.Site = broken{deps.Site}
	d, err := web.Definition().NewDestination(deps)
	if err != nil {
		t.Fatal(err)
	}
	_, err = d.Deliver(t.Context(), batch(id, keys, [2]string{"Bonn", "v1"}))
	var e *activation.Error
	if !errors.As(err, &e) || e.Kind != activation.Unavailable || e.Code != "WEB-TABLE" || !e.MayHaveApplied || !errors.Is(err, errDisk) {
		t.Errorf("got %v", err)
	}
	deps.Site = nil
	if _, err := web.Definition().NewDestination(deps); activation.KindOf(err) != activation.Internal {
		t.Errorf("without a table: %v", err)
	}
	if len(web.Codes()) != 5 {
		t.Errorf("codes %v", web.Codes())
	}
}
