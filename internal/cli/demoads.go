package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"usher/internal/activation"
	"usher/internal/publishing"
	"usher/sandbox/google"
)

const (
	// demoCustomer is the account at the stand-in of Google Ads.
	demoCustomer = "1234567890"
	// demoRaise is by how much the demo raises every bid of Campaign 1.
	demoRaise = 0.10
)

// campaigns links an account of the stand-in of Google Ads, edits it by a file, posts
// the edits and compares what the stand-in has with what the file said. network is the
// address of Meta's.
func (d *demo) campaigns(ctx context.Context, network string) error {
	far, ok := d.sandbox.Network("google").(*google.Network)
	if !ok {
		return nil
	}
	if err := far.MakeAdsExample(demoCustomer, google.AdsExample{Campaigns: 3, Groups: 3, Keywords: 10, Ads: 2}); err != nil {
		return err
	}
	id, err := d.link(ctx, network)
	if err != nil {
		return err
	}
	file, want, err := d.raised(ctx, id, far)
	if err != nil {
		return err
	}
	var made publishing.UploadPreview
	if err := d.api.Upload(ctx, publisherPath(id, "upload")+"?send=nightly&filename="+url.QueryEscape("raise.csv"), "text/csv", strings.NewReader(file), &made); err != nil {
		return err
	}
	first, err := d.first(ctx, id)
	if err != nil {
		return err
	}
	if _, err := d.api.Do(ctx, http.MethodPost, publisherPath(id, "post-all"), nil, nil); err != nil {
		return err
	}
	if err := d.posted(ctx, id); err != nil {
		return err
	}
	have := bids(far)
	verdict := "equal"
	if !maps.Equal(have, want) {
		verdict, d.matched = "DIFFERENT", false
	}
	_, err = fmt.Fprintf(d.out, "campaign edits by file: %s bids and 1 new campaign with what is in it, posted in order, first %q; the sandbox's %s keywords: %s\n",
		count(made.Edits), first, count(len(have)), verdict)
	return err
}

// link stores credentials, links the account and reads its structure.
func (d *demo) link(ctx context.Context, network string) (string, error) {
	base := strings.TrimSuffix(network, "/meta") + "/google"
	var auth struct{ ID string }
	config := map[string]string{
		"client_id": google.DefaultClientID, "client_secret": google.DefaultClientSecret, "refresh_token": google.DefaultRefreshToken,
		"token_url": base + "/token", "base_url": base, "ads_base_url": base,
	}
	if _, err := d.api.Do(ctx, http.MethodPost, "/v2/auth/google", map[string]any{"label": "Google (sandbox)", "config": config}, &auth); err != nil {
		return "", err
	}
	var account activation.PublisherAccount
	if _, err := d.api.Do(ctx, http.MethodPost, "/v2/publisher", map[string]any{"name": "AdventureWorks on Google Ads", "provider": "google", "auth_id": auth.ID, "account": demoCustomer}, &account); err != nil {
		return "", err
	}
	return string(account.ID), d.posted(ctx, string(account.ID))
}

// posted waits until everything that was released is posted.
func (d *demo) posted(ctx context.Context, id string) error {
	return d.until(ctx, func() (bool, error) {
		var n map[activation.EntryStatus]int64
		_, err := d.api.Do(ctx, http.MethodGet, "/v2/entry/count?publisher_id="+url.QueryEscape(id), nil, &n)
		return n[activation.EntryQueued]+n[activation.EntryProcessing] == 0, err
	})
}

// first is what would be posted first, in words.
func (d *demo) first(ctx context.Context, id string) (string, error) {
	var waits []activation.Entry
	if _, err := d.api.Do(ctx, http.MethodGet, "/v2/entry?order=posting&limit=1&publisher_id="+url.QueryEscape(id), nil, &waits); err != nil || len(waits) == 0 {
		return "", err
	}
	return waits[0].Text, nil
}

// raised is a file that raises every bid of the first campaign and makes a new one,
// and the bids that the stand-in should have after it, by keyword and group.
func (d *demo) raised(ctx context.Context, id string, far *google.Network) (file string, want map[string]int64, err error) {
	want = bids(far)
	var out bytes.Buffer
	out.WriteString("Type,Campaign,Ad group,Keyword ID,Keyword,Match type,Status,Budget,Max CPC,EU political advertising,Campaign type\n")
	var groups []activation.PublisherObject
	if _, err := d.api.Do(ctx, http.MethodGet, publisherPath(id, "object")+"?kind=group&limit=1000", nil, &groups); err != nil {
		return "", nil, err
	}
	for _, g := range groups {
		if g.Parent.ID != groups[0].Parent.ID {
			continue
		}
		var keywords []activation.PublisherObject
		q := url.Values{"kind": {"keyword"}, "parent_kind": {"group"}, "parent": {g.ID}, "limit": {"1000"}}
		if _, err := d.api.Do(ctx, http.MethodGet, publisherPath(id, "object")+"?"+q.Encode(), nil, &keywords); err != nil {
			return "", nil, err
		}
		for _, k := range keywords {
			var bid float64
			if _, err := fmt.Sscan(k.Local[activation.FieldBid], &bid); err != nil {
				continue
			}
			fmt.Fprintf(&out, "keyword,,,%s,,,,,%.2f,,\n", k.ID, bid+demoRaise)
			want[g.ID+" "+k.Name()] = int64((bid+demoRaise)*100+0.5) * 10_000
		}
	}
	out.WriteString("campaign,Winter bikes,,,,,paused,25.00,,no,search\nad group,Winter bikes,Mountain,,,,enabled,,0.45,,\nkeyword,Winter bikes,Mountain,,mountain bike,exact,enabled,,0.60,,\n")
	want["Mountain mountain bike"] = 600_000
	return out.String(), want, nil
}

// bids are the bids that the stand-in has, by group and keyword: of the example's
// groups by id, of new ones by name.
func bids(far *google.Network) map[string]int64 {
	type fields struct {
		ResourceName string                `json:"resourceName"`
		Name         string                `json:"name"`
		AdGroup      string                `json:"adGroup"`
		Bid          json.Number           `json:"cpcBidMicros"`
		Keyword      struct{ Text string } `json:"keyword"`
	}
	tree := far.AdsTree(demoCustomer)
	slices.SortStableFunc(tree, func(a, b google.AdsResource) int { return strings.Compare(a.Kind, b.Kind) })
	named, out := map[string]string{}, map[string]int64{}
	for _, r := range tree {
		var f fields
		if r.Removed || json.Unmarshal(r.Fields, &f) != nil {
			continue
		}
		switch r.Kind {
		case "adGroups":
			named[r.Resource] = r.Resource[strings.LastIndexByte(r.Resource, '/')+1:]
			if f.Name == "Mountain" {
				named[r.Resource] = f.Name
			}
		case "adGroupCriteria":
			n, _ := f.Bid.Int64()
			out[f.AdGroup+" "+f.Keyword.Text] = n
		}
	}
	byName := make(map[string]int64, len(out))
	for key, n := range out {
		group, keyword, _ := strings.Cut(key, " ")
		byName[named[group]+" "+keyword] = n
	}
	return byName
}
