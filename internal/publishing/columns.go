package publishing

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"usher/internal/activation"
	"usher/internal/provider"
)

// headerKey is a header as it is compared: letters and digits alone, small.
func headerKey(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, s)
}

// What a column is, beside the id or the name of an object, or a field.
const (
	useAction   = "action"
	useType     = "type"
	useAccount  = "account"
	useClient   = "client_id"
	useID       = "id"
	useParent   = "parent"
	useParentID = "parent_id"
)

// reserved are the headers that mean the same with every publisher.
var reserved = map[string]string{
	"action": useAction, "type": useType, "objecttype": useType, "account": useAccount, "accountid": useAccount, "accountname": useAccount,
	"clientid": useClient, "id": useID, "parentid": useParentID, "parent": useParent, "parentname": useParent,
}

// kindWords are what publishers and people call the kinds.
var kindWords = map[activation.ObjectKind][]string{
	activation.KindCampaign: {"campaign"}, activation.KindGroup: {"group", "adgroup", "adset"}, activation.KindCreative: {"creative", "ad"}, activation.KindKeyword: {"keyword"},
}

// otherNames are those that fields have in the files of other programs, beside what
// the publisher declares.
var otherNames = map[string][]string{
	activation.FieldStatus: {"state"},
	activation.FieldBudget: {"dailybudget", "campaignbudget", "budget", "budgetperday"},
	activation.FieldBid:    {"maxcpc", "bid", "cpcbid", "maxcpcbid", "defaultmaxcpc", "defaultbid"},
	fieldKeyword:           {"keyword", "keywordtext"},
	"match_type":           {"matchtype", "keywordtype"},
	"final_url":            {"finalurl", "finalurls", "destinationurl", "landingpage", "url"},
	"start_date":           {"startdate", "start"},
	"end_date":             {"enddate", "end"},
}

// column is how one column of a file is read.
type column struct {
	header string
	// use is one of the words above, "" = none of them.
	use string
	// idOf and nameOf are the types whose id or name it holds.
	idOf, nameOf *provider.ObjectType
	// fields are the fields it holds, by type.
	fields map[string]string
}

func (c column) known() bool {
	return c.use != "" || c.idOf != nil || c.nameOf != nil || len(c.fields) > 0
}

// means says how it is read, for the preview.
func (c column) means() string {
	switch {
	case c.use != "":
		return c.use
	case c.idOf != nil:
		return c.idOf.Name + " id"
	case c.nameOf != nil:
		return c.nameOf.Name
	}
	names := make([]string, 0, 1)
	for _, name := range c.fields {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// layout is how the columns of one file are read.
type layout struct {
	columns []column
	depth   map[string]int // of a type, below the account
	pub     *provider.Publishing
}

// read says how each header is read, and what is wrong with them.
func (l *layout) read(pub *provider.Publishing, header []string) (problems []Problem) {
	l.pub, l.depth = pub, map[string]int{}
	for _, t := range pub.Objects {
		l.depth[t.Name] = l.depth[t.Parent] + 1
	}
	bad := func(header, format string, args ...any) {
		problems = append(problems, Problem{Index: -1, Row: 1, Column: header, Code: CodeFile, Message: fmt.Sprintf(format, args...)})
	}
	any := false
	for _, h := range header {
		c := l.column(h)
		any = any || c.known()
		for _, before := range l.columns {
			if what := c.clashes(before); what != "" {
				bad(h, "this column and %s are the same, %s: keep one of them", quoted(before.header), what)
				break
			}
		}
		l.columns = append(l.columns, c)
	}
	if !any {
		bad("", "no column is known: the first row names them, such as Type, Campaign ID, Campaign, Status; the template has all there are")
	}
	return problems
}

// column says how one header is read.
func (l *layout) column(header string) column {
	c, key := column{header: header}, headerKey(header)
	if key == "" {
		return c
	}
	if use, ok := reserved[key]; ok {
		c.use = use
		return c
	}
	for i := range l.pub.Objects {
		t := &l.pub.Objects[i]
		if name := fieldNamed(t, key); name != "" {
			if c.fields == nil {
				c.fields = map[string]string{}
			}
			c.fields[t.Name] = name
		}
	}
	for i := range l.pub.Objects {
		t := &l.pub.Objects[i]
		for _, word := range l.words(t) {
			switch {
			case key == word+"id" && len(c.fields) == 0:
				c.idOf = t
			case (key == word || key == word+"name") && (len(c.fields) == 0 || c.fields[t.Name] == identityOf(t) && c.fields[t.Name] != ""):
				c.nameOf = t
			}
		}
	}
	return c
}

// words are what a type is called in headers.
func (l *layout) words(t *provider.ObjectType) []string {
	words := []string{headerKey(t.Name)}
	for _, other := range l.pub.Objects {
		if other.Kind == t.Kind && other.Name != t.Name {
			return words
		}
	}
	return append(words, kindWords[t.Kind]...)
}

// fieldNamed is the field of a type that a header means, "" = none.
func fieldNamed(t *provider.ObjectType, key string) string {
	for _, f := range t.Fields {
		if headerKey(f.Name) == key || headerKey(f.Label) == key {
			return f.Name
		}
	}
	for _, f := range t.Fields {
		if slices.ContainsFunc(f.Aliases, func(a string) bool { return headerKey(a) == key }) {
			return f.Name
		}
	}
	for _, f := range t.Fields {
		if slices.Contains(otherNames[f.Name], key) {
			return f.Name
		}
	}
	return ""
}

// clashes says what two columns both are, "" = nothing.
func (c column) clashes(other column) string {
	switch {
	case c.use != "" && c.use == other.use:
		return c.use
	case c.idOf != nil && c.idOf == other.idOf:
		return c.idOf.Name + " id"
	case c.nameOf != nil && c.nameOf == other.nameOf:
		return c.nameOf.Name
	}
	for typ, field := range c.fields {
		if other.fields[typ] == field {
			return field
		}
	}
	return ""
}

// typeNamed is the type that the column Type means, nil = none.
func (l *layout) typeNamed(value string) *provider.ObjectType {
	key := headerKey(value)
	for i := range l.pub.Objects {
		t := &l.pub.Objects[i]
		if key == headerKey(t.Title) || slices.Contains(l.words(t), key) {
			return t
		}
	}
	return nil
}

func (l *layout) typeNames() string {
	names := make([]string, len(l.pub.Objects))
	for i, t := range l.pub.Objects {
		names[i] = t.Name
	}
	return strings.Join(names, ", ")
}

// chain are the types that t lies in, the outermost first, and t itself.
func (l *layout) chain(t *provider.ObjectType) []*provider.ObjectType {
	var out []*provider.ObjectType
	for at := t; at != nil; at = l.named(at.Parent) {
		out = append(out, at)
	}
	slices.Reverse(out)
	return out
}

func (l *layout) named(name string) *provider.ObjectType {
	for i := range l.pub.Objects {
		if l.pub.Objects[i].Name == name {
			return &l.pub.Objects[i]
		}
	}
	return nil
}
