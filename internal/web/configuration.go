package web

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"usher/internal/access"
	"usher/internal/activation"
	"usher/internal/manifest"
)

// Manifest is configuration as code.
type Manifest interface {
	Plan(ctx context.Context, files map[string]string) ([]manifest.Step, error)
	Apply(ctx context.Context, files map[string]string, user string) ([]manifest.Step, error)
	Export(ctx context.Context) (map[string]string, error)
}

const (
	// maxFiles is the most bytes of the form that brings files, and of what they
	// unpack to.
	maxFiles = 16 << 20
	// maxParts is the most files of one form.
	maxParts = 400
	// pasted names what was typed into the page.
	pasted = "pasted.yaml"
)

func (c *Console) registerConfiguration(mux *http.ServeMux) {
	c.page(mux, "/configuration", "", c.operatorsOnly(func(v visit) (view, error) { return c.configuration(v, configurationPage{}) }))
	mux.HandleFunc("GET /configuration/export.zip", c.exportZip)
	mux.HandleFunc("POST /configuration", c.applyFiles)
}

// operatorsOnly keeps a page to operators and administrators.
func (c *Console) operatorsOnly(load loader) loader {
	return func(v visit) (view, error) {
		if !v.who.May(activation.RoleOperator) {
			return trouble(http.StatusForbidden, "Operators only", "This page needs the role operator; you are "+string(v.who.Role)+"."), nil
		}
		return load(v)
	}
}

type configurationPage struct {
	CSRF string
	// Export are the files of what is declared now, Given those of the person.
	Export, Given []fileText
	Steps         []stepRow
	Counts        string
	Problems      []manifest.Problem
	Planned       bool // the steps are what would be done
	Applied       bool // the steps were done
	Nothing       bool // there is nothing to do
	Changed       bool // other files were to be applied than were planned
	Digest        string
	Wrong         string
}

// fileText is one file as text, with an id for its inputs.
type fileText struct {
	ID, Name, Text string
	Rows           int
}

type stepRow struct {
	manifest.Step
	Chip    chip
	Changed string
}

func stepChip(a manifest.Action) chip {
	switch a {
	case manifest.Create:
		return chip{"ok", "plus", "Create", false}
	case manifest.Update:
		return chip{"run", "pencil", "Update", false}
	case manifest.Pending:
		return chip{"wait", "clock", "Pending", false}
	case manifest.Unchanged:
	}
	return chip{"off", "check", "Unchanged", false}
}

// configuration is the page with what is declared now, and what p says of the
// files that were given.
func (c *Console) configuration(v visit, p configurationPage) (view, error) {
	files, err := c.Manifest.Export(v.Context())
	if err != nil {
		return view{}, err
	}
	p.CSRF, p.Export = v.who.CSRF, fileTexts("x", files)
	if len(p.Given) == 0 {
		p.Given = fileTexts("g", map[string]string{pasted: ""})
	}
	out := view{Template: "configuration", Title: "Configuration as code", Section: "/settings", Crumbs: []link{{"/settings", "Settings"}}, Body: p}
	if len(p.Problems) > 0 || p.Wrong != "" {
		out.Status = http.StatusBadRequest
	}
	return out, nil
}

// fileTexts are files in the order of their names.
func fileTexts(prefix string, files map[string]string) []fileText {
	const most = 24
	var out []fileText
	for _, name := range slices.Sorted(maps.Keys(files)) {
		text := files[name]
		rows := min(max(strings.Count(text, "\n")+2, 4), most)
		if text == "" {
			rows = 10
		}
		out = append(out, fileText{fmt.Sprintf("%s-%d", prefix, len(out)), name, text, rows})
	}
	return out
}

// exportZip sends everything declared as one archive.
func (c *Console) exportZip(w http.ResponseWriter, r *http.Request) {
	v, ok := c.visitor(r)
	if !ok {
		secure(w)
		http.Redirect(w, r, "/login", http.StatusSeeOther)
		return
	}
	var body []byte
	out, err := c.operatorsOnly(func(v visit) (view, error) {
		files, err := c.Manifest.Export(v.Context())
		if err == nil {
			body, err = zipped(files)
		}
		return view{}, err
	})(v)
	switch {
	case err != nil:
		c.render(w, v, c.failed(v, err))
	case body == nil:
		c.render(w, v, out)
	default:
		secure(w)
		w.Header().Set("Content-Type", "application/zip")
		w.Header().Set("Content-Disposition", `attachment; filename="usher-configuration.zip"`)
		w.Header().Set("Cache-Control", "no-store")
		if _, err := w.Write(body); err != nil {
			c.Log.DebugContext(v.Context(), "the reader of an export has gone", slog.Any("err", err))
		}
	}
}

// zipped packs files in the order of their names, so that equal files make an
// equal archive.
func zipped(files map[string]string) ([]byte, error) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		w, err := z.Create(name)
		if err != nil {
			return nil, fmt.Errorf("pack %q: %w", name, err)
		}
		if _, err := io.WriteString(w, files[name]); err != nil {
			return nil, fmt.Errorf("pack %q: %w", name, err)
		}
	}
	if err := z.Close(); err != nil {
		return nil, fmt.Errorf("pack: %w", err)
	}
	return b.Bytes(), nil
}

// applyFiles plans or applies what a form brings. The form may be larger than
// others, so it is read only for somebody signed in, before its CSRF token is
// compared.
func (c *Console) applyFiles(w http.ResponseWriter, r *http.Request) {
	v, ok := c.visitor(r)
	if !ok {
		secure(w)
		http.Redirect(w, r, "/login", http.StatusSeeOther)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxFiles)
	err := r.ParseMultipartForm(1 << 20) //nolint:gosec // bounded by MaxBytesReader above
	if r.MultipartForm != nil {
		defer func() { _ = r.MultipartForm.RemoveAll() }()
	}
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		c.render(w, v, trouble(http.StatusRequestEntityTooLarge, "These files are too large", "Nothing was changed. A form may bring 16 MiB; the command line has the same limit."))
		return
	}
	// The token of a form with files is compared as one of a header is.
	look := r.Clone(r.Context())
	look.Header.Set(access.CSRFHeader, r.PostFormValue(access.CSRFField))
	switch {
	case !access.CheckCSRF(look, v.who.CSRF):
		c.render(w, v, tooOld())
	case !v.who.May(activation.RoleOperator):
		c.render(w, v, trouble(http.StatusForbidden, "Your role may only look", "Nothing was changed. This needs the role operator; you are "+string(v.who.Role)+"."))
	default:
		c.answer(w, v, c.planOrApply)
	}
}

func (c *Console) planOrApply(v visit) (view, error) {
	files, wrong := givenFiles(v)
	p := configurationPage{Given: fileTexts("g", files), Wrong: wrong}
	if wrong != "" {
		return c.configuration(v, p)
	}
	var steps []manifest.Step
	var err error
	p.Digest = digest(files)
	apply := v.post("go") == "apply"
	p.Changed = apply && v.post("planned") != p.Digest
	if apply && !p.Changed {
		steps, err = c.Manifest.Apply(v.Context(), files, v.who.Name)
		p.Applied = err == nil
	} else {
		steps, err = c.Manifest.Plan(v.Context(), files)
		p.Planned = err == nil
	}
	var problems manifest.Problems
	if errors.As(err, &problems) {
		p.Problems, err = problems, nil
	}
	if err != nil {
		return view{}, err
	}
	count := map[manifest.Action]int{}
	for _, s := range steps {
		count[s.Action]++
		p.Steps = append(p.Steps, stepRow{s, stepChip(s.Action), strings.ReplaceAll(joinComma(s.Changes), "_", " ")})
	}
	p.Nothing = count[manifest.Create]+count[manifest.Update] == 0
	p.Counts = num(count[manifest.Create]) + " to create, " + num(count[manifest.Update]) + " to update, " + num(count[manifest.Unchanged]) + " unchanged"
	if p.Applied {
		p.Counts = num(count[manifest.Create]) + " created, " + num(count[manifest.Update]) + " updated, " + num(count[manifest.Unchanged]) + " unchanged"
	}
	if n := count[manifest.Pending]; n > 0 {
		p.Counts += ", " + num(n) + " pending"
	}
	return c.configuration(v, p)
}

// digest names the content of files: what is applied must be what was planned.
func digest(files map[string]string) string {
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		fmt.Fprintf(h, "%d %s %d %s", len(name), name, len(files[name]), files[name])
	}
	return hex.EncodeToString(h.Sum(nil))
}

// givenFiles are the files of a form: those typed, and those uploaded, of which
// an archive is unpacked. The second result says what is wrong with them.
func givenFiles(v visit) (map[string]string, string) {
	files := map[string]string{}
	names, texts := v.PostForm["file"], v.PostForm["text"]
	for i, text := range texts {
		if i < len(names) && strings.TrimSpace(text) != "" {
			files[orText(strings.TrimSpace(names[i]), pasted)] = strings.ReplaceAll(text, "\r\n", "\n")
		}
	}
	if v.MultipartForm != nil {
		for _, h := range v.MultipartForm.File["upload"] {
			f, err := h.Open()
			if err != nil {
				return files, "A file could not be read; send it again."
			}
			raw, err := io.ReadAll(f)
			if err = errors.Join(err, f.Close()); err != nil {
				return files, "A file could not be read; send it again."
			}
			name := path.Base(strings.ReplaceAll(h.Filename, `\`, "/"))
			if wrong := unpack(files, name, raw); wrong != "" {
				return files, wrong
			}
		}
	}
	if len(files) > maxParts {
		return nil, "There are more than " + num(maxParts) + " files; the command line takes more."
	}
	if len(files) == 0 {
		return nil, "Paste YAML or choose files first."
	}
	return files, ""
}

// unpack adds an uploaded file: YAML as it is, an archive by what is in it.
func unpack(files map[string]string, name string, raw []byte) string {
	if !strings.EqualFold(path.Ext(name), ".zip") {
		if !utf8.Valid(raw) {
			return "“" + name + "” is not text."
		}
		files[name] = string(raw)
		return ""
	}
	z, err := zip.NewReader(bytes.NewReader(raw), int64(len(raw)))
	if err != nil {
		return "“" + name + "” is not a .zip archive, or was cut."
	}
	left := int64(maxFiles)
	for _, f := range z.File {
		ext := strings.ToLower(path.Ext(f.Name))
		if f.FileInfo().IsDir() || ext != ".yaml" && ext != ".yml" {
			continue
		}
		r, err := f.Open()
		if err != nil {
			return "“" + f.Name + "” in “" + name + "” does not unpack."
		}
		text, err := io.ReadAll(io.LimitReader(r, left+1))
		if err = errors.Join(err, r.Close()); err != nil {
			return "“" + f.Name + "” in “" + name + "” does not unpack."
		}
		if left -= int64(len(text)); left < 0 {
			return "“" + name + "” unpacks to more than 16 MiB."
		}
		if !utf8.Valid(text) {
			return "“" + f.Name + "” in “" + name + "” is not text."
		}
		files[f.Name] = string(text)
	}
	return ""
}
