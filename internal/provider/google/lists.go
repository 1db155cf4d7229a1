package google

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"usher/internal/activation"
	"usher/internal/provider"
)

const (
	// pageSize is how many lists are asked for at a time: the most there may be
	// (reference/rest/v1/accountTypes.accounts.userLists/list). maxPages is how
	// many pages are turned before the look-up is given up.
	pageSize = "1000"
	maxPages = 100
	// secondsOfDay: durations are whole days in seconds.
	secondsOfDay = 24 * 60 * 60
)

// lists keeps Customer Match lists of an account.
type lists struct{ *account }

// NewLists makes the client of an account that keeps lists.
func NewLists(d provider.Deps) (provider.Destination, error) {
	g, err := newAccount(d)
	if err != nil {
		return nil, err
	}
	return &lists{g}, nil
}

// userList is a list as Google shows it and takes it.
type userList struct {
	ID          string    `json:"id,omitempty"`
	DisplayName string    `json:"displayName,omitempty"`
	Description string    `json:"description,omitempty"`
	Code        string    `json:"integrationCode,omitempty"`
	Duration    string    `json:"membershipDuration,omitempty"`
	Status      string    `json:"membershipStatus,omitempty"`
	Info        *listInfo `json:"ingestedUserListInfo,omitempty"`
	Size        *sizeInfo `json:"sizeInfo,omitempty"` // it is Google's to fill
}

type listInfo struct {
	KeyTypes []string    `json:"uploadKeyTypes"`
	Contact  *sourceInfo `json:"contactIdInfo,omitempty"`
	Mobile   *sourceInfo `json:"mobileIdInfo,omitempty"`
	User     *sourceInfo `json:"userIdInfo,omitempty"`
}

type sourceInfo struct {
	Source   string `json:"dataSourceType,omitempty"`
	KeySpace string `json:"keySpace,omitempty"`
	AppID    string `json:"appId,omitempty"`
}

func (g *account) listsPath() string { return g.own.name() + "/userLists" }

// Check reads the first of the account's lists: that proves the token, its scope
// and the user's role.
func (g *account) Check(ctx context.Context) error {
	var page struct{}
	_, err := g.call(ctx, http.MethodGet, g.listsPath(), url.Values{"pageSize": {"1"}}, nil, &page)
	if codeIs(err, classGone) { // a list of lists is not gone, the account is not there
		return as(err, classPermission)
	}
	return notABatch(err)
}

// EnsureAudience looks the list up by its id, else by our marker in its
// integration code, else makes it. A creation whose answer was lost is found by
// its marker the next time.
func (l *lists) EnsureAudience(ctx context.Context, a provider.Audience) (provider.RemoteID, error) {
	if a.Marker == "" || a.Name == "" {
		return "", invalid("name", "the audience has no name or marker")
	}
	want, err := l.wanted(a)
	if err != nil {
		return "", err
	}
	if a.Remote == "" {
		found, err := l.find(ctx, want.Code)
		if err != nil {
			return "", err
		}
		if found == nil {
			return l.create(ctx, want)
		}
		return provider.RemoteID(found.ID), l.keep(ctx, *found, want)
	}
	found, err := l.known(ctx, a.Remote)
	if err != nil {
		return "", err
	}
	return a.Remote, l.keep(ctx, found, want)
}

// wanted is the list that an audience should have.
func (l *lists) wanted(a provider.Audience) (userList, error) {
	setting := func(name string) string { return provider.Setting(membersWorkflow().Fields, a.Config, name) }
	if setting(termsField) == "" {
		return userList{}, invalid(termsField, "google's Customer Match terms must be accepted before anybody is sent")
	}
	u := userList{
		DisplayName: a.Name, Description: "Kept in step by Usher, which finds it by its integration code.",
		Code: a.Marker, Duration: strconv.Itoa(l.days*secondsOfDay) + "s",
		Info: &listInfo{KeyTypes: []string{setting(keyTypeField)}},
	}
	source := &sourceInfo{Source: setting(dataSourceField)}
	switch setting(keyTypeField) {
	case contactID:
		u.Info.Contact = source
	case userID:
		u.Info.User = source
	case mobileID:
		u.Info.Mobile, source.KeySpace, source.AppID = source, setting(keySpaceField), setting(appIDField)
		if source.AppID == "" {
			return userList{}, invalid(appIDField, "a list of advertising ids needs the id of the app they come from")
		}
	default:
		return userList{}, invalid(keyTypeField, "the kind of list must be CONTACT_ID, MOBILE_ID or USER_ID")
	}
	return u, nil
}

// keep makes sure that a list that is there takes people in, is of the right
// kind, and keeps them for as long as the destination says.
func (l *lists) keep(ctx context.Context, have, want userList) error {
	if have.Status == "CLOSED" {
		return failure(classClosed, envelope{})
	}
	if have.Info != nil && len(have.Info.KeyTypes) > 0 && have.Info.KeyTypes[0] != want.Info.KeyTypes[0] {
		return invalid(keyTypeField, "the list is of kind "+word(have.Info.KeyTypes[0])+" and keeps that for good: make another job for another kind")
	}
	if have.Duration == "" || have.Duration == want.Duration {
		return nil
	}
	body, err := l.buffer(userList{Duration: want.Duration})
	if err != nil {
		return err
	}
	defer body.Release()
	var changed userList
	_, err = l.call(ctx, http.MethodPatch, l.listsPath()+"/"+have.ID, url.Values{"updateMask": {"membershipDuration"}}, body, &changed)
	return notABatch(err)
}

// OpenAudience reads the list: that proves that the credentials reach it.
func (l *lists) OpenAudience(ctx context.Context, id provider.RemoteID) error {
	_, err := l.known(ctx, id)
	return err
}

func (g *account) known(ctx context.Context, id provider.RemoteID) (userList, error) {
	if !numberPattern.MatchString(string(id)) {
		return userList{}, invalid("remote", "the id of the list is not one of google's")
	}
	var got userList
	if _, err := g.call(ctx, http.MethodGet, g.listsPath()+"/"+string(id), nil, nil, &got); err != nil {
		return userList{}, g.missing(ctx, notABatch(err))
	}
	if got.ID != string(id) {
		return userList{}, failure(classAnswer, envelope{})
	}
	return got, nil
}

// missing settles "there is no such list": it is Gone only if the account itself
// is there for these credentials. Otherwise the account's error is the answer.
func (g *account) missing(ctx context.Context, err error) error {
	if !codeIs(err, classGone) {
		return err
	}
	if e := g.Check(ctx); e != nil {
		return e
	}
	return err
}

// gone settles a list that an upload was refused for. It is Gone if it is not
// there; if it is, something else is wrong with it.
func (g *account) gone(ctx context.Context, id provider.RemoteID, err error) error {
	if !codeIs(err, classGone) {
		return err
	}
	if _, e := g.known(ctx, id); e != nil {
		return e
	}
	return as(err, classDestination)
}

// find returns the list with the code, nil when there is none. Were there two, it
// is always the one with the lowest id.
func (l *lists) find(ctx context.Context, code string) (*userList, error) {
	query := url.Values{"pageSize": {pageSize}, "filter": {`integration_code = "` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(code) + `"`}}
	var found *userList
	for range maxPages {
		var page struct {
			Lists []userList `json:"userLists"`
			Next  string     `json:"nextPageToken"`
		}
		if _, err := l.call(ctx, http.MethodGet, l.listsPath(), query, nil, &page); err != nil {
			if codeIs(err, classGone) {
				return nil, as(err, classPermission)
			}
			return nil, notABatch(err)
		}
		for _, u := range page.Lists {
			if u.Code == code && numberPattern.MatchString(u.ID) && (found == nil || lower(u.ID, found.ID)) {
				found = &u
			}
		}
		if page.Next == "" || page.Next == query.Get("pageToken") {
			return found, nil
		}
		query.Set("pageToken", page.Next)
	}
	e := failure(classRequest, envelope{})
	e.Message = "the account has more lists than can be looked through"
	return nil, e
}

// create makes the list. Names are unique in an account, so one that is taken
// is told from the other by our marker.
func (l *lists) create(ctx context.Context, want userList) (provider.RemoteID, error) {
	id, err := l.post(ctx, want)
	if codeIs(err, className) {
		want.DisplayName += " (" + want.Code + ")"
		id, err = l.post(ctx, want)
	}
	if err != nil {
		return "", err
	}
	l.log.InfoContext(ctx, "google list made", "remote_id", id)
	return id, nil
}

func (l *lists) post(ctx context.Context, want userList) (provider.RemoteID, error) {
	body, err := l.buffer(want)
	if err != nil {
		return "", err
	}
	defer body.Release()
	var made userList
	if _, err := l.call(ctx, http.MethodPost, l.listsPath(), nil, body, &made); err != nil {
		if codeIs(err, classGone) {
			return "", as(err, classPermission)
		}
		return "", notABatch(err)
	}
	if !numberPattern.MatchString(made.ID) {
		e := failure(classAnswer, envelope{})
		e.MayHaveApplied = true
		return "", e
	}
	return provider.RemoteID(made.ID), nil
}

// DeleteAudience deletes the list for good.
func (l *lists) DeleteAudience(ctx context.Context, id provider.RemoteID) error {
	if !numberPattern.MatchString(string(id)) {
		return invalid("remote", "the id of the list is not one of google's")
	}
	var done struct{}
	_, err := l.call(ctx, http.MethodDelete, l.listsPath()+"/"+string(id), nil, nil, &done)
	return l.missing(ctx, notABatch(err))
}

func lower(a, b string) bool { return len(a) < len(b) || len(a) == len(b) && a < b }

// Deliver adds or removes the rows of one batch.
func (l *lists) Deliver(ctx context.Context, b provider.Batch) (activation.Receipt, error) {
	rows := b.Rows()
	if rows == 0 {
		return activation.Receipt{}, nil
	}
	if !numberPattern.MatchString(string(b.Remote)) {
		return activation.Receipt{}, invalid("remote", "the id of the list is not one of google's")
	}
	if rows > maxMembers {
		return activation.Receipt{}, tooMany(rows, maxMembers)
	}
	u := &upload{account: l.account, path: "audienceMembers:ingest", rows: rows, op: opAdd, batch: b}
	request := membersRequest{Destinations: l.target(string(b.Remote)), Encoding: "HEX"}
	if b.Op == activation.OpRemove {
		u.path, u.op = "audienceMembers:remove", opRemove
	} else {
		if provider.Setting(membersWorkflow().Fields, b.Audience.Config, termsField) == "" {
			return activation.Receipt{}, invalid(termsField, "google's Customer Match terms must be accepted before anybody is sent")
		}
		request.Consent = l.consent
		request.Terms = &terms{"ACCEPTED"}
	}
	members := newMembers(b)
	u.bad = members.bad
	u.body = func(keep []int) any {
		request.Members = members.of(keep)
		return request
	}
	rc, err := u.send(ctx)
	return rc, l.gone(ctx, b.Remote, err)
}

// Poll asks what became of a request.
func (l *lists) Poll(ctx context.Context, token string, rows int64) (activation.Receipt, error) {
	return l.poll(ctx, token, rows)
}
