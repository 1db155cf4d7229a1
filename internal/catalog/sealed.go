package catalog

import (
	"context"
	"errors"
	"maps"
	"slices"

	"usher/internal/activation"
	"usher/internal/provider"
)

// sealSettings takes credentials out of the settings of an alert job: the public
// API gives the address of a webhook there, and it is a secret. They become an
// authorization of the job's own, sealed like any other, and are never among the
// job's stored settings. made is its id, "" where there was nothing to seal.
func (c *Catalog) sealSettings(ctx context.Context, spec JobSpec, user string) (_ JobSpec, made activation.AuthorizationID, err error) {
	workflow, def, err := c.Workflow(spec.Workflow)
	if err != nil || workflow.Direction != provider.Alerting {
		return spec, "", err
	}
	secrets, rest := map[string]string{}, map[string]string{}
	for name, value := range spec.Config {
		if declares(def.AuthFields, name) && !declares(workflow.Fields, name) {
			secrets[name] = value
		} else {
			rest[name] = value
		}
	}
	if len(secrets) == 0 {
		return spec, "", nil
	}
	var p problems
	p.name("name", spec.Name)
	if len(spec.Authorizations) > 0 {
		for _, name := range slices.Sorted(maps.Keys(secrets)) {
			p.add("config."+name, "is in the authorization already; give only one of the two")
		}
	}
	p.check("config.", def.AuthFields, secrets)
	if err := p.err("JOB-BADREQ-002"); err != nil {
		return spec, "", err
	}
	auth, err := c.CreateAuthorization(ctx, def.Name, "of the job "+spec.Name, secrets, user)
	if err != nil {
		return spec, "", err
	}
	spec.Config, spec.Authorizations = rest, []activation.AuthorizationID{auth.ID}
	return spec, auth.ID, nil
}

func declares(fields []provider.Field, name string) bool {
	return slices.ContainsFunc(fields, func(f provider.Field) bool { return f.Name == name })
}

// unlessUsed takes an authorization away that was made for a job which did not
// come about, or was there already. err is returned as it is.
func (c *Catalog) unlessUsed(ctx context.Context, made activation.AuthorizationID, j activation.Job, user string, err error) (activation.Job, error) {
	if made != "" && !slices.Contains(j.Authorizations, made) {
		if gone := c.Store.DeleteAuthorization(context.WithoutCancel(ctx), made, user); gone != nil {
			err = errors.Join(err, gone)
		}
	}
	return j, err
}

// alertRule checks what an alert job tells of.
func (p *problems) alertRule(config map[string]string) {
	var wrong *activation.Error
	if _, err := provider.ParseAlertRule(config); errors.As(err, &wrong) {
		*p = append(*p, problem{"config." + wrong.Field, "config." + wrong.Message})
	}
}
