package rowfile

import (
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"
	"unicode"

	"usher/internal/activation"
	"usher/internal/provider"
)

// maxName is the most bytes of a name, so that what is written beside a file
// under a longer name still fits the 255 bytes of common file systems.
const maxName = 200

// Pattern is how files are called.
type Pattern struct {
	text, timeFormat string
	split            bool
}

// Needs is what a name must tell apart beside runs and parts.
type Needs struct {
	// Op: nothing in the file says whether its rows are added or removed.
	Op bool
	// Split: a batch may become several files.
	Split bool
	// Gzip: the file is compressed, and its name ends in .gz.
	Gzip bool
}

// placeholders are what a pattern may hold between braces.
var placeholders = []string{"{TIMESTAMP}", "{RUN}", "{PART}", "{OP}", "{AUDIENCE}"}

// ParsePattern reads NameFields. fallback and extension make the name where the
// job sets none. What a name needs and lacks is added before its extension.
func ParsePattern(config map[string]string, fallback, extension string, needs Needs) (Pattern, error) {
	p := Pattern{text: strings.TrimSpace(config[FilenameField]), timeFormat: provider.Setting(NameFields(), config, TimeFormatField), split: needs.Split}
	if p.text == "" {
		p.text = fallback + extension
	}
	if strings.ContainsFunc(p.text, forbidden) || strings.HasPrefix(p.text, ".") || strings.HasSuffix(p.text, ".tmp") {
		return p, Wrong(FilenameField, "must be a plain file name: no slash, no control character, not beginning with a dot and not ending in .tmp")
	}
	if needs.Gzip && !strings.HasSuffix(p.text, ".gz") {
		p.text += ".gz"
	}
	slug, err := strconv.ParseBool(provider.Setting(NameFields(), config, SlugField))
	if err != nil {
		return p, Wrong(SlugField, "must be true or false")
	}
	rest := p.text
	for _, known := range placeholders {
		rest = strings.ReplaceAll(rest, known, "")
	}
	if strings.ContainsAny(rest, "{}") {
		return p, Wrong(FilenameField, "has something between braces that is none of "+strings.Join(placeholders, ", "))
	}
	for _, add := range []struct {
		name string
		due  bool
	}{{"{AUDIENCE}", slug}, {"{RUN}", true}, {"{PART}", true}, {"{OP}", needs.Op}} {
		if add.due && !strings.Contains(p.text, add.name) {
			stem, ext := cutExtension(p.text)
			p.text = stem + "_" + add.name + ext
		}
	}
	if strings.Contains(p.text, "{TIMESTAMP}") {
		written := time.Date(2006, 1, 2, 15, 4, 5, 0, time.UTC).Format(p.timeFormat)
		if written == "" || strings.ContainsFunc(written, forbidden) {
			return p, Wrong(TimeFormatField, "would put characters into file names that they may not have")
		}
	}
	return p, nil
}

// cutExtension divides a name before its extension, .gz and the one before it
// together.
func cutExtension(name string) (stem, extension string) {
	stem, gz := strings.CutSuffix(name, ".gz")
	extension = path.Ext(stem)
	if strings.Contains(extension, "}") {
		extension = ""
	}
	stem = strings.TrimSuffix(stem, extension)
	if gz {
		extension += ".gz"
	}
	return stem, extension
}

// Of returns the name of file i, from 0, of a batch.
func (p Pattern) Of(b provider.Batch, i int) (string, error) {
	part := fmt.Sprintf("%05d", b.Number)
	if p.split || i > 0 {
		part += fmt.Sprintf("-%03d", i+1)
	}
	name := strings.NewReplacer(
		"{TIMESTAMP}", b.At.UTC().Format(p.timeFormat), "{RUN}", strconv.FormatInt(b.RunNumber, 10),
		"{PART}", part, "{OP}", Operation(b.Op), "{AUDIENCE}", plainName(b.Audience),
	).Replace(p.text)
	if len(name) > maxName || strings.HasPrefix(name, ".") {
		return "", Wrong(FilenameField, fmt.Sprintf("makes a name of %d bytes; it must have at most %d and may not begin with a dot", len(name), maxName))
	}
	return name, nil
}

// Operation is what files call an operation.
func Operation(op activation.Op) string {
	if op == activation.OpRemove {
		return "remove"
	}
	return "add"
}

// plainName is the short name of an audience, with nothing in it that a file
// name may not have.
func plainName(a provider.Audience) string {
	name := a.Slug
	if name == "" {
		name = a.Name
	}
	name = strings.Map(func(r rune) rune {
		if r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("-_.", r) {
			return '_'
		}
		return r
	}, name)
	if name = strings.TrimLeft(name, "."); len(name) > 80 {
		name = name[:80]
	}
	if name == "" {
		return "audience"
	}
	return name
}

func forbidden(r rune) bool { return r == '/' || r == '\\' || unicode.IsControl(r) }
