package meta

import (
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"usher/internal/activation"
	"usher/internal/provider"
)

func TestTogether(t *testing.T) {
	campaign := func(id string) provider.Edit { return edited(id, map[string]string{"name": id}) }
	set := func(id, in string) provider.Edit {
		e := editedSet(id, map[string]string{"name": id})
		e.Parent.ID = in
		return e
	}
	ad := func(id, in, campaign string) provider.Edit {
		return provider.Edit{Object: ref(activation.KindCreative, id), Type: typeAd, Parent: ref(activation.KindGroup, in), Have: map[string]string{"campaign": campaign, "creative": "40"}}
	}
	creative := func(id string) provider.Edit {
		return provider.Edit{Object: ref(activation.KindOther, id), Type: typeCreative}
	}
	named := func(n activation.EntryID, typ, parent, name string) provider.Edit {
		l, _ := levelOf(typ)
		up, _ := levelOf(l.parent)
		in := activation.ObjectRef{}
		if parent != "" {
			in = ref(up.kind, parent)
		}
		return created(n, typ, in, map[string]string{"name": name})
	}
	many := make([]provider.Edit, 60)
	for i := range many {
		many[i] = campaign(strconv.Itoa(100 + i))
	}
	for name, tc := range map[string]struct {
		edits []provider.Edit
		want  int
	}{
		"one":                                    {many[:1], 1},
		"fifty":                                  {many, 50},
		"the same object":                        {[]provider.Edit{campaign("10"), campaign("10")}, 1},
		"ad sets of two campaigns":               {[]provider.Edit{set("20", "10"), set("21", "11"), set("22", "12")}, 3},
		"ad sets of one campaign":                {[]provider.Edit{set("20", "10"), set("21", "11"), set("22", "10")}, 2},
		"an ad set of unknown campaign":          {[]provider.Edit{set("20", "10"), set("21", "")}, 1},
		"a campaign and its ad set":              {[]provider.Edit{campaign("10"), campaign("11"), set("20", "10")}, 2},
		"an ad set and its campaign":             {[]provider.Edit{set("20", "10"), campaign("10")}, 1},
		"a campaign and another's ad set":        {[]provider.Edit{campaign("11"), set("20", "10")}, 2},
		"a campaign and an ad in it":             {[]provider.Edit{campaign("10"), ad("30", "20", "10")}, 1},
		"a campaign and an ad of another":        {[]provider.Edit{campaign("11"), ad("30", "20", "10")}, 2},
		"a campaign and an ad of who knows":      {[]provider.Edit{campaign("11"), ad("30", "20", "")}, 1},
		"an ad set and its ad":                   {[]provider.Edit{set("20", "10"), ad("30", "20", "10")}, 1},
		"an ad and its ad set":                   {[]provider.Edit{ad("30", "20", "10"), set("20", "10")}, 1},
		"an ad set and an ad of its sister":      {[]provider.Edit{set("20", "10"), ad("30", "21", "10")}, 2},
		"ads of one ad set":                      {[]provider.Edit{ad("30", "20", "10"), ad("31", "20", "10")}, 2},
		"an ad and the creative it has":          {[]provider.Edit{ad("30", "20", "10"), creative("40")}, 1},
		"an ad and another creative":             {[]provider.Edit{ad("30", "20", "10"), creative("41")}, 2},
		"a create and what refers to it":         {[]provider.Edit{named(1, typeCampaign, "", "A"), campaign("10"), named(2, typeSet, "new-1", "B")}, 2},
		"creates of one name":                    {[]provider.Edit{named(1, typeCampaign, "", "A"), named(2, typeCampaign, "", "A")}, 1},
		"creates of two names":                   {[]provider.Edit{named(1, typeCampaign, "", "A"), named(2, typeCampaign, "", "B")}, 2},
		"creates of one name in other campaigns": {[]provider.Edit{named(1, typeSet, "10", "A"), named(2, typeSet, "11", "A")}, 2},
		"ad sets made in one campaign":           {[]provider.Edit{named(1, typeSet, "10", "A"), named(2, typeSet, "10", "B")}, 1},
		"a new creative and an ad with it":       {[]provider.Edit{named(1, typeCreative, "", "A"), created(2, typeAd, ref(activation.KindGroup, "20"), map[string]string{"name": "Ad", "creative": "new-1"})}, 1},
	} {
		p, _ := openPublisher(t)
		if got := p.Together(tc.edits); got != tc.want {
			t.Errorf("%s: %d travel together, want %d", name, got, tc.want)
		}
	}
}

// TestTogetherIsALongestPrefix: more edits behind it change nothing, and the one that
// is left out has to do with one that is not.
func TestTogetherIsALongestPrefix(t *testing.T) {
	p, _ := openPublisher(t)
	rapid.Check(t, func(t *rapid.T) {
		id := func(of string, n int) string { return of + strconv.Itoa(rapid.IntRange(0, n).Draw(t, of)) }
		edits := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) provider.Edit {
			switch rapid.IntRange(0, 3).Draw(t, "type") {
			case 0:
				return edited(id("1", 20), nil)
			case 1:
				e := editedSet(id("2", 30), nil)
				e.Parent.ID = id("1", 20)
				return e
			case 2:
				return provider.Edit{Object: ref(activation.KindOther, id("4", 9)), Type: typeCreative}
			}
			return provider.Edit{
				Object: ref(activation.KindCreative, id("3", 40)), Type: typeAd, Parent: ref(activation.KindGroup, id("2", 30)),
				Have: map[string]string{"campaign": id("1", 20), "creative": id("4", 9)},
			}
		}), 1, 80).Draw(t, "edits")
		n := p.Together(edits)
		if n < 1 || n > maxTogether || n > len(edits) {
			t.Fatalf("%d of %d", n, len(edits))
		}
		for k := range edits {
			if got := p.Together(edits[:k+1]); got != min(n, k+1) {
				t.Fatalf("%d of %d, but %d of the first %d", n, len(edits), got, k+1)
			}
		}
		// Said in another way than the code does: all that an edit touches.
		touched := func(e provider.Edit) map[string]bool {
			all := map[string]bool{e.Object.ID: true}
			switch e.Type {
			case typeSet:
				all[e.Parent.ID] = true
			case typeAd:
				all[e.Parent.ID], all[e.Have["campaign"]], all[e.Have["creative"]] = true, true, true
			}
			return all
		}
		related := func(a, b provider.Edit) bool {
			return touched(a)[b.Object.ID] || touched(b)[a.Object.ID] || a.Type == typeSet && b.Type == typeSet && a.Parent == b.Parent
		}
		cut := false
		for i := range min(n+1, len(edits)) {
			for j := range i {
				if related(edits[j], edits[i]) {
					if i < n {
						t.Fatalf("%v and %v travel together", edits[j], edits[i])
					}
					cut = true
				}
			}
		}
		if n < len(edits) && n < maxTogether && !cut {
			t.Fatalf("nothing keeps edit %d back", n)
		}
	})
}
