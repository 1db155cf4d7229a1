package meta

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"usher/internal/activation"
	"usher/internal/provider"
)

const (
	// maxPageSize bounds the setting.
	maxPageSize = 500
	// maxStructurePages bounds a list, should its cursors never end.
	maxStructurePages = 50_000
)

// look asks for objects, up to 50 in one call. of says id and fields of each; those
// that are not there are passed over. It changes nothing, so its errors never say
// that something may have been applied.
func (p *publisher) look(ctx context.Context, n int, of func(i int) (id, fields string), found func(i int, in map[string]json.RawMessage) error) error {
	asked := false
	for from := 0; from < n; from += maxTogether {
		to := min(from+maxTogether, n)
		operations := make([]operation, 0, to-from)
		for i := from; i < to; i++ {
			id, fields := of(i)
			operations = append(operations, operation{Method: http.MethodGet, URL: p.m.version + "/" + id + "?" + url.Values{"fields": {fields}}.Encode()})
		}
		parts, err := p.m.batch(ctx, operations)
		if err != nil {
			return unsent(notABatch(err))
		}
		for i, one := range parts {
			in, err := p.object(one)
			if codeIs(err, classGone) {
				if asked {
					continue
				}
				asked = true
				if _, err := p.Check(ctx); err != nil { // nothing is seen by this token
					return err
				}
				continue
			}
			if err == nil {
				err = found(from+i, in)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// object is one part of the answer to look.
func (p *publisher) object(one *reply) (map[string]json.RawMessage, error) {
	if one == nil {
		e := failure(classUnavailable, envelope{})
		e.Message += " (a part of an answer is missing)"
		return nil, e
	}
	var in map[string]json.RawMessage
	if err := p.m.read(http.MethodGet, one.answer(), &in); err != nil {
		if codeIs(err, classGone) {
			return nil, err
		}
		return nil, notABatch(err)
	}
	return in, nil
}

// Read reads objects back.
func (p *publisher) Read(ctx context.Context, refs []activation.ObjectRef) ([]provider.ObjectState, error) {
	if err := p.learn(ctx); err != nil {
		return nil, err
	}
	refs = slices.DeleteFunc(slices.Clone(refs), func(r activation.ObjectRef) bool {
		_, ok := levelOfKind(r.Kind)
		return !ok || !numberPattern.MatchString(r.ID)
	})
	var out []provider.ObjectState
	err := p.look(ctx, len(refs), func(i int) (string, string) {
		l, _ := levelOfKind(refs[i].Kind)
		return refs[i].ID, l.fields()
	}, func(i int, in map[string]json.RawMessage) error {
		l, _ := levelOfKind(refs[i].Kind)
		s, gone := p.state(l, in)
		if s.ID != refs[i].ID {
			return failure(classAnswer, envelope{})
		}
		if !gone && p.owns(in) {
			out = append(out, s)
		}
		return nil
	})
	return out, err
}

// owns reports whether an object is of this account, which a token need not be for.
func (p *publisher) owns(in map[string]json.RawMessage) bool {
	of := scalar(in["account_id"])
	return of == "" || of == p.m.account
}

// Find looks for what creates made, below their parents. Of several with the name it
// takes the newest, since Meta lets names be used twice.
func (p *publisher) Find(ctx context.Context, creates []provider.Edit) ([]string, error) {
	out := make([]string, len(creates))
	type place struct{ path, name string }
	lists := map[string][]candidate{}
	taken := map[string]bool{}
	for i, e := range creates {
		l, ok := levelOf(e.Type)
		if !ok || l.up != "" && !numberPattern.MatchString(e.Parent.ID) {
			continue // what lies in nothing was never made
		}
		at := place{path: p.account() + "/" + l.edge, name: e.Set[activation.FieldName]}
		if l.up != "" {
			at.path = e.Parent.ID + "/" + l.edge
		}
		list, known := lists[at.path]
		if !known {
			var err error
			if list, err = p.candidates(ctx, l, at.path); err != nil {
				return nil, err
			}
			lists[at.path] = list
		}
		for _, c := range list {
			if c.name == at.name && !taken[c.id] && !slices.Contains(e.Known, c.id) {
				out[i], taken[c.id] = c.id, true
				break
			}
		}
	}
	return out, nil
}

// candidate is an object that a create may have made.
type candidate struct {
	id, name string
	at       time.Time
}

// candidates are the objects of a list, newest first.
func (p *publisher) candidates(ctx context.Context, l level, path string) ([]candidate, error) {
	fields := "id,name,status"
	if l.dated {
		fields += ",created_time"
	}
	var out []candidate
	err := p.pages(ctx, path, url.Values{"fields": {fields}}, func(in map[string]json.RawMessage) error {
		if s := scalar(in["status"]); s == metaArchived || s == metaDeleted {
			return nil
		}
		at, _ := time.Parse(metaTime, scalar(in["created_time"])) // creatives do not tell
		out = append(out, candidate{scalar(in["id"]), scalar(in["name"]), at})
		return nil
	})
	if codeIs(err, classGone) { // so is all that was in it, if the account is there
		if _, err := p.Check(ctx); err != nil {
			return nil, err
		}
		return nil, nil
	}
	slices.SortFunc(out, func(a, b candidate) int {
		if c := b.at.Compare(a.at); c != 0 {
			return c
		}
		if len(a.id) != len(b.id) {
			return len(b.id) - len(a.id)
		}
		return strings.Compare(b.id, a.id)
	})
	return out, err
}

// Structure reads the account whole: campaigns, creatives, ad sets, ads. What lies
// in something that is gone is gone with it, whatever its own status says.
func (p *publisher) Structure(ctx context.Context, yield func(provider.ObjectState) error) error {
	if err := p.learn(ctx); err != nil {
		return err
	}
	there := map[activation.ObjectRef]bool{{}: true}
	for _, l := range levels {
		inside := slices.ContainsFunc(levels, func(below level) bool { return below.parent == l.name })
		query := url.Values{"fields": {l.fields()}}
		err := p.pages(ctx, p.account()+"/"+l.edge, query, func(in map[string]json.RawMessage) error {
			s, gone := p.state(l, in)
			if !numberPattern.MatchString(s.ID) || l.up != "" && !numberPattern.MatchString(s.Parent.ID) { // it would pass for gone
				return failure(classAnswer, envelope{})
			}
			if gone || !there[s.Parent] {
				return nil
			}
			if inside {
				there[s.ObjectRef] = true
			}
			return yield(s)
		})
		if err != nil {
			if codeIs(err, classGone) {
				return as(err, classAccount)
			}
			return err
		}
	}
	return nil
}

// pages calls yield with each row of a list, page after page.
func (p *publisher) pages(ctx context.Context, path string, query url.Values, yield func(map[string]json.RawMessage) error) error {
	if !query.Has("limit") {
		query.Set("limit", p.page)
	}
	seen := map[string]bool{}
	for range maxStructurePages {
		var page struct {
			Data   *[]map[string]json.RawMessage `json:"data"`
			Paging struct {
				Cursors struct {
					After string `json:"after"`
				} `json:"cursors"`
				Next string `json:"next"`
			} `json:"paging"`
		}
		if _, err := p.m.call(ctx, http.MethodGet, path, query, nil, &page); err != nil {
			return notABatch(err)
		}
		if page.Data == nil { // no list is no empty list
			e := failure(classAnswer, envelope{})
			e.Message += " (a page without a list)"
			return e
		}
		for _, row := range *page.Data {
			if err := yield(row); err != nil {
				return err
			}
		}
		after := page.Paging.Cursors.After
		if page.Paging.Next == "" {
			return nil
		}
		if after == "" || seen[after] {
			break
		}
		seen[after] = true
		query.Set("after", after)
	}
	e := failure(classAnswer, envelope{})
	e.Message += " (a list that does not end)"
	return e
}
