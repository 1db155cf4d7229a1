package web

import (
	"slices"

	"usher/internal/activation"
	"usher/internal/store"
)

// usage is what uses one authorization: what stops working without it.
type usage struct {
	Destinations []link
	Jobs         []link
}

// Count is how many things use it.
func (u usage) Count() int { return len(u.Destinations) + len(u.Jobs) }

// Words says in one line how many of what use it.
func (u usage) Words() string {
	if u.Count() == 0 {
		return "Nothing yet"
	}
	var parts []string
	if n := len(u.Destinations); n > 0 {
		parts = append(parts, many(int64(n), "destination"))
	}
	if n := len(u.Jobs); n > 0 {
		parts = append(parts, many(int64(n), "job"))
	}
	return joinComma(parts)
}

// names are the first few things that use it, for a sentence.
func (u usage) names() string {
	const shown = 5
	var all []string
	for _, l := range slices.Concat(u.Destinations, u.Jobs) {
		all = append(all, l.Text)
	}
	if len(all) > shown {
		return joinComma(all[:shown]) + " and " + num(len(all)-shown) + " more"
	}
	return joinComma(all)
}

// usages are what uses each authorization. A job that was ended for good uses
// nothing.
func (c *Console) usages(v visit) (map[activation.AuthorizationID]usage, error) {
	destinations, err := c.Store.Destinations(v.Context())
	if err != nil {
		return nil, err
	}
	out := map[activation.AuthorizationID]usage{}
	of := map[activation.DestinationID]activation.AuthorizationID{}
	for _, d := range destinations {
		of[d.ID] = d.Authorization
		u := out[d.Authorization]
		u.Destinations = append(u.Destinations, link{destinationPath(d.ID), d.Name})
		out[d.Authorization] = u
	}
	jobs, err := c.Store.Jobs(v.Context(), store.JobFilter{Hidden: true})
	if err != nil {
		return nil, err
	}
	for _, j := range jobs {
		if j.State == activation.JobKilled {
			continue
		}
		ids := slices.Clone(j.Authorizations)
		if id := of[j.Destination]; id != "" && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
		for _, id := range ids {
			u := out[id]
			u.Jobs = append(u.Jobs, link{jobPath(j.ID), j.Name})
			out[id] = u
		}
	}
	return out, nil
}
