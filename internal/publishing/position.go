package publishing

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"usher/internal/activation"
)

// The keys that decide the order of two entries, as Position and Next tell them.
const (
	byOrigin    = "origin"
	byObject    = "object"
	byOperation = "operation"
	byID        = "id"
	byNeed      = "need"
)

const (
	// The pace is taken from as many passes as posted paceEntries, and no more than
	// pacePasses.
	paceEntries, pacePasses = 1000, 20
	// maxNamed is how many groups a sentence names.
	maxNamed = 3
	// maxNext is how many of the next entries are told.
	maxNext = 500
)

// Position says where a waiting entry stands in the order of its account, and why. Of
// one that is not released it is the place that it would have now.
func (d *Desk) Position(ctx context.Context, id activation.EntryID) (Position, error) {
	e, err := d.cfg.Store.Entry(ctx, id)
	if err != nil {
		return Position{}, err
	}
	if !e.Status.Waits() || e.IsParent() {
		return Position{}, fmt.Errorf("%w: %w", activation.ErrConflict, &activation.Error{
			Kind: activation.Invalid, Code: "CONFLICT", Message: "the entry does not wait, so it has no place in the order",
		})
	}
	return d.position(ctx, e)
}

func (d *Desk) position(ctx context.Context, e activation.Entry) (Position, error) {
	account, err := d.cfg.Store.Publisher(ctx, e.Publisher)
	if err != nil {
		return Position{}, err
	}
	p := Position{Place: 1, Released: e.Status == activation.EntryQueued || e.Status == activation.EntryProcessing, Seconds: -1, Behind: []Behind{}}
	if e.Status == activation.EntryProcessing {
		p.Why, p.Seconds = "it is under way", 0
		return p, nil
	}
	ahead, err := d.cfg.Store.EntriesAhead(ctx, e.ID)
	if err != nil {
		return p, err
	}
	for _, g := range ahead {
		p.Place += g.Count
		p.Behind = append(p.Behind, Behind{Text: groupText(g), Count: g.Count, First: cmp.Or(g.Parent, g.First)})
	}
	if p.Before, err = d.cfg.Store.EntryBefore(ctx, e.ID); err != nil {
		return p, err
	}
	if p.Before != nil {
		p.DecidedBy = decidedBy(*p.Before, e)
	}
	p.Why = whyBehind(ahead, p.Before, e)
	var stopped time.Duration
	if p.Blocked, stopped, err = d.blocked(ctx, account); err != nil {
		return p, err
	}
	each, known, err := d.pace(ctx, account)
	if err != nil {
		return p, err
	}
	if known && stopped >= 0 {
		p.Seconds = int64((time.Duration(p.Place)*each + stopped).Round(time.Second).Seconds())
	}
	return p, nil
}

// Next returns what is sent next, in order, and what puts each in its place.
func (d *Desk) Next(ctx context.Context, id activation.PublisherID, limit int) ([]NextEntry, error) {
	if _, err := d.cfg.Store.Publisher(ctx, id); err != nil {
		return nil, err
	}
	if limit <= 0 || limit > maxNext {
		limit = maxNext
	}
	head, _, err := d.cfg.Store.QueueHead(ctx, id, limit)
	if err != nil {
		return nil, err
	}
	return Reasons(head), nil
}

// Reasons says of entries that are in the order of posting why each is where it is.
func Reasons(ordered []activation.Entry) []NextEntry {
	out := make([]NextEntry, len(ordered))
	for i, e := range ordered {
		out[i] = NextEntry{Entry: e, Why: "it is the first in the order"}
		if i > 0 {
			out[i].DecidedBy = decidedBy(ordered[i-1], e)
			out[i].Why = reason(out[i].DecidedBy, ordered[i-1], e)
		}
	}
	return out
}

// decidedBy is the first of the keys by which before goes in front of e; need, where
// one of them is not in its own place.
func decidedBy(before, e activation.Entry) string {
	if before.For != 0 || e.For != 0 || slices.Contains(e.Needs(), before.ID) {
		return byNeed
	}
	b, k := before.Key(), e.Key()
	switch {
	case b.Compare(k) > 0:
		return byNeed
	case b.Origin != k.Origin:
		return byOrigin
	case b.Object != k.Object:
		return byObject
	case b.Operation != k.Operation:
		return byOperation
	}
	return byID
}

// reason says in a sentence why before goes in front of e.
func reason(key string, before, e activation.Entry) string {
	switch key {
	case byNeed:
		switch {
		case slices.Contains(e.Needs(), before.ID):
			return fmt.Sprintf("it needs what #%d creates", before.ID)
		case e.For != 0:
			return fmt.Sprintf("#%d needs it, so it goes in the place of that one", e.For)
		case before.For != 0:
			return fmt.Sprintf("#%d needs what #%d creates, which goes in its place", before.For, before.ID)
		}
		return fmt.Sprintf("#%d is needed by one that goes earlier", before.ID)
	case byOrigin:
		return originWords[before.Origin] + " go before " + originWords[e.Origin]
	case byObject:
		if before.Object.Kind == "" {
			return "what is about the whole account goes first"
		}
		return kindsWords[before.Object.Kind] + " go before " + kindsWords[e.Object.Kind]
	case byOperation:
		if before.Operation == activation.OpSync {
			return "readings go before edits"
		}
		return "creates go before other edits"
	}
	return "what was written first goes first"
}

var originWords = map[activation.Origin]string{
	activation.OriginScheduled: "scheduled operations", activation.OriginUser: "people's edits", activation.OriginSystem: "bidding and reports",
}

var kindsWords = map[activation.ObjectKind]string{
	activation.KindCampaign: "campaigns", activation.KindGroup: "groups", activation.KindCreative: "creatives",
	activation.KindKeyword: "keywords", activation.KindOther: "other objects",
}

var operationWords = map[activation.Operation]string{
	activation.OpSync: "reading", activation.OpCreate: "create", activation.OpEdit: "edit", activation.OpBid: "bid",
	activation.OpGeo: "change of locations", activation.OpStatus: "change of status", activation.OpDelete: "delete",
}

// counted is a number of operations: "100,000 deletes".
func counted(n int64, op activation.Operation) string {
	word := operationWords[op]
	if n == 1 {
		return "1 " + word
	}
	if head, rest, ok := strings.Cut(word, " "); ok {
		return number(n) + " " + head + "s " + rest
	}
	return number(n) + " " + word + "s"
}

// whose says where the entries of a group come from.
func whose(g activation.AheadGroup) string {
	switch {
	case g.Parent != 0:
		return " by upload"
	case g.Origin == activation.OriginScheduled:
		return " by schedule"
	case g.Origin == activation.OriginSystem && g.Operation == activation.OpSync:
		return " of the nightly report"
	case g.Origin == activation.OriginSystem:
		return " by bidding"
	}
	return ""
}

// groupText is one group in front of an entry: "#1041: 100,000 deletes of creatives by
// upload".
func groupText(g activation.AheadGroup) string {
	of := ""
	if g.Kind != "" {
		of = " of " + kindsWords[g.Kind]
	}
	under := ""
	if g.Status == activation.EntryProcessing {
		under = ", under way"
	}
	return fmt.Sprintf("#%d: %s%s%s%s", cmp.Or(g.Parent, g.First), counted(g.Count, g.Operation), of, whose(g), under)
}

// whyBehind says in a sentence what an entry waits behind, and why: "behind #1041:
// 100,000 deletes by upload; creatives go before keywords".
func whyBehind(ahead []activation.AheadGroup, before *activation.Entry, e activation.Entry) string {
	var groups []activation.AheadGroup // without their kinds
	for _, g := range ahead {
		last := len(groups) - 1
		if last >= 0 && g.Parent != 0 && groups[last].Parent == g.Parent && groups[last].Operation == g.Operation && groups[last].Origin == g.Origin {
			groups[last].Count += g.Count
			continue
		}
		groups = append(groups, g)
	}
	if len(groups) == 0 {
		return "it is the first in the order"
	}
	var named []string
	var rest int64
	for i, g := range groups {
		if i < maxNamed {
			named = append(named, fmt.Sprintf("#%d: %s%s", cmp.Or(g.Parent, g.First), counted(g.Count, g.Operation), whose(g)))
		} else {
			rest += g.Count
		}
	}
	why := "behind " + strings.Join(named, ", ")
	if rest > 0 {
		why += " and " + number(rest) + " more"
	}
	if before != nil {
		why += "; " + reason(decidedBy(*before, e), *before, e)
	}
	return why
}

// blocked says what keeps the queue of an account from moving, "" = nothing, and for
// how long; -1 = until somebody does something.
func (d *Desk) blocked(ctx context.Context, account activation.PublisherAccount) (why string, wait time.Duration, err error) {
	job, err := d.cfg.Jobs.Job(ctx, account.PostJob)
	if errors.Is(err, activation.ErrNotFound) {
		return "the post job was deleted", -1, nil
	}
	if err != nil {
		return "", 0, err
	}
	until := func() string { return job.SleepUntil.In(location(account)).Format("2006-01-02 15:04 MST") }
	last := func() (string, error) {
		passes, err := d.cfg.Jobs.Passes(ctx, account.PostJob, 0, 1)
		if err != nil || len(passes) == 0 {
			return "", err
		}
		return strings.TrimSuffix(": "+passes[0].ErrorCode+" "+passes[0].ErrorText, ":  "), nil
	}
	switch job.State {
	case activation.JobRunnable:
		return "", 0, nil
	case activation.JobPaused:
		return "the post job is paused", -1, nil
	case activation.JobFailed:
		text, err := last()
		return "the post job has failed" + text, -1, err
	case activation.JobKilled, activation.JobCompleted:
		return "the post job was ended", -1, nil
	case activation.JobSleeping:
		wait = max(0, job.SleepUntil.Sub(d.cfg.Now()))
		switch job.SleepReason { //nolint:exhaustive // of the others the time says all
		case activation.SleepAuthorization:
			return "the authorization is unhealthy: mend or replace it", -1, nil
		case activation.SleepError:
			text, err := last()
			return "the publisher or its connection erred; it is tried again at " + until() + text, wait, err
		case activation.SleepProviderLimit:
			return "the publisher takes nothing until " + until(), wait, nil
		}
		return "the post job sleeps until " + until(), wait, nil
	}
	return "the post job is " + string(job.State), -1, nil
}

// pace is how long one entry took lately: by the passes of the post job that posted
// something, or those of the sync job where it alone did.
func (d *Desk) pace(ctx context.Context, account activation.PublisherAccount) (each time.Duration, known bool, err error) {
	for _, job := range []activation.JobID{account.PostJob, account.SyncJob} {
		passes, err := d.cfg.Jobs.Passes(ctx, job, 0, pacePasses)
		if err != nil {
			return 0, false, err
		}
		if each, known = paceOf(passes); known {
			break
		}
	}
	return each, known, nil
}

// paceOf takes the pace from passes, the newest first.
func paceOf(passes []activation.Pass) (each time.Duration, known bool) {
	var posted int64
	var took time.Duration
	for _, p := range passes {
		n, ended := p.Counts[countPosted], p.EndedAt
		if ended.IsZero() {
			ended = p.ProgressAt
		}
		if n == 0 || ended.Before(p.StartedAt) {
			continue
		}
		posted, took = posted+n, took+ended.Sub(p.StartedAt)
		if posted >= paceEntries {
			break
		}
	}
	if posted == 0 {
		return 0, false
	}
	return took / time.Duration(posted), true
}
