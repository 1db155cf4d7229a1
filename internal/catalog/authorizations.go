package catalog

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"usher/internal/activation"
	"usher/internal/provider"
	"usher/internal/store"
)

// AuthorizationSpec is what people declare of an authorization.
type AuthorizationSpec struct {
	Provider, Label, Description string
	// Config holds the provider's declared fields.
	Config map[string]string
	// ID is that of a new one, "" = any.
	ID activation.AuthorizationID
	// ExpiresAt is when what Config has ends; zero = not known, or never.
	ExpiresAt time.Time
}

// CreateAuthorization seals and stores credentials for a provider.
func (c *Catalog) CreateAuthorization(ctx context.Context, providerName, label string, config map[string]string, user string) (activation.Authorization, error) {
	return c.StoreAuthorization(ctx, AuthorizationSpec{Provider: providerName, Label: label, Config: config}, user)
}

// StoreAuthorization is CreateAuthorization of a whole declaration.
func (c *Catalog) StoreAuthorization(ctx context.Context, spec AuthorizationSpec, user string) (activation.Authorization, error) {
	def, err := c.Definition(spec.Provider)
	if err != nil {
		return activation.Authorization{}, err
	}
	a := activation.Authorization{ID: spec.ID, Label: spec.Label, Description: spec.Description, Provider: def.Name, Status: activation.AuthUnknown, ExpiresAt: spec.ExpiresAt}
	if a.Sealed, a.KeyID, err = c.seal(def, spec); err != nil {
		return activation.Authorization{}, err
	}
	return c.Store.CreateAuthorization(ctx, a, user)
}

// UpdateAuthorization changes an authorization. Label and description replace
// what is there. The values in Config replace those of the same name and keep
// the others; an empty one takes an optional value away, and one that is
// Redacted keeps it. Without Config the credentials stay as they are.
func (c *Catalog) UpdateAuthorization(ctx context.Context, id activation.AuthorizationID, spec AuthorizationSpec, user string) (activation.Authorization, error) {
	a, err := c.Store.Authorization(ctx, id)
	if err != nil {
		return activation.Authorization{}, err
	}
	def, err := c.Definition(a.Provider)
	if err != nil {
		return activation.Authorization{}, err
	}
	given := maps.Clone(spec.Config)
	maps.DeleteFunc(given, func(_, v string) bool { return v == Redacted })
	a.Label, a.Description = spec.Label, spec.Description
	sealed, keyID := []byte(nil), a.KeyID
	if spec.Config = nil; len(given) > 0 {
		if spec.Config, err = c.opened(a); err != nil {
			// Credentials whose key is lost can be given anew, all of them.
			if _, _, wrong := c.seal(def, AuthorizationSpec{Label: spec.Label, Description: spec.Description, Config: given}); wrong != nil {
				return activation.Authorization{}, errors.Join(err, wrong)
			}
			spec.Config = map[string]string{}
		}
		maps.Copy(spec.Config, given)
		sealed, keyID, err = c.seal(def, spec)
	} else {
		err = describe(spec).err("AUTH-BADREQ-008")
	}
	if err != nil {
		return activation.Authorization{}, err
	}
	a.Sealed, a.KeyID = sealed, keyID
	if slices.ContainsFunc([]string{provider.RefreshTokenField, provider.AccessTokenField, provider.ServiceAccountField}, func(name string) bool { return given[name] != "" }) {
		a.ExpiresAt = spec.ExpiresAt // what was known is of the old one
	}
	if err := c.Store.UpdateAuthorization(ctx, a, user); err != nil {
		return activation.Authorization{}, err
	}
	return c.Store.Authorization(ctx, id)
}

// describe checks what people read of an authorization.
func describe(spec AuthorizationSpec) problems {
	var p problems
	p.name("label", spec.Label)
	if len(spec.Description) > 2000 {
		p.add("description", "is longer than 2,000 bytes")
	}
	return p
}

// seal checks a declaration and seals its values.
func (c *Catalog) seal(def provider.Definition, spec AuthorizationSpec) (sealed []byte, keyID string, err error) {
	p := describe(spec)
	values := p.check("config.", def.AuthFields, spec.Config)
	if err := p.err("AUTH-BADREQ-008"); err != nil {
		return nil, "", err
	}
	secrets := make(map[string]provider.Secret, len(values))
	for k, v := range values {
		secrets[k] = provider.Secret(v)
	}
	return c.Sealer.Seal(secrets)
}

// opened are the stored values of an authorization.
func (c *Catalog) opened(a activation.Authorization) (map[string]string, error) {
	secrets, err := c.Sealer.Open(a.Sealed, a.KeyID)
	if err != nil {
		return nil, err
	}
	out := make(map[string]string, len(secrets))
	for k, v := range secrets {
		out[k] = v.Reveal()
	}
	return out, nil
}

// Settings are the values of an authorization that its provider does not
// declare secret. Those whose key is lost have none to show.
func (c *Catalog) Settings(a activation.Authorization) map[string]string {
	out := map[string]string{}
	def, err := c.Definition(a.Provider)
	if err != nil {
		return out
	}
	values, err := c.opened(a)
	if err != nil {
		return out
	}
	for _, f := range def.AuthFields {
		if v := values[f.Name]; v != "" && !f.Secret {
			out[f.Name] = v
		}
	}
	return out
}

// TestAuthorization proves credentials now, through whatever uses them. It
// writes nothing at the network. What it finds is the health of the
// authorization; one that nothing uses can't be tried, which is an error that
// says so.
func (c *Catalog) TestAuthorization(ctx context.Context, id activation.AuthorizationID) error {
	return c.Health.Test(ctx, id)
}

// Replacement is what ReplaceAuthorization moved.
type Replacement struct {
	Destinations []activation.DestinationID `json:"destination_ids"`
	Jobs         []activation.JobID         `json:"job_ids" doc:"jobs that name the authorization themselves"`
	NewAudiences []activation.TargetID      `json:"new_audiences" doc:"targets that leave their remote audience behind and begin another one"`
}

// ReplaceAuthorization moves every destination and job from one authorization to
// another, all or none. It is Invalid, naming each target, unless the other one
// opens every account and, where the network can be asked, every remote
// audience; with newAudiences those that don't open are left behind. Nothing is
// written at any network.
func (c *Catalog) ReplaceAuthorization(ctx context.Context, from, to activation.AuthorizationID, newAudiences bool, user string) (Replacement, error) {
	out := Replacement{Destinations: []activation.DestinationID{}, Jobs: []activation.JobID{}, NewAudiences: []activation.TargetID{}}
	before, err := c.Store.Authorization(ctx, from)
	if err != nil {
		return out, err
	}
	after, err := c.Store.Authorization(ctx, to)
	var p problems
	switch {
	case errors.Is(err, activation.ErrNotFound):
		err = nil
		p.add("with", "there is no such authorization")
	case err != nil:
		return out, err
	case from == to:
		p.add("with", "is the authorization itself")
	case before.Provider != after.Provider:
		p.add("with", "belongs to %s, not %s", after.Provider, before.Provider)
	default:
		err = c.tryReplacement(ctx, &p, &out, from, to, newAudiences)
	}
	if err == nil {
		err = p.err("AUTH-BADREQ-008")
	}
	if err == nil {
		err = c.Store.ReplaceAuthorization(ctx, from, to, out.NewAudiences, user)
	}
	if err == nil && len(out.Destinations)+len(out.Jobs) > 0 {
		err = c.Health.Report(ctx, to, nil)
	}
	return out, err
}

// tryReplacement opens everything that uses one authorization with another.
func (c *Catalog) tryReplacement(ctx context.Context, p *problems, out *Replacement, from, to activation.AuthorizationID, newAudiences bool) error {
	all, err := c.Store.Destinations(ctx)
	if err != nil {
		return err
	}
	for _, d := range all {
		if d.Authorization != from {
			continue
		}
		out.Destinations = append(out.Destinations, d.ID)
		if err := c.tryDestination(ctx, p, out, d, to, newAudiences); err != nil {
			return err
		}
	}
	jobs, err := c.Store.Jobs(ctx, store.JobFilter{Authorizations: []activation.AuthorizationID{from}, Hidden: true})
	if err != nil {
		return err
	}
	for _, j := range jobs {
		if j.Destination != "" || j.State == activation.JobKilled {
			continue
		}
		out.Jobs = append(out.Jobs, j.ID)
		if err := c.tryJob(ctx, p, j, from, to); err != nil {
			return err
		}
	}
	return nil
}

// tryDestination opens a destination's account and remote audiences with another
// authorization.
func (c *Catalog) tryDestination(ctx context.Context, p *problems, out *Replacement, d activation.Destination, to activation.AuthorizationID, newAudiences bool) error {
	tried := d
	tried.ID, tried.Authorization = "", to
	client, _, err := c.Connect(ctx, tried, "")
	if err == nil {
		err = client.Check(ctx)
	}
	if err != nil {
		return p.unopened("the account of "+d.Name, err)
	}
	targets, err := c.Store.Targets(ctx, store.TargetFilter{Destination: d.ID})
	if err != nil {
		return err
	}
	opener, can := client.(provider.Opener)
	for _, t := range targets {
		if t.RemoteID == "" || !can {
			continue
		}
		err := opener.OpenAudience(ctx, provider.RemoteID(t.RemoteID))
		switch {
		case err == nil:
		case newAudiences && !passing(err):
			out.NewAudiences = append(out.NewAudiences, t.ID)
		default:
			name := string(t.Audience)
			if a, err := c.Store.Audience(ctx, t.Audience); err == nil {
				name = a.Slug
			}
			if err := p.unopened("the target "+string(t.ID)+" (audience "+name+" at "+d.Name+")", err); err != nil {
				return err
			}
		}
	}
	return nil
}

// tryJob checks a job without a destination with another authorization.
func (c *Catalog) tryJob(ctx context.Context, p *problems, j activation.Job, from, to activation.AuthorizationID) error {
	j.Authorizations = slices.Clone(j.Authorizations)
	for i, id := range j.Authorizations {
		if id == from {
			j.Authorizations[i] = to
		}
	}
	if err := c.Prove(ctx, j); err != nil {
		return p.unopened("the job "+j.Name, err)
	}
	return nil
}

// passing reports whether an error says nothing about what was asked: the
// network is down, or asks for fewer calls.
func passing(err error) bool {
	switch activation.KindOf(err) {
	case activation.Unavailable, activation.WaitUntil, activation.Internal:
		return true
	case activation.Invalid, activation.Unauthorized, activation.Gone, activation.RefusedWhole:
	}
	return false
}

// unopened notes what an authorization does not open. An error that says nothing
// about it comes back.
func (p *problems) unopened(what string, err error) error {
	if passing(err) {
		return err
	}
	p.add("with", "does not open %s: %s", what, activation.SafeMessage(err))
	return nil
}
