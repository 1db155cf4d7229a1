package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"regexp"

	"usher/internal/activation"
	"usher/internal/matchkey"
	"usher/internal/provider"
)

const (
	// publicID is the column by which a site asks, unless the destination names
	// another one.
	publicID = "public_id"
	// maxRows is the most rows of one transaction, so that none holds the table's
	// writer for long.
	maxRows = 5_000
	// maxAttributes is the most bytes that a person's attributes take as JSON:
	// they are sent with every page of a site.
	maxAttributes = 4 << 10
)

// Definition is all the program knows of the web destination.
func Definition() provider.Definition {
	return provider.Definition{
		Name:            "web",
		Title:           "Web",
		Icon:            "world",
		DestinationType: "Web",
		Description:     "Lets your own web sites ask in which public audiences a visitor is, by a public id.",
		Workflows: []provider.Workflow{{
			Name: "web_audience", Title: "Audience on web sites",
			Description: "Keeps the public audience readable for sites: GET /web/audiences/{public_id}.",
			Direction:   provider.Export, Subject: provider.Profiles, Kind: provider.State,
			RealTime: true, Scheduled: true, Once: true,
		}},
		DestinationFields: []provider.Field{
			{Name: provider.IDColumnField, Label: "Public id", Help: "The column that holds the id by which a site asks; the other columns of the mapping are shown to the site as attributes.", Type: "string", Default: publicID},
		},
		OpenColumns: &provider.OpenColumns{Rules: "web/1", Column: column},
		PublicOnly:  true,
		MaxRows:     maxRows,
		Replay:      provider.ReplayHarmless,
		Deletes:     true,
		Opens:       true,
		Lists:       true,
		Replaces:    true,
		Concurrency: 4,
		NewDestination: func(d provider.Deps) (provider.Destination, error) {
			log := d.Log
			if log == nil {
				log = slog.New(slog.DiscardHandler)
			}
			if d.Site == nil {
				return nil, &activation.Error{Kind: activation.Internal, Code: "INTERNAL-019", Message: "the table of the site is not open"}
			}
			return &destination{site: d.Site, log: log}, nil
		},
	}
}

func column(name string, config map[string]string) matchkey.Key {
	if name == provider.Setting(Definition().DestinationFields, config, provider.IDColumnField) {
		return matchkey.Key{Help: "What a site asks by.", Exact: true, Normalize: matchkey.PublicID}
	}
	return matchkey.Key{Help: "A public attribute.", Exact: true, Normalize: matchkey.Plain}
}

// class is one way a call can fail. Each has a page in docs/troubleshooting.
type class struct {
	code    string
	kind    activation.Kind
	message string
}

var (
	classGone    = class{"WEB-GONE", activation.Gone, "the site's table has no such audience any more"}
	classTable   = class{"WEB-TABLE", activation.Unavailable, "the site's table cannot be read or written"}
	classSize    = class{"WEB-SIZE", activation.RefusedWhole, "the batch is larger than one transaction may be"}
	classRow     = class{"WEB-ROW", activation.RefusedWhole, "the row has no public id, or attributes of more than 4 KB"}
	classRequest = class{"WEB-REQUEST", activation.Invalid, "the request is not one for the site's table"}
)

// classes lists them all, in the order of the docs.
var classes = []class{classGone, classTable, classSize, classRow, classRequest}

// Codes are the codes of the errors this provider returns.
func Codes() []string {
	out := make([]string, len(classes))
	for i, c := range classes {
		out[i] = c.code
	}
	return out
}

func (c class) error() *activation.Error {
	return &activation.Error{Kind: c.kind, Code: c.code, Message: c.message}
}

// fault is what a failed call of the table means. changing is true for one that
// may have taken effect.
func fault(ctx context.Context, err error, changing bool) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, activation.ErrNotFound) {
		return classGone.error()
	}
	e := classTable.error()
	e.Err, e.MayHaveApplied = err, changing
	if ctx.Err() != nil {
		e.Err = context.Cause(ctx)
	}
	return e
}

// destination is the table of the site.
type destination struct {
	site provider.Site
	log  *slog.Logger
}

var numberPattern = regexp.MustCompile(`^[1-9][0-9]{0,18}$`)

func known(id provider.RemoteID) error {
	if !numberPattern.MatchString(string(id)) {
		e := classRequest.error()
		e.Field, e.Message = "remote", "the id of the audience is not one of the site's table"
		return e
	}
	return nil
}

// Check asks the table for an audience that is not there.
func (d *destination) Check(ctx context.Context) error {
	_, err := d.site.Has(ctx, "0")
	return fault(ctx, err, false)
}

// EnsureAudience makes the audience known to the site, or tells it another short
// name.
func (d *destination) EnsureAudience(ctx context.Context, a provider.Audience) (provider.RemoteID, error) {
	if a.Remote != "" {
		if err := d.OpenAudience(ctx, a.Remote); err != nil {
			return "", err
		}
	}
	slug := a.Slug
	if slug == "" {
		slug = a.Name
	}
	id, err := d.site.Ensure(ctx, a.Marker, slug)
	return id, fault(ctx, err, true)
}

// OpenAudience proves that the audience is there.
func (d *destination) OpenAudience(ctx context.Context, id provider.RemoteID) error {
	if err := known(id); err != nil {
		return err
	}
	there, err := d.site.Has(ctx, id)
	if err == nil && !there {
		return classGone.error()
	}
	return fault(ctx, err, false)
}

// DeleteAudience takes the audience off the site.
func (d *destination) DeleteAudience(ctx context.Context, id provider.RemoteID) error {
	if err := known(id); err != nil {
		return err
	}
	return fault(ctx, d.site.Drop(ctx, id), true)
}

// Deliver writes or removes the rows of one batch in one transaction.
func (d *destination) Deliver(ctx context.Context, b provider.Batch) (activation.Receipt, error) {
	if err := known(b.Remote); err != nil {
		return activation.Receipt{}, err
	}
	rows := b.Rows()
	if rows == 0 && b.Replace == nil {
		return activation.Receipt{}, nil
	}
	if b.Replace != nil && (b.Op != activation.OpAdd || b.Replace.Session <= 0) {
		e := classRequest.error()
		e.Field, e.Message = "replace", "a replacement adds people in a session with a number"
		return activation.Receipt{}, e
	}
	if rows > maxRows {
		e := classSize.error()
		e.Message += fmt.Sprintf(": %d rows, at most %d", rows, maxRows)
		return activation.Receipt{}, e
	}
	if ctx.Err() != nil {
		return activation.Receipt{}, fault(ctx, ctx.Err(), false)
	}
	rc := activation.Receipt{}
	ids, values := make([]string, 0, rows), make([]string, 0, rows)
	for i := range rows {
		id, attributes, ok := row(b.Keys, b.Row(i))
		if !ok {
			rc.Rejected++
			rc.Exceptions = append(rc.Exceptions, activation.Exception{Ordinal: int64(i), Outcome: activation.Rejected, Code: classRow.code})
			continue
		}
		ids, values = append(ids, id), append(values, attributes)
	}
	var err error
	switch {
	case b.Replace != nil:
		err = d.site.Replace(ctx, b.Remote, b.Replace.Session, b.Replace.Number == b.Replace.Of, ids, values)
	case b.Op == activation.OpRemove:
		err = d.site.Take(ctx, b.Remote, ids)
	default:
		err = d.site.Put(ctx, b.Remote, ids, values)
	}
	if err != nil {
		return activation.Receipt{}, fault(ctx, err, true)
	}
	rc.Accepted = int64(len(ids))
	d.log.DebugContext(ctx, "site batch delivered", "run_id", b.Run, "item_id", b.Item, "attempt", b.Attempt, "remote_id", b.Remote, "op", b.Op, "rows", rows, "rejected", rc.Rejected)
	return rc, nil
}

// row is a person's public id and attributes as a JSON object, "" for none. ok
// is false where there is no public id, or more than a page should carry.
func row(keys []matchkey.Key, values [][]byte) (id, attributes string, ok bool) {
	shown := map[string]string{}
	for i, k := range keys {
		switch {
		case values[i] == nil:
		case k.Identifies:
			id = matchkey.PublicID(string(values[i]), nil)
		default:
			shown[k.Name] = string(values[i])
		}
	}
	if id == "" {
		return "", "", false
	}
	if len(shown) == 0 {
		return id, "", true
	}
	text, err := json.Marshal(shown)
	return id, string(text), err == nil && len(text) <= maxAttributes
}

// Members names the members of an audience from the table.
func (d *destination) Members(ctx context.Context, a provider.Audience, yield func(values [][]byte) error) error {
	if err := known(a.Remote); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return fault(ctx, ctx.Err(), false)
	}
	values := make([][]byte, len(a.Keys))
	var stop error
	err := d.site.Members(ctx, a.Remote, func(id, attributes string) error {
		shown := map[string]string{}
		if attributes != "" {
			if err := json.Unmarshal([]byte(attributes), &shown); err != nil {
				return errAttributes
			}
		}
		for i, k := range a.Keys {
			v, ok := shown[k.Name]
			if k.Identifies {
				v, ok = id, true
			}
			values[i] = nil
			if ok {
				values[i] = []byte(v)
			}
		}
		stop = yield(values)
		return stop
	})
	if stop != nil {
		return stop
	}
	return fault(ctx, err, false)
}

// errAttributes tells of a row that was not written here.
var errAttributes = errors.New("attributes that are no texts by name")

// Poll is not for the table: it answers at once.
func (d *destination) Poll(context.Context, string, int64) (activation.Receipt, error) {
	e := classRequest.error()
	e.Message = "the site's table answers a batch at once; there is nothing to ask for later"
	return activation.Receipt{}, e
}
