package catalog

import (
	"context"
	"errors"
	"slices"
	"strings"

	"usher/internal/activation"
	"usher/internal/provider"
	"usher/internal/warehouse"
)

// audienceEvents are the audience events that a job may send; "" is both.
var audienceEvents = []string{"", provider.EntersOnly, provider.ExitsOnly}

// checkEvents checks where a job has its events from, and what of each feeds
// the keys of its workflow.
func (c *Catalog) checkEvents(ctx context.Context, p *problems, j *activation.Job, spec JobSpec, workflow provider.Workflow) error {
	var columns []string
	known := true
	if workflow.Feed == provider.FeedStream {
		stream, err := c.checkStream(ctx, p, spec)
		if err != nil {
			return err
		}
		columns, j.Stream = stream.Columns, stream.Name
		known = len(columns) > 0 // before its first message nobody knows its columns
	} else if spec.Stream != "" {
		p.add("stream", "this workflow sends people entering and leaving audiences; leave it out")
	}
	if !slices.Contains(audienceEvents, j.Config[provider.AudienceEventsField]) {
		p.add("config."+provider.AudienceEventsField, "must be enters_only, exits_only or empty for both")
	}
	for _, f := range workflow.Fields {
		if v := j.Config[f.Name]; f.Type == "column" && v != "" && (known || v[0] == '$' || v[0] == '"') && !feeds(v, columns) {
			p.add("config."+f.Name, "names nothing that an event has: use %s", choices(columns))
		}
		if v := j.Config[f.Name]; f.Type == "template" && v != "" {
			if err := c.checkTemplate(ctx, p, j, f.Name); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkStream finds the stream of a job.
func (c *Catalog) checkStream(ctx context.Context, p *problems, spec JobSpec) (warehouse.StreamStat, error) {
	if len(spec.Audiences) > 0 {
		p.add("segment_ids", "this workflow sends the messages of a stream; leave it out")
	}
	all, err := c.Warehouse.Streams(ctx)
	if err != nil {
		return warehouse.StreamStat{}, err
	}
	i := slices.IndexFunc(all, func(s warehouse.StreamStat) bool { return s.Name == spec.Stream })
	switch {
	case spec.Stream == "":
		p.add("stream", "is needed: the stream whose messages are sent")
	case i < 0:
		p.add("stream", "there is no such stream; declare it or send it a first message")
	case all[i].ReferenceKey != "":
		p.add("stream", "is a reference stream, which holds rows to look up and no events")
	default:
		return all[i], nil
	}
	return warehouse.StreamStat{Stream: warehouse.Stream{Name: spec.Stream}}, nil
}

// checkTemplate makes the name of a payload template its id.
func (c *Catalog) checkTemplate(ctx context.Context, p *problems, j *activation.Job, field string) error {
	t, err := c.Store.Template(ctx, j.Config[field])
	if errors.Is(err, activation.ErrNotFound) {
		p.add("config."+field, "there is no such template")
		return nil
	}
	j.Config[field] = t.ID
	return err
}

// feeds reports whether a setting of type "column" names something that an event
// has.
func feeds(v string, columns []string) bool {
	if strings.HasPrefix(v, `"`) {
		return len(v) > 2 && strings.HasSuffix(v, `"`)
	}
	return slices.Contains(columns, v) || slices.ContainsFunc(provider.EventSources, func(s provider.EventSource) bool { return s.Name == v })
}

// choices lists what a setting of type "column" may be.
func choices(columns []string) string {
	var out []string
	if len(columns) > 0 {
		out = append(out, "a column of the stream ("+strings.Join(columns, ", ")+")")
	}
	names := make([]string, len(provider.EventSources))
	for i, s := range provider.EventSources {
		names[i] = s.Name
	}
	return strings.Join(append(out, "one of "+strings.Join(names, ", "), `or a text in double quotes`), ", ")
}
