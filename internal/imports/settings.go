package imports

import (
	"path"
	"regexp"
	"strconv"
	"strings"

	"usher/internal/activation"
	"usher/internal/ingest"
	"usher/internal/provider"
)

// settings are those that every import has, read.
type settings struct {
	workflow   string
	stream     string // "" = made of workflow and piece
	timestamps []string
	dateOrder  string
	delimiter  string
	columns    []string
	skipRows   bool
	skipFiles  bool
	diff       bool
}

func (i *Imports) settings(job activation.Job) (settings, error) {
	w, ok := i.workflows[job.Workflow]
	if !ok {
		return settings{}, wrong("workflow", "is no import that this server knows")
	}
	value := func(name string) string { return strings.TrimSpace(provider.Setting(w.Fields, job.Config, name)) }
	s := settings{
		workflow: job.Workflow, stream: value(provider.StreamField), timestamps: provider.List(value(provider.TimestampsField)), dateOrder: value(provider.DateOrderField),
		delimiter: value(provider.DelimiterField), columns: provider.List(value(provider.ColumnsField)),
	}
	if s.stream != "" && !ingest.ValidName(s.stream) {
		return s, wrong(provider.StreamField, "must be up to 63 lower-case letters, digits and underscores, and begin with a letter")
	}
	for name, to := range map[string]*bool{provider.SkipBadRowsField: &s.skipRows, provider.SkipBadFilesField: &s.skipFiles, provider.DiffField: &s.diff} {
		if text := value(name); text != "" {
			yes, err := strconv.ParseBool(text)
			if err != nil {
				return s, wrong(name, "must be true or false")
			}
			*to = yes
		}
	}
	return s, nil
}

func wrong(field, what string) error {
	return &activation.Error{Kind: activation.Invalid, Code: codeSettings, Field: field, Message: field + " " + what}
}

// of is how a piece is imported.
func (s settings) of(p provider.Piece) ingest.Import {
	stream := s.stream
	if stream == "" {
		stream = Stream(s.workflow, p.Name)
	}
	return ingest.Import{
		Stream: stream, Name: p.Name, Version: p.Version, ContentType: p.ContentType, Open: p.Open, After: p.After,
		Timestamps: s.timestamps, DateOrder: s.dateOrder, Delimiter: s.delimiter, Columns: s.columns, SkipBadRows: s.skipRows, Diff: s.diff && p.Whole,
	}
}

var (
	extensions = regexp.MustCompile(`(?i)(\.(gz|gzip|csv|tsv|txt|json|ndjson|jsonl))+$`)
	// dated is the date at the end of a name, which the files of one stream differ by.
	dated   = regexp.MustCompile(`[-_. ]?(\d{4}[-_.]?\d{2}[-_.]?\d{2}|\d{2}[-_.]\d{2}[-_.]\d{4}|\d{4}[-_.]\d{2})([-_.T ]?\d{2}[-_.:]?\d{2}([-_.:]?\d{2})?)?$`)
	strange = regexp.MustCompile(`[^a-z0-9]+`)
)

// maxStream is the longest name of a stream.
const maxStream = 63

// Stream is the stream of a piece where the job names none: the workflow and the
// stem of the file or table, without a date at its end.
func Stream(workflow, piece string) string {
	stem := extensions.ReplaceAllString(path.Base(piece), "")
	if short := dated.ReplaceAllString(stem, ""); strings.ContainsFunc(short, func(r rune) bool { return r|0x20 >= 'a' && r|0x20 <= 'z' }) {
		stem = short
	}
	stem = strings.Trim(strange.ReplaceAllString(strings.ToLower(stem), "_"), "_")
	name := workflow
	if stem != "" {
		name += "_" + stem
	}
	return strings.TrimRight(name[:min(len(name), maxStream)], "_")
}
