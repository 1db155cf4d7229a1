package meta

import "time"

// settings are what the owner of an audience decides.
type settings struct {
	Name          string `json:"name"`
	Description   string `json:"description,omitempty"`
	Subtype       string `json:"subtype"`
	Source        string `json:"customer_file_source"`
	ValueBased    bool   `json:"is_value_based,omitempty"`
	RetentionDays int    `json:"retention_days,omitempty"`
	OptOutLink    string `json:"opt_out_link,omitempty"`
	Dataset       string `json:"dataset_id,omitempty"`
	// Labels are audience_labels.
	Labels []string `json:"audience_labels,omitempty"`
}

// audience is one custom audience.
type audience struct {
	id       string
	account  string
	settings settings
	created  time.Time
	updated  time.Time
	flagged  bool
	roster   *roster
	waiting  []matching
	replace  *replacement // nil while none has begun
	books    Books
}

// matching is an upload whose rows are not matched yet, or all uploads of a
// replacement that is complete.
type matching struct {
	due    time.Time
	upload *upload // the last one, of a replacement
	swap   []*upload
}

func newAudience(id, account string, at time.Time) *audience {
	return &audience{id: id, account: account, created: at, roster: newRoster(), books: newBooks()}
}

// fields are what GET may select from an audience.
func (a *audience) fields() map[string]any {
	low, high := approximate(len(a.roster.members))
	return map[string]any{
		"id": a.id, "account_id": a.account,
		"name": a.settings.Name, "description": a.settings.Description,
		"subtype": a.settings.Subtype, "customer_file_source": a.settings.Source,
		"is_value_based": a.settings.ValueBased, "retention_days": a.settings.RetentionDays,
		"opt_out_link": a.settings.OptOutLink, "dataset_id": a.settings.Dataset, "audience_labels": a.settings.Labels,
		"operation_status":              a.operationStatus(),
		"delivery_status":               a.deliveryStatus(),
		"approximate_count_lower_bound": low, "approximate_count_upper_bound": high,
		"time_created": a.created.Unix(), "time_updated": a.updated.Unix(),
		"time_content_updated": a.updated.Unix(),
	}
}

func (a *audience) operationStatus() map[string]any {
	switch {
	case a.flagged:
		return map[string]any{"code": 471, "description": "Flagged: people cannot be added or removed until this is resolved."}
	case len(a.waiting) > 0 || a.replace != nil:
		return map[string]any{"code": 300, "description": "Updating: people are being matched."}
	}
	return map[string]any{"code": 200, "description": "Normal"}
}

func (a *audience) deliveryStatus() map[string]any {
	if len(a.roster.members) < 100 {
		return map[string]any{"code": 300, "description": "Audience size is too small."}
	}
	return map[string]any{"code": 200, "description": "This audience is ready for use."}
}

// approximate hides the exact size, as the network does.
func approximate(members int) (low, high int) {
	if members < 1000 {
		return 1000, 1000
	}
	return members / 100 * 100, (members + 99) / 100 * 100
}

// account is one ad account.
type account struct {
	id           string
	audiences    []string // in the order of their making
	sessions     map[int64]*session
	termsPending bool
	usage        usage
}

func (a *account) fields(o Options) map[string]any {
	terms := 1
	if a.termsPending {
		terms = 0
	}
	return map[string]any{
		"id": "act_" + a.id, "account_id": a.id, "name": "Sandbox account " + a.id,
		"account_status": 1, "currency": o.Currency, "timezone_name": o.Timezone,
		"tos_accepted": map[string]any{"custom_audience_tos": terms},
	}
}

// session is one upload session.
type session struct {
	id       int64
	audience string
	started  time.Time
	updated  time.Time
	replace  bool
	last     int   // number of the last batch, 0 while unknown
	total    int64 // rows that are to come, 0 while unknown
	received int
	invalid  int
	batches  int
}

func (a *account) noteSession(audienceID string, at time.Time, u *upload) {
	s, ok := a.sessions[u.Session]
	if !ok {
		s = &session{id: u.Session, audience: audienceID, started: at, replace: u.Op == opReplace}
		a.sessions[u.Session] = s
	}
	s.updated = at
	s.received += u.Received
	s.invalid += u.invalidRows()
	s.batches++
	s.total = max(s.total, u.Total)
	if u.Last {
		s.last = u.Seq
	}
}

// checkSession says why a batch may not join its session, if so.
func (a *account) checkSession(audienceID, op string, now time.Time, window time.Duration, in sessionParam) *apiError {
	s, known := a.sessions[in.id]
	switch {
	case !known:
		return nil
	case s.audience != audienceID:
		return invalidParam("session_id belongs to another audience of this account")
	case now.Sub(s.started) > window:
		return invalidParam("session_id belongs to a session that is over")
	case s.replace != (op == opReplace):
		return invalidParam("session_id belongs to a session of another kind")
	case s.replace && s.last > 0:
		return invalidParam("session_id belongs to a replacement that is over")
	case s.last > 0 && in.seq > s.last:
		return invalidParam("batch_seq is behind the last batch of its session")
	}
	return nil
}
