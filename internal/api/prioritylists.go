package api

import (
	"context"

	"github.com/danielgtaylor/huma/v2"

	"usher/internal/activation"
)

// listBody declares a priority list; what is left out of a change stays.
type listBody struct {
	Name        *string   `json:"name,omitempty"`
	Destination *string   `json:"destination_id,omitempty" doc:"can't be changed later"`
	Audiences   *[]string `json:"segment_ids,omitempty" doc:"ids or slugs, the strongest first; an audience is in one list of a destination"`
}

// over puts what was sent over a list. The audiences come back beside it, by id
// or slug.
func (b listBody) over(l activation.PriorityList) (activation.PriorityList, []string) {
	audiences := make([]string, len(l.Audiences))
	for i, id := range l.Audiences {
		audiences[i] = string(id)
	}
	set(&l.Name, b.Name)
	if b.Destination != nil {
		l.Destination = activation.DestinationID(*b.Destination)
	}
	set(&audiences, b.Audiences)
	return l, audiences
}

// priorityLists are the routes of ordered audiences.
func (a *API) priorityLists(h huma.API) {
	type id struct {
		ID string `path:"id" doc:"id of the list"`
	}
	huma.Register(h, route("GET /v2/priority-list", Viewer, "list-priority-lists", "Ordered audiences: a person goes to the first one only, per destination", "audiences"), func(ctx context.Context, in *struct {
		Destination string `query:"destination_id" doc:"only those of a destination"`
	},
	) (*reply[[]activation.PriorityList], error) {
		all, err := a.Catalog.PriorityLists(ctx, activation.DestinationID(in.Destination))
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return list(ctx, all)
	})
	huma.Register(h, route("GET /v2/priority-list/{id}", Viewer, "show-priority-list", "Show a priority list", "audiences"), func(ctx context.Context, in *id) (*reply[activation.PriorityList], error) {
		l, err := a.Catalog.PriorityList(ctx, activation.PriorityListID(in.ID))
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return ok(ctx, l)
	})
	huma.Register(h, route("POST /v2/priority-list", Operator, "create-priority-list", "Order audiences of a destination; the next runs keep to it", "audiences"), func(ctx context.Context, in *struct{ Body listBody }) (*reply[activation.PriorityList], error) {
		l, audiences := in.Body.over(activation.PriorityList{})
		l, err := a.Catalog.CreatePriorityList(ctx, l, audiences, CallerOf(ctx).Name)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return created(ctx, l)
	})
	huma.Register(h, route("PUT /v2/priority-list/{id}", Operator, "edit-priority-list", "Change name or order; what is left out stays", "audiences"), func(ctx context.Context, in *struct {
		ID   string `path:"id" doc:"id of the list"`
		Body listBody
	},
	) (*reply[activation.PriorityList], error) {
		l, err := a.Catalog.PriorityList(ctx, activation.PriorityListID(in.ID))
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		l, audiences := in.Body.over(l)
		if l, err = a.Catalog.UpdatePriorityList(ctx, l, audiences, CallerOf(ctx).Name); err != nil {
			return nil, a.fail(ctx, err)
		}
		return ok(ctx, l)
	})
	huma.Register(h, route("DELETE /v2/priority-list/{id}", Operator, "delete-priority-list", "Take an order away: people go to all of its audiences again", "audiences"), func(ctx context.Context, in *id) (*reply[any], error) {
		if err := a.Catalog.DeletePriorityList(ctx, activation.PriorityListID(in.ID), CallerOf(ctx).Name); err != nil {
			return nil, a.fail(ctx, err)
		}
		return deleted(ctx)
	})
}
