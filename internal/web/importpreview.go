package web

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"usher/internal/activation"
	"usher/internal/imports"
	"usher/internal/ingest"
	"usher/internal/provider"
	"usher/internal/warehouse"
)

const (
	// previewRows is how many of the first rows a page shows, previewPieces how
	// many of the files that wait, previewBad how many of the rows not taken.
	previewRows   = 20
	previewPieces = 20
	previewBad    = 20
)

// importPreview is the beginning of what an import would read, as a page shows it.
type importPreview struct {
	Name    string
	Columns []previewColumn
	Rows    []importRow
	Bad     []ingest.RowError
	Pieces  []pieceRow
	More    int
	Masked  bool
	// Timed: a column is read as the time of the rows.
	Timed bool
	Empty bool
	// Here: the offers are buttons of the form around it.
	Here bool
}

// previewColumn is one column with what could be made of it.
type previewColumn struct {
	Name    string
	Samples string
	// Times says how many of its values read as a time, "" = none.
	Times string
	// UseTime offers to read the rows' time from it; IsTime: it is so already.
	UseTime, IsTime bool
	// Fields are what it feeds; MapTo is where to map it, NewField where to
	// declare a field for it, Identify the same for one that identifies.
	Fields                    []string
	MapTo, NewField, Identify string
}

type importRow struct {
	Time  string
	Cells []string
}

type pieceRow struct {
	imports.PieceInfo
	Size string
}

// firstRowsPage is the preview of a job that is there.
type firstRowsPage struct {
	Job     link
	Preview importPreview
}

// importCard is how far an import has read.
type importCard struct {
	State imports.Position
	// Position is for those who may see what a cursor holds.
	Position string
	Preview  button
	Reset    *ask
}

func (c *Console) registerImport(mux *http.ServeMux) {
	c.action(mux, "/jobs/{id}/preview", activation.RoleOperator, c.previewJob)
	c.action(mux, "/jobs/{id}/reset", activation.RoleOperator, c.resetImport)
}

// previewImport reads the first rows of what a job would read. Administrators see
// them as they are, and that is noted; everybody else masked.
func (c *Console) previewImport(v visit, j activation.Job) (importPreview, error) {
	plain, look := v.who.May(activation.RoleAdmin), c.Imports.Preview
	if plain {
		look = c.Imports.PreviewPlain
	}
	made, err := look(v.Context(), j)
	if err != nil {
		return importPreview{}, err
	}
	if plain {
		if err := c.note(v, "read messages", "job", string(j.ID)); err != nil {
			return importPreview{}, err
		}
	}
	schema, err := c.Warehouse.Schema(v.Context())
	if err != nil {
		return importPreview{}, err
	}
	return importPreviewOf(made, schema, j), nil
}

func importPreviewOf(made imports.FirstRows, schema warehouse.Schema, j activation.Job) importPreview {
	stream, timestamps := made.Stream, listed(j.Config[provider.TimestampsField])
	mappings := mappingsOf(schema, stream)
	p := importPreview{Name: made.Name, Masked: made.Masked, Empty: len(made.Columns) == 0, Timed: slices.ContainsFunc(made.Times, func(t string) bool { return t != "" })}
	fed := feeds(mappings)
	declared := slices.ContainsFunc(schema.Streams, func(s warehouse.Stream) bool { return s.Name == stream })
	for _, column := range made.Columns {
		row := previewColumn{Name: column.Name, Fields: fed[column.Name], IsTime: slices.Contains(timestamps, column.Name)}
		row.Samples = strings.Join(column.Samples, " · ")
		if column.Times > 0 {
			row.Times = num(column.Times) + " of " + many(int64(len(made.Rows)), "row")
			row.UseTime = !row.IsTime && 2*column.Times >= len(made.Rows)
		}
		name := fieldName(column.Name)
		known := slices.ContainsFunc(schema.Fields, func(f warehouse.Field) bool { return f.Name == name })
		switch {
		case len(row.Fields) > 0:
		case known && declared:
			row.MapTo = mappingPath(stream) + "?column=" + url.QueryEscape(column.Name)
		case !known:
			row.NewField = "/data/fields?name=" + url.QueryEscape(name)
			if column.Identifier != "" {
				row.Identify = row.NewField + "&rank=1"
			}
		}
		p.Columns = append(p.Columns, row)
	}
	for i, cells := range made.Rows[:min(len(made.Rows), previewRows)] {
		row := importRow{Cells: cells}
		if i < len(made.Times) {
			row.Time = made.Times[i]
		}
		p.Rows = append(p.Rows, row)
	}
	p.Bad = made.Rejected[:min(len(made.Rejected), previewBad)]
	for _, one := range made.Pieces[:min(len(made.Pieces), previewPieces)] {
		p.Pieces = append(p.Pieces, pieceRow{one, bytesText(one.Size)})
	}
	p.More = len(made.Pieces) - len(p.Pieces)
	return p
}

// fieldName is a column's name as that of a field.
func fieldName(column string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(strings.TrimSpace(column)) {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			b.WriteRune(r)
		} else if b.Len() > 0 && !strings.HasSuffix(b.String(), "_") {
			b.WriteByte('_')
		}
	}
	name := strings.Trim(b.String(), "_")
	if name == "" || name[0] < 'a' || name[0] > 'z' {
		name = "field_" + name
	}
	return strings.TrimRight(name[:min(len(name), 63)], "_")
}

// isImport reports whether a job brings people or events in and can be looked into.
func (c *Console) isImport(workflow string) bool {
	if c.Imports == nil {
		return false
	}
	w, _, err := c.Catalog.Workflow(workflow)
	return err == nil && w.Direction == provider.Import && w.Subject != provider.Campaigns
}

// previewJob is the page of the first rows of a job that is there.
func (c *Console) previewJob(v visit) (view, error) {
	j, err := c.Store.Job(v.Context(), activation.JobID(v.PathValue("id")))
	if err != nil {
		return view{}, err
	}
	if !c.isImport(j.Workflow) {
		return view{}, activation.ErrNotFound
	}
	p, err := c.previewImport(v, j)
	if err != nil {
		return refused(jobPath(j.ID), err)
	}
	return view{
		Template: "preview", Title: "First rows of " + j.Name, Section: "/jobs", Crumbs: []link{{"/jobs", "Jobs"}, {jobPath(j.ID), j.Name}},
		Body: firstRowsPage{Job: link{jobPath(j.ID), j.Name}, Preview: p},
	}, nil
}

// jobImport is how far an import job has read.
func (c *Console) jobImport(v visit, j activation.Job, p *jobPage) error {
	if !c.isImport(j.Workflow) {
		return nil
	}
	state, err := c.Imports.State(v.Context(), j)
	if err != nil {
		return err
	}
	card := &importCard{State: state, Preview: v.press(jobPath(j.ID)+"/preview", "First rows", "eye").as("btn-s")}
	if v.who.May(activation.RoleAdmin) {
		card.Position = state.Position
	}
	reset := v.press(jobPath(j.ID)+"/reset", "Read from the beginning", "refresh")
	if j.State == activation.JobKilled {
		reset.Withheld = orText(reset.Withheld, "The job was ended for good")
	}
	card.Reset = askFirst("reset", "Read everything again?", reset, "Leave it",
		"How far the job has read is forgotten: "+many(state.Pieces, "piece")+" would be read again at its next run.",
		"Rows of streams with columns that name a message count once all the same; others count twice.").grave()
	p.Import = card
	return nil
}

func (c *Console) resetImport(v visit) (view, error) {
	j, err := c.Store.Job(v.Context(), activation.JobID(v.PathValue("id")))
	if err == nil && !c.isImport(j.Workflow) {
		err = activation.ErrNotFound
	}
	if err != nil {
		return view{}, err
	}
	if err := c.Imports.Reset(v.Context(), j); err != nil {
		return refused(jobPath(j.ID), err)
	}
	if err := c.note(v, "reset", "job", string(j.ID)); err != nil {
		return view{}, err
	}
	return view{To: jobPath(j.ID), Said: flash{"ok", "The job reads from the beginning at its next run."}}, nil
}

// previewDraft puts the first rows on the last step of the wizard.
func (c *Console) previewDraft(v visit, d activation.Draft, j activation.Job) (view, error) {
	made, err := c.previewImport(v, j)
	kind := activation.KindOf(err)
	if err != nil && (kind == activation.Invalid || kind == activation.Unauthorized || kind == activation.Unavailable || kind == activation.WaitUntil) {
		return c.wizard(v, d, stepConfigure, map[string]string{"": sentence(reason(err))})
	}
	if err != nil {
		return view{}, err
	}
	out, err := c.wizard(v, d, stepConfigure, nil)
	if p, ok := out.Body.(wizardPage); ok {
		made.Here = true
		p.Preview = &made
		out.Body = p
	}
	return out, err
}

// timestampOf is the column that a pressed offer names, "" for another button.
func timestampOf(pressed string) string {
	if column, ok := strings.CutPrefix(pressed, "timestamp:"); ok {
		return column
	}
	return ""
}
