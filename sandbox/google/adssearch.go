package google

import (
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// chunkRows is how many rows a chunk of an answer has at most.
const chunkRows = 1000

// beside are the resources whose fields may be selected and filtered by in a query of
// another, by what the query is from.
var beside = map[string][]string{
	"customer":           {},
	"currency_constant":  {},
	"campaign":           {"customer", "campaign_budget", "metrics", "segments"},
	"campaign_budget":    {"customer"},
	"ad_group":           {"customer", "campaign", "metrics", "segments"},
	"ad_group_ad":        {"customer", "campaign", "ad_group"},
	"ad_group_criterion": {"customer", "campaign", "ad_group"},
	"keyword_view":       {"customer", "campaign", "ad_group", "ad_group_criterion", "metrics", "segments"},
	"campaign_criterion": {"customer", "campaign"},
	"change_event":       {"customer"},
}

// gaqlRow is one row by the resources in it.
type gaqlRow map[string]protoreflect.Message

// selection is a query that is checked.
type selection struct {
	gaqlQuery
	row protoreflect.Message // of the answer, empty
}

// adsSearch answers googleAds:searchStream.
func (n *Network) adsSearch(c *call, a *adsAccount, request string) (any, *adsFailure) {
	if failed := n.spend(a, c.at, 1); failed != nil {
		return nil, failed
	}
	m := mustAdsMessage("services.SearchGoogleAdsStreamRequest")
	if !json.Valid(c.body) {
		return nil, adsMalformed("Invalid JSON payload received.")
	}
	if err := protojson.Unmarshal(c.body, m.Interface()); err != nil {
		return nil, adsMalformed("Invalid JSON payload received. " + strings.ReplaceAll(err.Error(), "\u00a0", " "))
	}
	rows, bad := n.adsQuery(a, textAt(m, "query"), c.at)
	if bad != nil {
		return nil, &adsFailure{status: 400, errors: []adsError{*bad}}
	}
	c.record.Rows = len(rows)
	chunks := []any{}
	for some := range slices.Chunk(rows, chunkRows) {
		chunks = append(chunks, map[string]any{"results": some, "fieldMask": "", "requestId": request})
	}
	if len(chunks) == 0 {
		chunks = append(chunks, map[string]any{"fieldMask": "", "requestId": request})
	}
	return chunks, nil
}

// adsQuery carries a query out.
func (n *Network) adsQuery(a *adsAccount, text string, at time.Time) ([]json.RawMessage, *adsError) {
	q, bad := parseGAQL(text)
	if bad != nil {
		return nil, bad
	}
	s := &selection{gaqlQuery: q, row: mustAdsMessage("services.GoogleAdsRow")}
	if bad := s.check(a, at); bad != nil {
		return nil, bad
	}
	rows := slices.DeleteFunc(n.adsRows(a, q), func(r gaqlRow) bool { return !s.fits(r) })
	slices.SortStableFunc(rows, func(x, y gaqlRow) int {
		for _, o := range q.order {
			order := compareAt(x, y, o.field)
			if o.desc {
				order = -order
			}
			if order != 0 {
				return order
			}
		}
		return 0
	})
	if q.limit > 0 && len(rows) > q.limit {
		rows = rows[:q.limit]
	}
	out := make([]json.RawMessage, len(rows))
	for i, r := range rows {
		text, err := protojson.Marshal(s.show(r).Interface())
		if err != nil {
			return nil, wrong("internalError.INTERNAL_ERROR", "The row can't be written.")
		}
		out[i] = text
	}
	return out, nil
}

// field finds the definition of a field of a row.
func (s *selection) field(path string) (protoreflect.FieldDescriptor, bool) {
	m := s.row.Descriptor()
	var f protoreflect.FieldDescriptor
	for i, name := range strings.Split(path, ".") {
		if i > 0 && (f.Message() == nil || f.IsList()) {
			return nil, false
		}
		if i > 0 {
			m = f.Message()
		}
		if f = m.Fields().ByName(protoreflect.Name(name)); f == nil {
			return nil, false
		}
	}
	return f, true
}

// check refuses what Google refuses.
func (s *selection) check(a *adsAccount, at time.Time) *adsError {
	others, known := beside[s.from]
	if !known {
		return wrong("queryError.BAD_RESOURCE_TYPE_IN_FROM_CLAUSE", "There is no such resource, or the stand-in does not keep it.")
	}
	known = false
	metrics := false
	for _, path := range s.fields {
		f, ok := s.field(path)
		root, _, _ := strings.Cut(path, ".")
		switch {
		case !ok || !strings.Contains(path, "."):
			return wrong("queryError.UNRECOGNIZED_FIELD", "There is no field "+path+".")
		case root != s.from && !slices.Contains(others, root):
			return wrong("queryError.PROHIBITED_RESOURCE_TYPE_IN_SELECT_CLAUSE", "The field can't be selected from there.")
		case f.Message() != nil && !f.IsList():
			return wrong("queryError.PROHIBITED_FIELD_IN_SELECT_CLAUSE", "A message can't be selected.")
		}
		known = known || path == "segments.date"
		metrics = metrics || root == "metrics"
	}
	for _, c := range s.where {
		if bad := s.checkCondition(c, others); bad != nil {
			return bad
		}
	}
	for _, o := range s.order {
		if f, ok := s.field(o.field); !ok || f.Message() != nil || f.IsList() {
			return wrong("queryError.PROHIBITED_FIELD_IN_ORDER_BY_CLAUSE", "Rows can't be ordered by that.")
		}
		if !slices.Contains(s.fields, o.field) && !strings.HasPrefix(o.field, s.from+".") {
			return wrong("queryError.EXPECTED_REFERENCED_FIELD_IN_SELECT_CLAUSE", "What rows are ordered by must be selected.")
		}
	}
	switch {
	case metrics && a.is.Manager:
		return wrong("queryError.REQUESTED_METRICS_FOR_MANAGER", "A manager account has no metrics.")
	case metrics && !known: // Google sums up then, the stand-in does not
		return wrong("queryError.REQUIRED_SEGMENT_FIELD_MISSING", "The stand-in has metrics by day only.")
	case s.from == "change_event":
		return s.checkChanges(a, at)
	}
	return nil
}

func (s *selection) checkCondition(c gaqlCondition, others []string) *adsError {
	f, ok := s.field(c.field)
	root, _, _ := strings.Cut(c.field, ".")
	switch {
	case !ok:
		return wrong("queryError.UNRECOGNIZED_FIELD", "There is no field "+c.field+".")
	case root != s.from && !slices.Contains(others, root):
		return wrong("queryError.PROHIBITED_RESOURCE_TYPE_IN_WHERE_CLAUSE", "It can't be filtered by the field there.")
	case f.Message() != nil || f.IsList():
		return wrong("queryError.PROHIBITED_FIELD_IN_WHERE_CLAUSE", "It can't be filtered by the field.")
	}
	for _, v := range c.values {
		switch f.Kind() {
		case protoreflect.EnumKind:
			if f.Enum().Values().ByName(protoreflect.Name(v.text)) == nil {
				return wrong("queryError.BAD_ENUM_CONSTANT", "There is no value "+v.text+".")
			}
			if !slices.Contains([]string{"=", "!=", "IN", "NOT IN"}, c.operator) {
				return wrong("queryError.OPERATOR_FIELD_MISMATCH", "The field has no order.")
			}
		case protoreflect.Int64Kind, protoreflect.Int32Kind:
			if _, err := strconv.ParseInt(v.text, 10, 64); err != nil {
				return wrong("queryError.BAD_NUMBER", "The value is no number.")
			}
		case protoreflect.BoolKind:
			if !strings.EqualFold(v.text, "true") && !strings.EqualFold(v.text, "false") {
				return wrong("queryError.BAD_VALUE", "The value must be TRUE or FALSE.")
			}
		case protoreflect.StringKind:
			if !v.quoted {
				return wrong("queryError.INVALID_STRING_VALUE", "A text must be in quotes.")
			}
		default:
		}
		if c.field == "segments.date" {
			if _, err := time.Parse("2006-01-02", v.text); err != nil {
				return wrong("queryError.INVALID_DATE_FORMAT", "The date must be yyyy-MM-dd.")
			}
		}
	}
	return nil
}

// checkChanges are the rules of change_event alone.
func (s *selection) checkChanges(a *adsAccount, at time.Time) *adsError {
	from, until := "", ""
	for _, c := range s.where {
		if c.field != "change_event.change_date_time" {
			continue
		}
		switch c.operator {
		case ">", ">=":
			from = c.values[0].text
		case "<", "<=":
			until = c.values[0].text
		case "BETWEEN":
			from, until = c.values[0].text, c.values[1].text
		}
	}
	switch {
	case from == "" || until == "":
		return wrong("changeEventError.CHANGE_DATE_RANGE_INFINITE", "The times must be finite.")
	case from > until:
		return wrong("changeEventError.CHANGE_DATE_RANGE_NEGATIVE", "The times are the wrong way round.")
	case from < at.In(a.zone()).AddDate(0, 0, -30).Format("2006-01-02"):
		return wrong("changeEventError.START_DATE_TOO_OLD", "The start is more than 30 days ago.")
	case s.limit == 0:
		return wrong("changeEventError.LIMIT_NOT_SPECIFIED", "The limit is missing.")
	case s.limit > 10_000:
		return wrong("changeEventError.INVALID_LIMIT_CLAUSE", "The limit is 10,000 at most.")
	}
	return nil
}

// adsRows are all rows that a query may have.
func (n *Network) adsRows(a *adsAccount, q gaqlQuery) []gaqlRow {
	is := mustAdsMessage("resources.Customer")
	put(is, "resource_name", "customers/"+a.id)
	put(is, "id", a.id)
	put(is, "descriptive_name", a.is.Name)
	put(is, "currency_code", a.is.Currency)
	put(is, "time_zone", a.is.TimeZone)
	put(is, "manager", strconv.FormatBool(a.is.Manager))
	put(is, "status", "ENABLED")
	switch q.from {
	case "customer":
		return []gaqlRow{{"customer": is}}
	case "currency_constant":
		m := mustAdsMessage("resources.CurrencyConstant")
		put(m, "resource_name", "currencyConstants/"+a.is.Currency)
		put(m, "code", a.is.Currency)
		put(m, "billable_unit_micros", strconv.FormatInt(a.is.unit(), 10))
		return []gaqlRow{{"currency_constant": m}}
	case "change_event":
		rows := make([]gaqlRow, len(a.changes))
		for i, m := range a.changes {
			rows[i] = gaqlRow{"customer": is, "change_event": m}
		}
		return rows
	}
	daily := slices.ContainsFunc(q.fields, func(f string) bool { return strings.HasPrefix(f, "metrics.") || strings.HasPrefix(f, "segments.") })
	if daily || q.from == "keyword_view" {
		return a.spentRows(q.from, is)
	}
	k, _ := kindOfRow(q.from)
	all := a.of(k)
	rows := make([]gaqlRow, len(all))
	for i, r := range all {
		rows[i] = a.rowOf(r, is)
	}
	return rows
}

// rowOf is a resource with all that its rows have beside it.
func (a *adsAccount) rowOf(r *adsResource, is protoreflect.Message) gaqlRow {
	row := gaqlRow{"customer": is, r.kind.row: r.message}
	for _, up := range []string{"ad_group", "campaign", "campaign_budget"} {
		for _, have := range []string{"ad_group_ad", "ad_group_criterion", "campaign_criterion", "ad_group", "campaign"} {
			m := row[have]
			if m == nil || have == up {
				continue
			}
			if f := m.Descriptor().Fields().ByName(protoreflect.Name(up)); f != nil && m.Has(f) {
				if other := a.resources[m.Get(f).String()]; other != nil {
					row[up] = other.message
				}
			}
		}
	}
	return row
}

// spentRows are the rows by day of what cost something.
func (a *adsAccount) spentRows(from string, is protoreflect.Message) []gaqlRow {
	collection := map[string]string{"campaign": "campaigns", "ad_group": "adGroups", "keyword_view": "adGroupCriteria"}[from]
	var rows []gaqlRow
	for _, c := range a.costs {
		r := a.resources[c.Resource]
		if r == nil || r.kind.collection != collection {
			continue
		}
		row := a.rowOf(r, is)
		if from == "keyword_view" {
			m := mustAdsMessage("resources.KeywordView")
			put(m, "resource_name", strings.Replace(c.Resource, "adGroupCriteria", "keywordViews", 1))
			row["keyword_view"] = m
		}
		day := mustAdsMessage("common.Segments")
		put(day, "date", c.Date)
		figures := mustAdsMessage("common.Metrics")
		for path, text := range map[string]string{
			"impressions": strconv.FormatInt(c.Impressions, 10), "clicks": strconv.FormatInt(c.Clicks, 10), "cost_micros": strconv.FormatInt(c.CostMicros, 10),
			"conversions": strconv.FormatFloat(c.Conversions, 'g', -1, 64), "conversions_value": strconv.FormatFloat(c.Value, 'g', -1, 64),
		} {
			put(figures, path, text)
		}
		row["segments"], row["metrics"] = day, figures
		rows = append(rows, row)
	}
	return rows
}

// lookUp is a value of a row.
func lookUp(r gaqlRow, path string) (protoreflect.Value, protoreflect.FieldDescriptor, bool) {
	root, rest, _ := strings.Cut(path, ".")
	m := r[root]
	if m == nil {
		return protoreflect.Value{}, nil, false
	}
	return valueAt(m, rest)
}

// order compares a value with the text of another.
func order(v protoreflect.Value, f protoreflect.FieldDescriptor, text string) int {
	switch f.Kind() {
	case protoreflect.EnumKind:
		return int(v.Enum()) - int(f.Enum().Values().ByName(protoreflect.Name(text)).Number())
	case protoreflect.BoolKind:
		return strings.Compare(strconv.FormatBool(v.Bool()), strings.ToLower(text))
	case protoreflect.Int64Kind, protoreflect.Int32Kind:
		n, _ := strconv.ParseInt(text, 10, 64)
		return cmp.Compare(v.Int(), n)
	case protoreflect.DoubleKind, protoreflect.FloatKind:
		n, _ := strconv.ParseFloat(text, 64)
		return cmp.Compare(v.Float(), n)
	default:
		return strings.Compare(v.String(), text)
	}
}

// fits reports whether a row meets all conditions.
func (s *selection) fits(r gaqlRow) bool {
	for i := range s.where {
		if !s.meets(&s.where[i], r) {
			return false
		}
	}
	return true
}

func (s *selection) meets(c *gaqlCondition, r gaqlRow) bool {
	f, _ := s.field(c.field)
	v, _, ok := lookUp(r, c.field)
	if !ok { // what has no value is as if it had the zero one
		if f.Kind() != protoreflect.BoolKind && f.Kind() != protoreflect.EnumKind {
			return false
		}
		v = f.Default()
	}
	switch c.operator {
	case "IN", "NOT IN":
		if c.set == nil { // lists are long
			c.set = map[string]bool{}
			for _, g := range c.values {
				c.set[canonical(f, g.text)] = true
			}
		}
		return c.set[valueText(f, v)] == (c.operator == "IN")
	case "BETWEEN":
		return order(v, f, c.values[0].text) >= 0 && order(v, f, c.values[1].text) <= 0
	}
	o := order(v, f, c.values[0].text)
	switch c.operator {
	case "=":
		return o == 0
	case "!=":
		return o != 0
	case "<":
		return o < 0
	case "<=":
		return o <= 0
	case ">":
		return o > 0
	}
	return o >= 0
}

// valueText is a value as queries write it, and canonical the text of one as
// valueText would write it.
func valueText(f protoreflect.FieldDescriptor, v protoreflect.Value) string {
	if f.Kind() == protoreflect.EnumKind {
		if e := f.Enum().Values().ByNumber(v.Enum()); e != nil {
			return string(e.Name())
		}
	}
	return v.String()
}

func canonical(f protoreflect.FieldDescriptor, text string) string {
	switch f.Kind() {
	case protoreflect.Int64Kind, protoreflect.Int32Kind:
		n, _ := strconv.ParseInt(text, 10, 64)
		return strconv.FormatInt(n, 10)
	case protoreflect.BoolKind:
		return strings.ToLower(text)
	default:
		return text
	}
}

func compareAt(x, y gaqlRow, path string) int {
	v, f, hasX := lookUp(x, path)
	w, _, hasY := lookUp(y, path)
	switch {
	case !hasX || !hasY:
		return cmp.Compare(strconv.FormatBool(hasX), strconv.FormatBool(hasY))
	case f.Kind() == protoreflect.EnumKind:
		return cmp.Compare(v.Enum(), w.Enum())
	}
	return order(v, f, w.String())
}

// show is the row of an answer: what is selected, and the names of the resources.
func (s *selection) show(r gaqlRow) protoreflect.Message {
	out := s.row.New()
	for _, path := range s.fields {
		root, _, _ := strings.Cut(path, ".")
		f := out.Descriptor().Fields().ByName(protoreflect.Name(root))
		from := r[root]
		if from == nil {
			continue
		}
		if named := f.Message().Fields().ByName("resource_name"); named != nil && from.Has(named) {
			out.Mutable(f).Message().Set(named, from.Get(named))
		}
		v, _, ok := lookUp(r, path)
		if !ok {
			continue
		}
		into, parts := out, strings.Split(path, ".")
		for _, name := range parts[:len(parts)-1] {
			into = into.Mutable(into.Descriptor().Fields().ByName(protoreflect.Name(name))).Message()
		}
		into.Set(into.Descriptor().Fields().ByName(protoreflect.Name(parts[len(parts)-1])), v)
	}
	return out
}
