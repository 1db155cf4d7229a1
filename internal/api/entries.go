package api

import (
	"context"

	"github.com/danielgtaylor/huma/v2"

	"usher/internal/activation"
	"usher/internal/publishing"
)

// EntryPath is the entry in a path.
type EntryPath struct {
	ID int64 `path:"id" doc:"id of the entry"`
}

func (p EntryPath) id() activation.EntryID { return activation.EntryID(p.ID) }

// EntryFilter selects entries, in a query and in a body alike.
type EntryFilter struct {
	Publisher string `query:"publisher_id" json:"publisher_id,omitempty" doc:"of one account"`
	Status    string `query:"status" json:"status,omitempty" doc:"held, to_be_sent, queued, processing, done, partial, failed or cancelled; several with commas"`
	Origin    string `query:"origin" json:"origin,omitempty" doc:"scheduled, user or system; several with commas"`
	Kind      string `query:"kind" json:"kind,omitempty" doc:"campaign, group, creative, keyword or other; several with commas"`
	Operation string `query:"operation" json:"operation,omitempty" doc:"sync, create, edit, bid, geo, status, delete or upload; several with commas"`
	Parent    int64  `query:"parent_id" json:"parent_id,omitempty" doc:"the rows of one upload"`
	Object    string `query:"object" json:"object,omitempty" doc:"id of one object, with its one kind"`
	Text      string `query:"text" json:"text,omitempty" doc:"within the text, or the name or id of the object, or the entry's own id"`
	Since     string `query:"since" json:"since,omitempty" doc:"RFC 3339, or such as now-3d"`
	Until     string `query:"until" json:"until,omitempty" doc:"the same"`
}

// entryOperations are those that a filter may name.
var entryOperations = append(append([]activation.Operation(nil), activation.Operations...), activation.OpUpload)

// query reads the filter.
func (a *API) entryQuery(f EntryFilter) (q activation.EntryQuery, err error) {
	q = activation.EntryQuery{Publisher: activation.PublisherID(f.Publisher), Parent: activation.EntryID(f.Parent), Text: f.Text}
	if q.Statuses, err = words("status", f.Status, activation.EntryStatuses); err != nil {
		return q, err
	}
	if q.Origins, err = words("origin", f.Origin, activation.Origins); err != nil {
		return q, err
	}
	if q.Kinds, err = words("kind", f.Kind, activation.ObjectKinds); err != nil {
		return q, err
	}
	if q.Ops, err = words("operation", f.Operation, entryOperations); err != nil {
		return q, err
	}
	if f.Object != "" {
		if len(q.Kinds) != 1 || f.Publisher == "" {
			return q, invalid("object", "object: needs publisher_id and its one kind beside it")
		}
		q.Object = activation.ObjectRef{Kind: q.Kinds[0], ID: f.Object}
	}
	q.Since, q.Until, err = a.between(f.Since, f.Until)
	return q, err
}

// entryCommands are what people do to entries, by the last word of the route.
var entryCommands = []struct {
	command activation.EntryCommand
	summary string
}{
	{activation.CommandPost, "Release entries, held ones too, with the creates they need; they go out in their turn"},
	{activation.CommandHold, "Keep entries back until somebody posts or releases them"},
	{activation.CommandRelease, "Take held entries back to what is to be sent"},
	{activation.CommandCancel, "End entries that are not queued yet, with those that can't be without them; local values are what they were"},
	{activation.CommandRetry, "Queue failed entries again, in the place they had"},
}

// entryPlace is a position under a name of its own in the OpenAPI document, beside
// that of imports.
type entryPlace struct{ publishing.Position }

// entries are the routes of the Activity Log.
func (a *API) entries(h huma.API) {
	huma.Register(h, route("GET /v2/entry", Viewer, "list-entries", "The Activity Log: newest first, or what waits of one account in the order of posting", publishersTag), func(ctx context.Context, in *struct {
		EntryFilter
		Order string `query:"order" enum:"newest,posting" default:"newest"`
		Start string `query:"start" doc:"_next of the page before; a page may have few entries, or none, and a _next: so far was searched"`
		Limit int    `query:"limit" default:"50" minimum:"1" maximum:"1000"`
	},
	) (*reply[[]activation.Entry], error) {
		q, err := a.entryQuery(in.EntryFilter)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		if q.Posting = in.Order == "posting"; q.Posting && q.Publisher == "" {
			return nil, a.fail(ctx, invalid("publisher_id", "publisher_id: the order of posting is that of one account"))
		}
		q.After, q.Limit = in.Start, in.Limit
		all, next, err := a.Publishing.Entries(ctx, q)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return page(ctx, all, next)
	})
	huma.Register(h, route("GET /v2/entry/count", Viewer, "count-entries", "How many entries there are of each status", publishersTag), func(ctx context.Context, in *struct {
		Publisher string `query:"publisher_id" doc:"of one account"`
	},
	) (*reply[map[activation.EntryStatus]int64], error) {
		return answer(a.Publishing.Counts(ctx, activation.PublisherID(in.Publisher)))(ctx, a)
	})
	huma.Register(h, route("GET /v2/entry/{id}", Viewer, "show-entry", "One entry: what it changes, where it waits, what the publisher answered", publishersTag), func(ctx context.Context, in *EntryPath) (*reply[publishing.EntryView], error) {
		return answer(a.Publishing.Entry(ctx, in.id()))(ctx, a)
	})
	huma.Register(h, route("GET /v2/entry/{id}/position", Viewer, "entry-position", "The place of a waiting entry, what it waits behind, and about how long", publishersTag), func(ctx context.Context, in *EntryPath) (*reply[entryPlace], error) {
		p, err := a.Publishing.Position(ctx, in.id())
		return answer(entryPlace{p}, err)(ctx, a)
	})
	for _, c := range entryCommands {
		huma.Register(h, route("POST /v2/entry/"+string(c.command), Operator, string(c.command)+"-entries", c.summary+". The answer counts what was done and what was refused, with reasons", publishersTag), func(ctx context.Context, in *struct {
			Body struct {
				IDs    []activation.EntryID `json:"ids,omitempty" maxItems:"10000" doc:"entries by id"`
				Filter *EntryFilter         `json:"filter,omitempty" doc:"instead of ids: all that match"`
				DryRun bool                 `json:"dry_run,omitempty" doc:"count, and do nothing"`
			}
		},
		) (*reply[activation.EntriesMoved], error) {
			q, err := a.selected(in.Body.IDs, in.Body.Filter)
			if err != nil {
				return nil, a.fail(ctx, err)
			}
			return answer(a.Publishing.Move(ctx, c.command, q, in.Body.DryRun, CallerOf(ctx).Name))(ctx, a)
		})
	}
	huma.Register(h, route("POST /v2/publisher/{id}/post-all", Operator, "post-all-entries", "Release every entry of an account that is to be sent, never held ones", publishersTag), func(ctx context.Context, in *struct {
		PublisherPath
		Body *struct {
			DryRun bool `json:"dry_run,omitempty" doc:"count, and do nothing"`
		}
	},
	) (*reply[activation.EntriesMoved], error) {
		dry := in.Body != nil && in.Body.DryRun
		return answer(a.Publishing.Move(ctx, activation.CommandPostAll, activation.EntryQuery{Publisher: in.id()}, dry, CallerOf(ctx).Name))(ctx, a)
	})
}

// selected reads what a command is about: ids or a filter, never both and never
// nothing, which would be all there is.
func (a *API) selected(ids []activation.EntryID, f *EntryFilter) (activation.EntryQuery, error) {
	switch {
	case len(ids) > 0 && f != nil:
		return activation.EntryQuery{}, invalid("filter", "filter: give ids or a filter, not both")
	case len(ids) > 0:
		return activation.EntryQuery{IDs: ids}, nil
	case f == nil || *f == EntryFilter{}:
		return activation.EntryQuery{}, invalid("ids", "ids: name at least one entry, or give a filter that narrows the log")
	}
	return a.entryQuery(*f)
}
