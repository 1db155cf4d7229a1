package server

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"

	"usher/internal/activation"
	"usher/internal/ingest"
	"usher/internal/outbound"
	"usher/internal/provider"
)

// limits of what one upload may bring.
func (s *Server) limits(opt Options) ingest.Limits {
	c := s.cfg
	return ingest.Limits{
		MaxRecordBytes: c.MaxRecordBytes, MaxBatchBytes: int64(c.MaxBulkMB) << 20, MaxSmallBytes: int64(c.MaxRealtimeMB) * 1_000_000,
		MaxColumns: c.MaxColumns, MaxAhead: c.MaxAhead, MaxWaitingRows: c.MaxWaitingRows,
		MaxImportRows: opt.ImportRows,
	}
}

// source returns what reads for an import job, credentials opened. It is made
// anew for each pass, and closed after it.
func (c *connections) source(ctx context.Context, job activation.Job) (provider.Source, provider.Definition, error) {
	def, deps, err := c.standalone(ctx, job)
	if err == nil && def.NewSource == nil {
		err = unknownPart()
	}
	if err != nil {
		return nil, def, err
	}
	source, err := def.NewSource(deps)
	return source, def, err
}

// enricher returns what asks about people for an enrichment job.
func (c *connections) enricher(ctx context.Context, job activation.Job) (provider.Enricher, provider.Definition, error) {
	def, deps, err := c.standalone(ctx, job)
	if err == nil && def.NewEnricher == nil {
		err = unknownPart()
	}
	if err != nil {
		return nil, def, err
	}
	enricher, err := def.NewEnricher(deps)
	return enricher, def, err
}

func unknownPart() error {
	return &activation.Error{Kind: activation.Invalid, Code: "PROVIDER-NOTFOUND-016", Field: "provider", Message: "this server does not know the job's provider"}
}

// standalone is what a provider is built with for a job without a destination.
func (c *connections) standalone(ctx context.Context, job activation.Job) (provider.Definition, provider.Deps, error) {
	def, ok := c.defs[job.Provider]
	if !ok {
		return def, provider.Deps{}, unknownPart()
	}
	def = def.For(job.Workflow).Configured(job.Config)
	var id activation.AuthorizationID
	if len(job.Authorizations) > 0 {
		id = job.Authorizations[0]
	}
	secrets, err := c.box.Fields(ctx, c.store, activation.Destination{Authorization: id})
	if err != nil {
		return def, provider.Deps{}, err
	}
	c.mu.Lock()
	client := c.client(id, def, secrets)
	c.mu.Unlock()
	deps := provider.Deps{
		Auth: secrets, Config: job.Config, Workflow: job.Workflow, HTTP: client, Dial: outbound.Dialer(c.limits()), Template: c.template,
		Programs: c.cfg.Programs, Scratch: filepath.Join(c.cfg.Data, scratchDir),
		Log: c.log.With(slog.String("provider", def.Name), slog.String("job_id", string(job.ID))), Now: c.now,
	}
	if def.OAuth != nil && c.tokens != nil {
		auth, err := c.store.Authorization(ctx, id)
		if err != nil {
			return def, deps, err
		}
		deps.Tokens = c.tokens(auth, *def.OAuth, client)
	}
	return def, deps, nil
}

// forgetJob takes away how far a job has read and whom it has asked about.
func (s *Server) forgetJob(ctx context.Context, id activation.JobID) error {
	return errors.Join(s.inbox.ForgetImport(ctx, string(id)), s.warehouse.ForgetEnrichment(ctx, id))
}

// audienceID finds an audience by its id or short name.
func (s *Server) audienceID(ctx context.Context, idOrSlug string) (activation.AudienceID, error) {
	a, err := s.store.Audience(ctx, activation.AudienceID(idOrSlug))
	return a.ID, err
}

// workflowsOf names the workflows of one direction.
func workflowsOf(defs []provider.Definition, d provider.Direction) (names []string) {
	for _, def := range defs {
		for _, w := range def.Workflows {
			if w.Direction == d {
				names = append(names, w.Name)
			}
		}
	}
	return names
}
