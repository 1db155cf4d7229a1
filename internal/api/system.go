package api

import (
	"context"
	"html/template"
	"net/http"
	"slices"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"usher/internal/activation"
	"usher/internal/store"
)

func (a *API) system(h huma.API) {
	type status struct {
		Version string `json:"version"`
	}
	huma.Register(h, route("GET /healthz", public, "health", "The process is alive", "system"), func(ctx context.Context, _ *struct{}) (*reply[status], error) {
		return ok(ctx, status{a.Version})
	})
	huma.Register(h, route("GET /readyz", public, "ready", "The server can do its work", "system"), func(ctx context.Context, _ *struct{}) (*reply[status], error) {
		if err := a.Ready(ctx); err != nil {
			return nil, newFailure(http.StatusServiceUnavailable, activation.SafeMessage(err))
		}
		return ok(ctx, status{a.Version})
	})
	huma.Register(h, route("GET /v2/event", Admin, "audit-log", "Who did what to which thing, newest first", "system"), func(ctx context.Context, in *struct {
		Type   string `query:"type" doc:"kind of thing, such as job or authorization"`
		ID     string `query:"id" doc:"id of the thing"`
		Verb   string `query:"verb" doc:"what was done, such as create or pause"`
		User   string `query:"user_id" doc:"who did it"`
		After  string `query:"after" doc:"RFC 3339, or such as now-3d"`
		Before string `query:"before" doc:"the same"`
		Start  int64  `query:"start" doc:"_next of the page before"`
		Limit  int    `query:"limit" default:"100" minimum:"1" maximum:"1000"`
	},
	) (*reply[[]activation.AuditEntry], error) {
		f := store.AuditFilter{SubjectType: in.Type, SubjectID: in.ID, Verb: in.Verb, Actor: in.User, Before: in.Start, Limit: in.Limit}
		var err error
		if f.Since, err = a.moment("after", in.After); err != nil {
			return nil, a.fail(ctx, err)
		}
		if f.Until, err = a.moment("before", in.Before); err != nil {
			return nil, a.fail(ctx, err)
		}
		out, err := a.Audit.Audit(ctx, f)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		next := ""
		if len(out) == in.Limit {
			next = strconv.FormatInt(out[len(out)-1].ID, 10)
		}
		return page(ctx, out, next)
	})
}

// reference is a plain page made from the OpenAPI document: no script, nothing
// loaded from elsewhere.
func (a *API) reference(h huma.API) http.HandlerFunc {
	type op struct{ Method, Path, Summary, ID string }
	type group struct {
		Tag string
		Ops []op
	}
	return func(w http.ResponseWriter, r *http.Request) {
		by := map[string][]op{}
		var tags []string
		for path, item := range h.OpenAPI().Paths {
			for method, o := range map[string]*huma.Operation{"GET": item.Get, "POST": item.Post, "PUT": item.Put, "DELETE": item.Delete, "PATCH": item.Patch} {
				if o == nil || len(o.Tags) == 0 {
					continue
				}
				if by[o.Tags[0]] == nil {
					tags = append(tags, o.Tags[0])
				}
				by[o.Tags[0]] = append(by[o.Tags[0]], op{method, path, o.Summary, o.OperationID})
			}
		}
		slices.Sort(tags)
		groups := make([]group, len(tags))
		for i, t := range tags {
			slices.SortFunc(by[t], func(x, y op) int {
				if x.Path != y.Path {
					if x.Path < y.Path {
						return -1
					}
					return 1
				}
				if x.Method < y.Method {
					return -1
				}
				return 1
			})
			groups[i] = group{t, by[t]}
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("X-Frame-Options", "DENY")
		w.Header().Set("Referrer-Policy", "no-referrer")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
		_ = referencePage.Execute(w, groups) // the caller is gone: nobody to tell
	}
}

var referencePage = template.Must(template.New("reference").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1"><title>Usher API</title>
<style>body{font:15px/1.5 system-ui,sans-serif;max-width:960px;margin:2rem auto;padding:0 1rem;color-scheme:light dark}
table{border-collapse:collapse;width:100%}td{padding:.3rem .6rem .3rem 0;border-top:1px solid #8884;vertical-align:top}code{font:13px ui-monospace,monospace}</style>
<h1>Usher API</h1>
<p>Every answer is <code>{"data", "status", "message", "request_id"}</code>, every error the same with <code>errors</code>. The token goes into the <code>Authorization</code> header, raw or after <code>Bearer</code>. The whole contract, with every type, is <a href="/openapi.json">openapi.json</a>. Bulk data goes to <code>POST /collect/bulk/{stream}</code>: CSV, gzip CSV, JSON array or NDJSON, with <code>dryrun</code>, <code>timestamp_field</code>, <code>headers</code>, <code>delimiter</code>, <code>append</code>, <code>droperrors</code> and <code>filename</code> in the query.</p>
{{range .}}<h2>{{.Tag}}</h2><table>{{range .Ops}}<tr><td><code>{{.Method}}</code></td><td><code>{{.Path}}</code></td><td>{{.Summary}}</td></tr>{{end}}</table>{{end}}
</html>`))
