package drop

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"usher/internal/activation"
	"usher/internal/provider"
)

// The settings that say which files are read.
const (
	filenameField  = "filename"
	prefixField    = "prefix" // of files in a folder, a pattern
	patternField   = "pattern"
	afterField     = "start_after"
	orderField     = "order"
	frequencyField = "file_frequency"
	settleField    = "settle"
	deleteField    = "delete_file"
	gzipField      = "gzip"
)

// The orders of files.
const (
	byName     = "name"
	byDate     = "date"
	byModified = "modified"
)

// FolderImportFields are the settings of an import of files from a folder, beside
// the folder itself.
func FolderImportFields() []provider.Field {
	return slices.Concat([]provider.Field{
		{Name: filenameField, Label: "File", Type: "string", Example: "customers_20260101.csv", Help: "The file that is read, again whenever it has changed. Beside a pattern: the earliest file; those that come behind it in the order follow."},
		{Name: prefixField, Label: "Pattern", Type: "string", Example: `customers_\d{8}`, Help: "What the names of several files begin with, as a regular expression. Empty = the one file alone."},
	}, orderFields("60s"), provider.FileFields(), provider.ImportFields())
}

// BucketImportFields are the settings of an import of files from a bucket, beside
// bucket and prefix.
func BucketImportFields() []provider.Field {
	return slices.Concat([]provider.Field{
		{Name: patternField, Label: "Pattern", Type: "string", Example: `customers_\d{8}`, Help: "What the keys begin with behind the prefix, as a regular expression. Empty = all of them."},
		{Name: filenameField, Label: "Earliest file", Type: "string", Example: "customers_20260101.csv", Help: "The key, behind the prefix, of the earliest file; those that come behind it in the order follow. Empty = all."},
		{Name: afterField, Label: "Start after", Type: "string", Example: "2026/01/", Help: "Only keys that come behind this text in the order of names are looked at; behind the prefix."},
	}, orderFields("0s"), provider.FileFields(), provider.ImportFields())
}

// FolderUploadFields are the settings of a drop folder whose files are edits, beside the
// folder itself.
func FolderUploadFields() []provider.Field {
	of := func(names ...string) []provider.Field {
		return slices.DeleteFunc(FolderImportFields(), func(f provider.Field) bool { return !slices.Contains(names, f.Name) })
	}
	return slices.Concat(of(filenameField, prefixField, orderField, provider.DateOrderField, frequencyField, settleField, deleteField), provider.UploadFields())
}

func orderFields(settle string) []provider.Field {
	return []provider.Field{
		{Name: orderField, Label: "Order of files", Type: "select", Default: byName, Options: []string{byName, byDate, byModified}, Help: "In which order files are read: by name, by the date in the name (year first, or as date_order says), or by when they were changed last."},
		{Name: frequencyField, Label: "Files come", Type: "select", Options: []string{"hourly", "daily", "weekly", "monthly"}, Help: "How often a new file comes. When none has come for two of these, the log of the job says so."},
		{Name: settleField, Label: "Rest", Type: "duration", Default: settle, Help: "How long a file must not have changed before it is read, so that none is read while it is written. One that changes while it is read is read again."},
		{Name: deleteField, Label: "Delete files", Type: "bool", Default: "false", Help: "Deletes a file when all of its rows are safe."},
		{Name: gzipField, Label: "Compressed", Type: "bool", Default: "false", Help: "Accepted for jobs made elsewhere: gzip is told by looking, whatever this says."},
	}
}

// wanted is which files are read, and in which order.
type wanted struct {
	filename  string
	pattern   *regexp.Regexp // nil = none
	all       bool           // without a pattern all files are wanted
	after     string
	order     string
	date      func(name string) (string, bool)
	settle    time.Duration
	remove    bool
	every     time.Duration
	frequency string
}

var periods = map[string]time.Duration{"hourly": time.Hour, "daily": 24 * time.Hour, "weekly": 7 * 24 * time.Hour, "monthly": 31 * 24 * time.Hour}

func readWanted(fields []provider.Field, config map[string]string) (w wanted, err error) {
	value := func(name string) string { return strings.TrimSpace(provider.Setting(fields, config, name)) }
	w = wanted{filename: value(filenameField), after: value(afterField), order: value(orderField), frequency: value(frequencyField)}
	w.every = periods[w.frequency]
	of := prefixField
	if slices.ContainsFunc(fields, func(f provider.Field) bool { return f.Name == patternField }) {
		of, w.all = patternField, true
	}
	if text := value(of); text != "" {
		if w.pattern, err = regexp.Compile(`^(?:` + text + `)`); err != nil {
			return w, wrong(of, "is no regular expression: "+syntax(err))
		}
	}
	if w.filename == "" && w.pattern == nil && !w.all {
		return w, wrong(filenameField, "is needed, or "+prefixField)
	}
	if strings.ContainsAny(w.filename, "\x00\r\n") || !w.all && strings.Contains(w.filename, "/") {
		return w, wrong(filenameField, "must be the name of a file, without its folder")
	}
	if !slices.Contains([]string{byName, byDate, byModified}, w.order) {
		return w, wrong(orderField, "must be name, date or modified")
	}
	w.date = dates(value(provider.DateOrderField))
	if w.order == byDate && w.filename != "" && !w.alone() {
		if _, ok := w.date(path.Base(w.filename)); !ok {
			return w, wrong(filenameField, "has no date in it, by which the files are to be ordered")
		}
	}
	if w.settle, err = time.ParseDuration(value(settleField)); err != nil || w.settle < 0 || w.settle > 24*time.Hour {
		return w, wrong(settleField, "must be a duration of at most 24h")
	}
	if text := value(deleteField); text != "" {
		if w.remove, err = strconv.ParseBool(text); err != nil {
			return w, wrong(deleteField, "must be true or false")
		}
	}
	return w, nil
}

// syntax is what is wrong with an expression, without the library's own words
// around it.
func syntax(err error) string {
	return strings.TrimPrefix(err.Error(), "error parsing regexp: ")
}

func wrong(field, what string) error {
	return &activation.Error{Kind: activation.Invalid, Code: CodePattern, Field: field, Message: field + " " + what}
}

// alone reports whether it is one file that is read.
func (w wanted) alone() bool { return w.filename != "" && w.pattern == nil && !w.all }

// temporaryEnds end the names of files that are being written.
var temporaryEnds = []string{".tmp", ".part", ".partial", ".filepart", ".crdownload"}

// key is the place of a file in the order; ok is false where it is not wanted.
func (w wanted) key(info Info) (string, bool) {
	base := path.Base(info.Name)
	switch {
	case w.alone():
		return "", info.Name == w.filename
	case w.pattern != nil && !w.pattern.MatchString(info.Name):
		return "", false
	case strings.HasPrefix(base, "."), slices.ContainsFunc(temporaryEnds, func(end string) bool { return strings.HasSuffix(strings.ToLower(base), end) }):
		return "", false
	}
	switch w.order {
	case byDate:
		day, ok := w.date(base)
		return day + "\x00" + info.Name, ok
	case byModified:
		return fmt.Sprintf("%020d\x00%s", info.Modified.UnixNano(), info.Name), true
	}
	return info.Name, true
}

// from is the place in the order of the earliest file that is wanted.
func (w wanted) from(all []found) string {
	if w.filename == "" || w.alone() {
		return ""
	}
	switch w.order {
	case byDate:
		day, _ := w.date(path.Base(w.filename))
		return day + "\x00" + w.filename
	case byModified:
		for _, f := range all {
			if f.Name == w.filename {
				return f.key
			}
		}
		return "" // it is gone by now: all that are there came behind it
	}
	return w.filename
}

var (
	yearFirst = regexp.MustCompile(`(?:^|\D)((?:19|20)\d\d)[-_.]?(0[1-9]|1[0-2])[-_.]?(0[1-9]|[12]\d|3[01])(?:[-_.T ]?([01]\d|2[0-3])[-_.:]?([0-5]\d)(?:[-_.:]?([0-5]\d))?)?(?:\D|$)`)
	yearLast  = regexp.MustCompile(`(?:^|\D)(\d\d)[-_.]?(\d\d)[-_.]?((?:19|20)\d\d)(?:\D|$)`)
)

// dates returns what finds the date in a name, in a form that sorts.
func dates(order string) func(name string) (string, bool) {
	if order != "mdy" && order != "dmy" {
		return func(name string) (string, bool) {
			m := yearFirst.FindStringSubmatch(name)
			if m == nil {
				return "", false
			}
			return m[1] + m[2] + m[3] + (m[4] + m[5] + m[6] + "000000")[:6], true
		}
	}
	return func(name string) (string, bool) {
		m := yearLast.FindStringSubmatch(name)
		if m == nil {
			return "", false
		}
		month, day := m[1], m[2]
		if order == "dmy" {
			month, day = day, month
		}
		if month < "01" || month > "12" || day < "01" || day > "31" {
			return "", false
		}
		return m[3] + month + day, true
	}
}
