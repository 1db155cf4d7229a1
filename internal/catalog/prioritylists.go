package catalog

import (
	"context"
	"errors"
	"slices"
	"strings"

	"usher/internal/activation"
)

// PriorityLists lists them, of one destination or of all.
func (c *Catalog) PriorityLists(ctx context.Context, d activation.DestinationID) ([]activation.PriorityList, error) {
	return c.Store.PriorityLists(ctx, d)
}

// PriorityList returns one.
func (c *Catalog) PriorityList(ctx context.Context, id activation.PriorityListID) (activation.PriorityList, error) {
	return c.Store.PriorityList(ctx, id)
}

// CreatePriorityList orders audiences of a destination, given by id or slug.
func (c *Catalog) CreatePriorityList(ctx context.Context, l activation.PriorityList, audiences []string, user string) (activation.PriorityList, error) {
	l, err := c.checkPriorityList(ctx, l, audiences)
	if err != nil {
		return activation.PriorityList{}, err
	}
	return c.Store.CreatePriorityList(ctx, l, user)
}

// UpdatePriorityList changes name and order; the destination stays.
func (c *Catalog) UpdatePriorityList(ctx context.Context, l activation.PriorityList, audiences []string, user string) (activation.PriorityList, error) {
	before, err := c.Store.PriorityList(ctx, l.ID)
	if err != nil {
		return activation.PriorityList{}, err
	}
	if l.Destination == "" {
		l.Destination = before.Destination
	}
	checked, err := c.checkPriorityList(ctx, l, audiences)
	if err == nil && l.Destination != before.Destination {
		var p problems
		p.add("destination_id", "can't be changed; make another list")
		err = p.err("BADREQ-001")
	}
	if err != nil {
		return activation.PriorityList{}, err
	}
	return c.Store.UpdatePriorityList(ctx, checked, user)
}

// DeletePriorityList takes an order away: people go to all of its audiences again.
func (c *Catalog) DeletePriorityList(ctx context.Context, id activation.PriorityListID, user string) error {
	return c.Store.DeletePriorityList(ctx, id, user)
}

func (c *Catalog) checkPriorityList(ctx context.Context, l activation.PriorityList, audiences []string) (activation.PriorityList, error) {
	var p problems
	l.Name = strings.TrimSpace(l.Name)
	p.name("name", l.Name)
	switch d, err := c.Store.Destination(ctx, l.Destination); {
	case errors.Is(err, activation.ErrNotFound):
		p.add("destination_id", "no such destination")
	case err != nil:
		return l, err
	default:
		l.Destination = d.ID
	}
	if len(audiences) < 2 {
		p.add("segment_ids", "an order needs at least two audiences")
	}
	var err error
	if l.Audiences, err = c.named(ctx, &p, "segment_ids", audiences, func(int, activation.Audience) {}); err != nil {
		return l, err
	}
	others, err := c.Store.PriorityLists(ctx, l.Destination)
	if err != nil {
		return l, err
	}
	for _, other := range others {
		for i, id := range l.Audiences {
			if other.ID != l.ID && other.Destination == l.Destination && slices.Contains(other.Audiences, id) {
				p.add("segment_ids", "number %d of the list is in the list %q of this destination already", i+1, other.Name)
			}
		}
	}
	return l, p.err("BADREQ-001")
}
