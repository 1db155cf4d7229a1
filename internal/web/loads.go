package web

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"

	"usher/internal/activation"
	"usher/internal/ingest"
	"usher/internal/warehouse/inbox"
)

// loadRow is an upload in a list.
type loadRow struct {
	ingest.LoadStatus
	Chip chip
	// Rows not taken are at Download; Withheld says why not for this person.
	Download, Withheld string
	Help               string
	Retry, Discard     *button
}

func (c *Console) registerLoads(mux *http.ServeMux) {
	mux.HandleFunc("GET /data/loads/{id}/rejected", c.rejectedFile)
	c.action(mux, "/data/loads/{id}/retry", activation.RoleOperator, c.retryLoad)
	c.action(mux, "/data/loads/{id}/discard", activation.RoleOperator, c.discardLoad)
}

func (c *Console) loadRows(v visit, stream string, limit int) ([]loadRow, error) {
	loads, err := c.Loads.Recent(v.Context(), stream, limit)
	if err != nil {
		return nil, err
	}
	rows := make([]loadRow, len(loads))
	for i, l := range loads {
		rows[i] = loadRow{LoadStatus: l, Chip: loadChip(l.Status), Help: codeHelp(l.ErrorCode)}
		if l.RejectedKept && c.Rejected != nil {
			if v.who.May(activation.RoleAdmin) {
				rows[i].Download = loadPath(l.ID) + "/rejected"
			} else {
				rows[i].Withheld = "Rows as they were received are for admins"
			}
		}
		if l.Status == inbox.Failed {
			again, drop := v.press(loadPath(l.ID)+"/retry", "Merge again", "refresh").as("btn-s"), v.press(loadPath(l.ID)+"/discard", "Discard", "trash").as("btn-s")
			rows[i].Retry, rows[i].Discard = &again, &drop
		}
	}
	return rows, nil
}

func loadPath(id string) string { return "/data/loads/" + url.PathEscape(id) }

func loadChip(s inbox.Status) chip {
	switch s {
	case inbox.Merged:
		return chip{"ok", "check", "Merged", false}
	case inbox.Failed:
		return chip{"bad", "alert-triangle", "Failed", false}
	}
	return chip{"run", "loader-2", sentenceWord(string(s)), false}
}

func (c *Console) retryLoad(v visit) (view, error) {
	return c.loadDone(v, "retry", c.Loads.Retry(v.Context(), v.PathValue("id")), "The upload is merged again, in its old place.")
}

func (c *Console) discardLoad(v visit) (view, error) {
	return c.loadDone(v, "discard", c.Loads.Discard(v.Context(), v.PathValue("id")), "The upload and its rows are gone.")
}

func (c *Console) loadDone(v visit, verb string, err error, said string) (view, error) {
	if err != nil {
		return refused("/data", err)
	}
	if err := c.note(v, verb, "load", v.PathValue("id")); err != nil {
		return view{}, err
	}
	return view{To: "/data", Said: flash{"ok", said}}, nil
}

// note writes to the audit log who did what; never a value.
func (c *Console) note(v visit, verb, subject, id string) error {
	return c.Store.AddAudit(v.Context(), activation.AuditEntry{Actor: v.who.Name, Verb: verb, SubjectType: subject, SubjectID: id})
}

// rejectedFile sends the rows of an upload that were not taken. They are as they
// were received, so they are for administrators, and who read them is noted.
func (c *Console) rejectedFile(w http.ResponseWriter, r *http.Request) {
	v, ok := c.visitor(r)
	if !ok {
		secure(w)
		http.Redirect(w, r, "/login", http.StatusSeeOther)
		return
	}
	if !v.who.May(activation.RoleAdmin) {
		c.render(w, v, trouble(http.StatusForbidden, "Your role may not see these rows", "Rows as they were received are for admins; you are "+string(v.who.Role)+"."))
		return
	}
	if c.Rejected == nil {
		c.render(w, v, c.failed(v, activation.ErrNotFound))
		return
	}
	id := v.PathValue("id")
	rows, err := c.Rejected.Rejected(r.Context(), id)
	if errors.Is(err, activation.ErrNotFound) {
		c.render(w, v, trouble(http.StatusNotFound, "No rejected rows are kept", "They are kept for 30 days, of uploads with droperrors."))
		return
	}
	if err == nil {
		defer func() { _ = rows.Close() }()
		err = c.note(v, "read rejected rows", "load", id)
	}
	if err != nil {
		c.render(w, v, c.failed(v, err))
		return
	}
	secure(w)
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set("Content-Disposition", `attachment; filename="rejected.ndjson"`)
	w.Header().Set("Cache-Control", "no-store")
	if _, err := io.Copy(w, rows); err != nil && r.Context().Err() == nil {
		c.Log.WarnContext(r.Context(), "rejected rows not sent whole", slog.Any("err", err))
	}
}
