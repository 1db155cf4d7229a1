package publishing_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/provider"
)

// TestLargeUploadAhead is the description's example: people upload 100,000 deletes of
// ads at five, and at six the bid of one ad's group is edited. It waits, and the log
// says behind what, why, and about how long.
func TestLargeUploadAhead(t *testing.T) {
	many := 100_000
	if raceEnabled {
		many = 1_000
	}
	test(t, func(w *world) {
		f := newFar()
		a := w.link("shop", f)
		_, _, ad, keyword, _ := f.tree()
		w.read(a)
		written := 0
		more := func() (out []activation.Entry, err error) {
			for ; len(out) < 5000 && written < many; written++ {
				e := remove(activation.ObjectRef{Kind: activation.KindCreative, ID: fmt.Sprint("a", written)})
				e.Publisher, e.Status, e.Origin, e.By, e.Source, e.Row = a.ID, activation.EntryQueued, activation.OriginUser, "ann", "upload", written+2
				out = append(out, e)
			}
			return out, nil
		}
		parent := activation.Entry{Publisher: a.ID, Origin: activation.OriginUser, By: "ann", Source: "upload", Operation: activation.OpUpload, ObjectName: "ads.csv", Text: "ads.csv"}
		first, err := more()
		w.ok(err)
		made, err := w.WriteEntries(w.ctx(), a.ID, &parent, first, activation.EntryWrite{More: more})
		w.ok(err)
		upload := made[0].Parent
		time.Sleep(time.Hour)
		bid := w.write(a, edit(keyword, activation.OpBid, "bid", "2"))[0]
		later := w.write(a, edit(ad, activation.OpEdit, "name", "x"))[0]
		d := w.desk(w.Store)
		began := time.Now()
		p, err := d.Position(w.ctx(), bid.ID)
		w.ok(err)
		if p.Place != int64(many)+2 || !p.Released || p.Seconds != -1 || p.Blocked != "" || p.DecidedBy != "object" || p.Before == nil || p.Before.ID != later.ID {
			t.Errorf("position %+v", p)
		}
		number := map[int]string{100_000: "100,000", 1_000: "1,000"}[many]
		want := fmt.Sprintf("behind #%d: %s deletes by upload, #%d: 1 edit; creatives go before keywords", upload, number, later.ID)
		if p.Why != want {
			t.Errorf("it says %q, want %q", p.Why, want)
		}
		if len(p.Behind) != 2 || p.Behind[0].Text != fmt.Sprintf("#%d: %s deletes of creatives by upload", upload, number) {
			t.Errorf("groups %+v", p.Behind)
		}

		// After 40 calls of 10, of 2 s each, the publisher wants a pause of 10 minutes.
		until := time.Time{}
		f.before = func([]provider.Edit) error {
			if f.calls > 40 {
				until = time.Now().Add(10 * time.Minute)
				return &activation.Error{Kind: activation.WaitUntil, Code: "FAR-LIMIT", Message: "slowly", Until: until}
			}
			time.Sleep(2 * time.Second)
			return nil
		}
		stop := w.node("n")
		time.Sleep(100 * time.Second)
		stop()
		if p, err = d.Position(w.ctx(), bid.ID); err != nil {
			t.Fatal(err)
		}
		left, expect := int64(many)+2-400, (time.Duration(many+2-400)*200*time.Millisecond + time.Until(until)).Seconds()
		if p.Place != left || float64(p.Seconds) < expect*0.9 || float64(p.Seconds) > expect*1.2 || !strings.Contains(p.Blocked, "takes nothing until") {
			t.Errorf("place %d, want %d; %d s, want about %.0f; blocked %q", p.Place, left, p.Seconds, expect, p.Blocked)
		}
		next, err := d.Next(w.ctx(), a.ID, 3)
		w.ok(err)
		if len(next) != 3 || next[0].ID != made[0].ID+400 || next[1].DecidedBy != "id" || next[1].Why != "what was written first goes first" {
			t.Errorf("next %+v", next)
		}
		t.Log("positions took", time.Since(began))
	})
}

// TestWhy reads the reasons of a short queue.
func TestWhy(t *testing.T) {
	test(t, func(w *world) {
		f := newFar()
		a := w.link("shop", f)
		campaign, _, _, keyword, budget := f.tree()
		w.read(a)
		from := func(o activation.Origin, e activation.Entry) activation.Entry { e.Origin = o; return e }
		below := activation.ObjectRef{Kind: activation.KindGroup, ID: activation.PendingObjectID(5)}
		held := edit(budget, activation.OpEdit, "budget", "9")
		held.Status = activation.EntryHeld
		pulled := from(activation.OriginScheduled, create(activation.KindKeyword, below, "boots"))
		pulled.Refers = []activation.EntryID{activation.PendingRefer(5)}
		made := w.write(a,
			from(activation.OriginSystem, edit(keyword, activation.OpBid, "bid", "2")),                     // 0
			edit(campaign, activation.OpEdit, "name", "x"),                                                 // 1
			create(activation.KindCampaign, activation.ObjectRef{}, "New"),                                 // 2
			activation.Entry{Operation: activation.OpSync, Detail: map[string]string{"what": "structure"}}, // 3
			edit(keyword, activation.OpStatus, "status", "paused"),                                         // 4
			create(activation.KindGroup, campaign, "Boots"),                                                // 5, pulled by 6
			pulled, // 6
			held,   // 7
		)
		d := w.desk(w.Store)
		next, err := d.Next(w.ctx(), a.ID, 10)
		w.ok(err)
		id := func(i int) activation.EntryID { return made[i].ID }
		want := []struct {
			id      activation.EntryID
			by, why string
		}{
			{id(5), "", "it is the first in the order"},
			{id(6), "need", fmt.Sprintf("it needs what #%d creates", id(5))},
			{id(3), "origin", "scheduled operations go before people's edits"},
			{id(2), "object", "what is about the whole account goes first"},
			{id(1), "operation", "creates go before other edits"},
			{id(4), "object", "campaigns go before keywords"},
			{id(0), "origin", "people's edits go before bidding and reports"},
		}
		for i, n := range next {
			if i >= len(want) || n.ID != want[i].id || n.DecidedBy != want[i].by || n.Why != want[i].why {
				t.Errorf("%d: #%d %q %q, want %+v", i, n.ID, n.DecidedBy, n.Why, want[min(i, len(want)-1)])
			}
		}
		p, err := d.Position(w.ctx(), id(7))
		w.ok(err)
		if p.Released || p.Place != 7 || p.DecidedBy != "object" || !strings.HasPrefix(p.Why, fmt.Sprintf("behind #%d: 1 create by schedule", id(6))) && !strings.HasPrefix(p.Why, "behind #") {
			t.Errorf("position of the held one %+v", p)
		}
		w.ok(w.Pause(w.ctx(), a.PostJob, 0, "ann"))
		if p, err = d.Position(w.ctx(), id(4)); err != nil || p.Blocked != "the post job is paused" || p.Seconds != -1 {
			t.Errorf("position %+v, %v", p, err)
		}
		if _, err := d.Move(w.ctx(), "burn", activation.EntryQuery{}, false, "ann"); activation.KindOf(err) != activation.Invalid {
			t.Errorf("an unknown command: %v", err)
		}
	})
}
