// Package webtest connects the conformance suite to the real table of the site.
// It is imported by tests only. Its oracle reads the table's file by itself and
// computes the digests of public ids from the key file.
package webtest

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"

	"usher/internal/matchkey"
	"usher/internal/provider"
	"usher/internal/provider/providertest"
	"usher/internal/provider/web"
	"usher/internal/warehouse/site"
)

// Harness returns what the suite needs to judge the web destination.
func Harness() providertest.Harness {
	const (
		noCall       = "the table is in this process: no call can be lost, answered by something else or throttled"
		noCredential = "the table is in this process: there are no credentials"
	)
	return providertest.Harness{
		Definition: web.Definition(),
		Transport:  providertest.Local,
		Open:       func() (providertest.Network, error) { return Open() },
		Person:     person,
		Skip: map[string]string{
			"one row is rejected at its index":            "what the table would not hold is refused before it; see TestRowsThatAreNotShown",
			"one row is counted invalid without an index": "the table takes or refuses whole batches",
			"an answer that comes late":                   "the table answers at once",
			"a late answer that rejects one row":          "the table answers at once",
			"refused whole":                               "the table refuses no batch within the limits",
			"no answer after it took effect":              noCall,
			"cut after it took effect":                    noCall,
			"internal error":                              noCall,
			"a web page instead of an answer":             noCall,
			"throttled for a time":                        noCall,
			"throttled without a time":                    noCall,
			"cancelled during the call":                   noCall,
			"no answer in a replacement":                  noCall,
			"a batch of a replacement is not halved":      "the table refuses no batch within the limits",
			"check finds a bad token":                     noCredential,
			"token refused in the middle of a run":        noCredential,
			"a bad token is not a gone audience":          noCredential,
			"a bad token deletes nothing":                 noCredential,
			"an audience opens":                           noCredential + "; that a gone one does not open is in TestAudiencesOpen",
		},
	}
}

func person(i int) map[string]string {
	return map[string]string{
		"public_id": fmt.Sprintf("visitor-%05d", i),
		"city":      fmt.Sprintf("City number %d", i),
		"tier":      "\"gold\" & <more>",
	}
}

// Table is the site's table as the provider sees it.
type Table struct{ *site.Site }

// Ensure makes an audience.
func (t Table) Ensure(ctx context.Context, marker, slug string) (provider.RemoteID, error) {
	id, err := t.Site.Ensure(ctx, marker, slug)
	return provider.RemoteID(id), err
}

// Put adds people.
func (t Table) Put(ctx context.Context, audience provider.RemoteID, ids, values []string) error {
	return t.Site.Put(ctx, string(audience), ids, values)
}

// Replace puts people into an audience as one part of all of its people.
func (t Table) Replace(ctx context.Context, audience provider.RemoteID, session int64, last bool, ids, values []string) error {
	return t.Site.Replace(ctx, string(audience), session, last, ids, values)
}

// Members names the members of an audience.
func (t Table) Members(ctx context.Context, audience provider.RemoteID, yield func(id, values string) error) error {
	return t.Site.Members(ctx, string(audience), yield)
}

// Take removes people.
func (t Table) Take(ctx context.Context, audience provider.RemoteID, ids []string) error {
	return t.Site.Take(ctx, string(audience), ids)
}

// Drop removes an audience.
func (t Table) Drop(ctx context.Context, audience provider.RemoteID) error {
	return t.Site.Drop(ctx, string(audience))
}

// Has looks for an audience.
func (t Table) Has(ctx context.Context, audience provider.RemoteID) (bool, error) {
	return t.Site.Has(ctx, string(audience))
}

// counted counts what the provider asks of a table.
type counted struct {
	Table
	writes, calls *atomic.Int64
}

func (c counted) Ensure(ctx context.Context, marker, slug string) (provider.RemoteID, error) {
	c.writes.Add(1)
	c.calls.Add(1)
	return c.Table.Ensure(ctx, marker, slug)
}

func (c counted) Put(ctx context.Context, audience provider.RemoteID, ids, values []string) error {
	c.writes.Add(1)
	c.calls.Add(1)
	return c.Table.Put(ctx, audience, ids, values)
}

func (c counted) Replace(ctx context.Context, audience provider.RemoteID, session int64, last bool, ids, values []string) error {
	c.writes.Add(1)
	c.calls.Add(1)
	return c.Table.Replace(ctx, audience, session, last, ids, values)
}

func (c counted) Members(ctx context.Context, audience provider.RemoteID, yield func(id, values string) error) error {
	c.calls.Add(1)
	return c.Table.Members(ctx, audience, yield)
}

func (c counted) Take(ctx context.Context, audience provider.RemoteID, ids []string) error {
	c.writes.Add(1)
	c.calls.Add(1)
	return c.Table.Take(ctx, audience, ids)
}

func (c counted) Drop(ctx context.Context, audience provider.RemoteID) error {
	c.writes.Add(1)
	c.calls.Add(1)
	return c.Table.Drop(ctx, audience)
}

func (c counted) Has(ctx context.Context, audience provider.RemoteID) (bool, error) {
	c.calls.Add(1)
	return c.Table.Has(ctx, audience)
}

// Network is an empty table in a folder of its own.
type Network struct {
	Table         Table
	dir           string
	file          *sql.DB
	key           []byte
	writes, calls atomic.Int64
}

// Open makes one. Close removes it.
func Open() (*Network, error) {
	dir, err := os.MkdirTemp("", "usher-site")
	if err != nil {
		return nil, err
	}
	n := &Network{dir: dir}
	if n.Table.Site, err = site.Open(context.Background(), dir, nil); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	raw, err := os.ReadFile(filepath.Join(dir, "site.key"))
	if err == nil {
		n.key, err = hex.DecodeString(strings.TrimSpace(string(raw)))
	}
	if err == nil {
		n.file, err = sql.Open("sqlite", filepath.Join(dir, "site.db")+"?_pragma=busy_timeout(5000)")
	}
	return n, err
}

// Deps are the table.
func (n *Network) Deps() provider.Deps {
	return provider.Deps{Config: map[string]string{}, Site: counted{n.Table, &n.writes, &n.calls}}
}

// Hosts are none.
func (n *Network) Hosts() []string { return nil }

// Fail arranges nothing: there is no network.
func (n *Network) Fail(f providertest.Fault) error {
	return fmt.Errorf("the table does not fail by %q", f.Kind)
}

// Heal ends nothing.
func (n *Network) Heal() {}

// Holds looks for the value in the table's file.
func (n *Network) Holds(id provider.RemoteID, key matchkey.Key, value []byte) bool {
	if !key.Identifies {
		return n.count(`SELECT count(*) FROM members WHERE audience = $1 AND json_extract(attributes, '$.' || $2) = $3`, string(id), key.Name, string(value)) > 0
	}
	h := hmac.New(sha256.New, n.key)
	_, _ = h.Write(value)
	return n.count(`SELECT count(*) FROM members WHERE audience = $1 AND person = $2`, string(id), h.Sum(nil)) > 0
}

// Size counts the members.
func (n *Network) Size(id provider.RemoteID) int {
	return n.count(`SELECT count(*) FROM members WHERE audience = $1`, string(id))
}

// Audiences counts them.
func (n *Network) Audiences() int { return n.count(`SELECT count(*) FROM audiences`) }

func (n *Network) count(question string, args ...any) (c int) {
	if err := n.file.QueryRowContext(context.Background(), question, args...).Scan(&c); err != nil {
		panic(fmt.Errorf("%s: %w", question, err)) // the oracle's own questions
	}
	return c
}

// Delete takes the audience away.
func (n *Network) Delete(id provider.RemoteID) {
	if err := n.Table.Site.Drop(context.Background(), string(id)); err != nil {
		panic(err)
	}
}

// Put adds people behind the provider's back.
func (n *Network) Put(id provider.RemoteID, keys []matchkey.Key, values ...[]byte) {
	ids, attributes := rows(keys, values)
	if err := n.Table.Site.Put(context.Background(), string(id), ids, attributes); err != nil {
		panic(err)
	}
}

// Drop takes people away behind the provider's back.
func (n *Network) Drop(id provider.RemoteID, keys []matchkey.Key, values ...[]byte) {
	ids, _ := rows(keys, values)
	if err := n.Table.Site.Take(context.Background(), string(id), ids); err != nil {
		panic(err)
	}
}

// rows are people as the table takes them.
func rows(keys []matchkey.Key, values [][]byte) (ids, attributes []string) {
	for row := range slices.Chunk(values, len(keys)) {
		shown := map[string]string{}
		for i, k := range keys {
			if k.Identifies {
				ids = append(ids, string(row[i]))
			} else if row[i] != nil {
				shown[k.Name] = string(row[i])
			}
		}
		text, err := json.Marshal(shown)
		if err != nil {
			panic(err) // a map of texts
		}
		attributes = append(attributes, string(text))
	}
	return ids, attributes
}

// Writes counts the changes that were asked for.
func (n *Network) Writes() int { return int(n.writes.Load()) }

// Calls counts all that was asked for.
func (n *Network) Calls() int { return int(n.calls.Load()) }

// Close closes and removes the table.
func (n *Network) Close() {
	if err := errors.Join(n.file.Close(), n.Table.Close(), os.RemoveAll(n.dir)); err != nil {
		panic(err)
	}
}
