package web

import (
	"errors"
	"io"
	"net/http"
	"path"
	"strings"

	"usher/internal/access"
	"usher/internal/activation"
	"usher/internal/publishing"
)

const (
	// maxUpload is the most bytes of a file that changes campaigns; the API takes more.
	maxUpload = 64 << 20
	// problemsShown is how many wrong rows a preview lists.
	problemsShown = 100
	uploadsShown  = 20
)

type uploadPage struct {
	publisherTab
	CSRF, Wrong, Withheld string
	// Preview is what the file would do; Kept names the file until it is confirmed.
	Preview  *publishing.UploadPreview
	File     string
	Kept     string
	Send     field
	Changes  int64
	Read     int
	More     int64
	Sample   []uploadChange
	Past     []entryRow
	Columns  []uploadColumn
	SendSays string
}

type uploadChange struct {
	Row                     int
	Operation, Type, Object string
	Changes                 []editRow
}

// uploadColumn is a column of the file, with the field that it was read as.
type uploadColumn struct{ Header, Field string }

func (c *Console) registerUploads(mux *http.ServeMux) {
	c.page(mux, "/publishers/{id}/upload", "", func(v visit) (view, error) { return c.uploadPage(v, uploadPage{}) })
	mux.HandleFunc("POST /publishers/{id}/upload", c.lookAtUpload)
	c.action(mux, "/publishers/{id}/upload/confirm", activation.RoleOperator, c.confirmUpload)
	mux.HandleFunc("GET /publishers/{id}/upload/template.csv", c.uploadTemplate)
}

// uploadPage is the form of a file, with what p says of one that was given, and the
// files of before.
func (c *Console) uploadPage(v visit, p uploadPage) (view, error) {
	head, err := c.publisherHead(v, "Upload")
	if err != nil {
		return view{}, err
	}
	p.publisherTab, p.CSRF, p.Withheld = head, v.who.CSRF, v.press("", "", "").Withheld
	p.Send, p.SendSays = sendField(v.post("send")), "The nightly sync is at "+nightly(head.PublisherAccount)+"."
	past, _, err := c.Publishing.Entries(v.Context(), activation.EntryQuery{Publisher: head.ID, Ops: []activation.Operation{activation.OpUpload}, Limit: uploadsShown})
	if err != nil {
		return view{}, err
	}
	for _, e := range past {
		p.Past = append(p.Past, c.entryRow(e, []activation.PublisherAccount{head.PublisherAccount}))
	}
	if p.Preview != nil {
		c.uploadWords(&p)
	}
	out := publisherView("upload", head, "Upload", p)
	if p.Wrong != "" {
		out.Status = http.StatusBadRequest
	}
	return out, nil
}

// uploadWords puts a preview into rows.
func (c *Console) uploadWords(p *uploadPage) {
	u := p.Preview
	p.Changes = u.Adds + u.Edits + u.Deletes
	for _, col := range u.Columns {
		p.Columns = append(p.Columns, uploadColumn{col.Header, strings.ReplaceAll(col.Field, "_", " ")})
		if col.Field != "" {
			p.Read++
		}
	}
	if len(u.Problems) > problemsShown {
		u.Problems = u.Problems[:problemsShown]
	}
	p.More = max(0, u.Errors-int64(len(u.Problems)))
	declared := c.publishingOf(p.Provider)
	for _, s := range u.Sample {
		t, _ := declared.Object(s.Type)
		row := uploadChange{Row: s.Row, Operation: operationWord(s.Operation), Type: sentenceWord(s.Type), Object: s.Object}
		for _, ch := range s.Changes {
			f, _ := t.Field(ch.Field)
			f.Name = ch.Field
			row.Changes = append(row.Changes, editRow{Label: labelOf(f), Before: shownValue(f, ch.Before), After: shownValue(f, ch.After)})
		}
		p.Sample = append(p.Sample, row)
	}
}

// lookAtUpload reads a file and says what it would do. The form may be larger than
// others, so it is read only for somebody signed in, before its CSRF token is
// compared.
func (c *Console) lookAtUpload(w http.ResponseWriter, r *http.Request) {
	v, ok := c.visitor(r)
	if !ok {
		secure(w)
		http.Redirect(w, r, "/login", http.StatusSeeOther)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxUpload)
	err := r.ParseMultipartForm(1 << 20) //nolint:gosec // bounded by MaxBytesReader above
	if r.MultipartForm != nil {
		defer func() { _ = r.MultipartForm.RemoveAll() }()
	}
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		c.render(w, v, trouble(http.StatusRequestEntityTooLarge, "This file is too large", "Nothing was changed. A form may bring 64 MiB; the API and a drop folder take more."))
		return
	}
	look := r.Clone(r.Context())
	look.Header.Set(access.CSRFHeader, r.PostFormValue(access.CSRFField))
	switch {
	case !access.CheckCSRF(look, v.who.CSRF):
		c.render(w, v, tooOld())
	case !v.who.May(activation.RoleOperator):
		c.render(w, v, trouble(http.StatusForbidden, "Your role may only look", "Nothing was changed. This needs the role operator; you are "+string(v.who.Role)+"."))
	default:
		c.answer(w, v, c.previewUpload)
	}
}

func (c *Console) previewUpload(v visit) (view, error) {
	id := activation.PublisherID(v.PathValue("id"))
	if v.MultipartForm == nil || len(v.MultipartForm.File["file"]) == 0 {
		return c.uploadPage(v, uploadPage{Wrong: "Choose a file first."})
	}
	h := v.MultipartForm.File["file"][0]
	name := path.Base(strings.ReplaceAll(h.Filename, `\`, "/"))
	body, err := h.Open()
	if err != nil {
		return c.uploadPage(v, uploadPage{Wrong: "The file could not be read; send it again."})
	}
	defer func() { _ = body.Close() }()
	preview, err := c.Publishing.Preview(v.Context(), id, name, body)
	if activation.KindOf(err) == activation.Invalid {
		return c.uploadPage(v, uploadPage{File: name, Wrong: sentence(reason(err))})
	}
	if err != nil {
		return view{}, err
	}
	p := uploadPage{File: name, Preview: &preview}
	if preview.Adds+preview.Edits+preview.Deletes > 0 {
		if _, err := body.Seek(0, io.SeekStart); err != nil {
			return view{}, err
		}
		if p.Kept, err = c.kept.put(c.Facts.Data, keptFile{person: v.who.Name, name: name, publisher: id}, c.Now(), body); err != nil {
			return view{}, err
		}
	}
	return c.uploadPage(v, p)
}

// confirmUpload writes the changes of a file that was looked at.
func (c *Console) confirmUpload(v visit) (view, error) {
	id := activation.PublisherID(v.PathValue("id"))
	a, err := c.Publishing.Account(v.Context(), id)
	if err != nil {
		return view{}, err
	}
	to := publisherPath(id) + "/upload"
	kept := v.post("kept")
	body, name, err := c.kept.open(kept, v.who.Name, id, c.Now())
	if errors.Is(err, activation.ErrNotFound) {
		return view{To: to, Said: flash{"bad", "The file is not kept any more: it waits half an hour for a confirmation, until a restart at most. Choose it again."}}, nil
	}
	if err != nil {
		return view{}, err
	}
	defer func() { _ = body.Close() }()
	send := sendOf(v.post("send"))
	done, err := c.Publishing.Upload(v.Context(), id, name, body, send, v.post("skip_errors") != "", v.who.Name)
	if activation.KindOf(err) == activation.Invalid {
		p := uploadPage{File: name, Wrong: sentence(reason(err)), Kept: kept}
		if done.Rows > 0 {
			p.Preview = &done
		}
		return c.uploadPage(v, p)
	}
	if err != nil {
		return refused(to, err)
	}
	if done.Parent == 0 && done.Errors == 0 {
		c.kept.forget(kept)
		return view{To: to, Said: flash{"ok", "Nothing changes: the account is as the file says by now."}}, nil
	}
	if done.Parent == 0 { // refused with the preview, which is as it was meanwhile
		return c.uploadPage(v, uploadPage{File: name, Preview: &done, Kept: kept, Wrong: "Nothing was changed: rows are wrong. Leave them out, or mend the file."})
	}
	c.kept.forget(kept)
	c.waits.drop("")
	return view{To: entryPath(done.Parent), Said: editedWords(done.EditResult, send, a)}, nil
}

// uploadTemplate is the account's structure as a file to edit and upload.
func (c *Console) uploadTemplate(w http.ResponseWriter, r *http.Request) {
	c.download(w, r, "campaigns.csv", func(v visit, to *lateFile) error {
		return c.Publishing.Template(v.Context(), activation.PublisherID(v.PathValue("id")), to)
	})
}
