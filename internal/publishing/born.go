package publishing

import (
	"context"
	"slices"

	"usher/internal/activation"
)

// bornEdits are edits that name objects by the entries that were to create them
// (activation.NewObjectID), with the publisher's ids of those that it has created
// since: whoever was told such an id may go on using it.
func (d *Desk) bornEdits(ctx context.Context, id activation.PublisherID, edits []EditSpec) ([]EditSpec, error) {
	var creates []activation.EntryID
	note := func(id string) {
		if create, ok := activation.CreatedBy(id); ok {
			creates = append(creates, create)
		}
	}
	for _, e := range edits {
		note(e.ID)
		note(e.Parent.ID)
		for _, value := range e.Fields {
			note(value)
		}
	}
	born, err := d.born(ctx, id, creates)
	if err != nil || len(born) == 0 {
		return edits, err
	}
	rename := func(id string) string {
		if now, ok := born[id]; ok {
			return now
		}
		return id
	}
	edits = slices.Clone(edits)
	for i, e := range edits {
		edits[i].ID, edits[i].Parent.ID = rename(e.ID), rename(e.Parent.ID)
		if len(e.Fields) == 0 {
			continue
		}
		edits[i].Fields = make(map[string]string, len(e.Fields))
		for field, value := range e.Fields {
			edits[i].Fields[field] = rename(value)
		}
	}
	return edits, nil
}

// born are the publisher's ids of what these creates have made, by the ids that stood
// for them.
func (d *Desk) born(ctx context.Context, id activation.PublisherID, creates []activation.EntryID) (map[string]string, error) {
	out := map[string]string{}
	slices.Sort(creates)
	for chunk := range slices.Chunk(slices.Compact(creates), planChunk) {
		entries, _, err := d.cfg.Store.Entries(ctx, activation.EntryQuery{Publisher: id, IDs: chunk, Limit: len(chunk)})
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if was := activation.NewObjectID(e.ID); e.Operation == activation.OpCreate && e.Object.ID != was {
				out[was] = e.Object.ID
			}
		}
	}
	return out, nil
}
