package meta

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"usher/internal/activation"
	"usher/internal/provider"
)

const (
	// pageSize is how many audiences are asked for at a time, maxPages how many
	// pages are turned before the look-up is given up.
	pageSize = "200"
	maxPages = 500
	// statusFlagged is the operation_status of an audience held back for its
	// integrity (audiences guide).
	statusFlagged = 471
)

// remote is an audience as Meta shows it.
type remote struct {
	ID          string `json:"id"`
	Description string `json:"description"`
	Valued      *bool  `json:"is_value_based"`
	Status      struct {
		Code number `json:"code"`
	} `json:"operation_status"`
}

// Check reads the ad account: that proves the token and its role.
func (m *destination) Check(ctx context.Context) error {
	var account struct {
		ID string `json:"account_id"`
	}
	_, err := m.call(ctx, http.MethodGet, "act_"+m.account, url.Values{"fields": {"account_id"}}, nil, &account)
	if codeIs(err, classGone) || codeIs(err, classData) {
		return as(err, classAccount)
	}
	if err != nil {
		return err
	}
	if strings.TrimPrefix(account.ID, "act_") != m.account {
		return failure(classAnswer, envelope{})
	}
	return nil
}

// EnsureAudience looks the audience up by its id, else by the marker in its
// description, else makes it. A creation whose answer was lost is found by its
// marker the next time.
func (m *destination) EnsureAudience(ctx context.Context, a provider.Audience) (provider.RemoteID, error) {
	if a.Marker == "" || a.Name == "" {
		return "", invalid("name", "the audience has no name or marker")
	}
	j, err := listingOf(a.Config)
	if err == nil && len(a.Keys) > 0 {
		err = j.fits(a.Keys)
	}
	if err != nil {
		return "", err
	}
	if a.Remote != "" {
		got, err := m.known(ctx, a.Remote)
		if err == nil && got.Valued != nil && *got.Valued != j.valued {
			err = invalid(valuedField, "the audience was made with another is_value_based, and meta never changes it: set it back, or make another job")
		}
		if err != nil {
			return "", err
		}
		return a.Remote, nil
	}
	id, err := m.find(ctx, a.Marker)
	if err != nil || id != "" {
		return id, err
	}
	return m.create(ctx, a, j)
}

// OpenAudience reads the audience: that proves that the token may see it.
func (m *destination) OpenAudience(ctx context.Context, id provider.RemoteID) error {
	_, err := m.known(ctx, id)
	if codeIs(err, classFlagged) {
		return nil // it is there, whatever the network thinks of it
	}
	return err
}

func (m *destination) known(ctx context.Context, id provider.RemoteID) (remote, error) {
	var got remote
	if !numberPattern.MatchString(string(id)) {
		return got, invalid("remote", "the id of the audience is not one of meta's")
	}
	_, err := m.call(ctx, http.MethodGet, string(id), url.Values{"fields": {"id,operation_status,is_value_based"}}, nil, &got)
	if err != nil {
		return got, m.missing(ctx, notABatch(err))
	}
	if got.ID != string(id) {
		return got, failure(classAnswer, envelope{})
	}
	if got.Status.Code == statusFlagged {
		return got, failure(classFlagged, envelope{})
	}
	return got, nil
}

// missing settles "does not exist or may not be seen" (100/33): it is Gone only
// if the account itself is there for this token. Otherwise the account's error
// is the answer.
func (m *destination) missing(ctx context.Context, err error) error {
	if !codeIs(err, classGone) {
		return err
	}
	if e := m.Check(ctx); e != nil {
		return e
	}
	return err
}

// find returns the audience with the marker, "" when there is none. Were there
// two, it is always the one with the lowest id.
func (m *destination) find(ctx context.Context, marker string) (provider.RemoteID, error) {
	query := url.Values{"fields": {"id,description"}, "limit": {pageSize}}
	found := ""
	for range maxPages {
		var page struct {
			Data   []remote `json:"data"`
			Paging struct {
				Cursors struct {
					After string `json:"after"`
				} `json:"cursors"`
				Next string `json:"next"`
			} `json:"paging"`
		}
		if _, err := m.call(ctx, http.MethodGet, "act_"+m.account+"/customaudiences", query, nil, &page); err != nil {
			if codeIs(err, classGone) {
				return "", as(err, classAccount)
			}
			return "", notABatch(err)
		}
		for _, a := range page.Data {
			if strings.Contains(a.Description, markerText(marker)) && numberPattern.MatchString(a.ID) && (found == "" || lower(a.ID, found)) {
				found = a.ID
			}
		}
		// next is a whole address with the token in it; only the cursor is used.
		after := page.Paging.Cursors.After
		if page.Paging.Next == "" || after == "" || after == query.Get("after") {
			return provider.RemoteID(found), nil
		}
		query.Set("after", after)
	}
	e := failure(classRequest, envelope{})
	e.Message = "the ad account has more audiences than can be looked through"
	return "", e
}

// DeleteAudience deletes the audience for good (audiences guide, "delete").
func (m *destination) DeleteAudience(ctx context.Context, id provider.RemoteID) error {
	if !numberPattern.MatchString(string(id)) {
		return invalid("remote", "the id of the audience is not one of meta's")
	}
	var done struct {
		Success bool `json:"success"`
	}
	if _, err := m.call(ctx, http.MethodDelete, string(id), nil, nil, &done); err != nil {
		return m.missing(ctx, notABatch(err))
	}
	if !done.Success {
		e := failure(classAnswer, envelope{})
		e.MayHaveApplied = true
		return e
	}
	return nil
}

func (m *destination) create(ctx context.Context, a provider.Audience, j listing) (provider.RemoteID, error) {
	text, err := j.made(a.Name, a.Marker)
	if err != nil {
		return "", err
	}
	body := m.bodies.Take()
	defer body.Release()
	body.B = append(body.B, text...)
	var made remote
	if _, err := m.call(ctx, http.MethodPost, "act_"+m.account+"/customaudiences", nil, body, &made); err != nil {
		if codeIs(err, classGone) {
			return "", as(err, classAccount)
		}
		return "", notABatch(err)
	}
	if !numberPattern.MatchString(made.ID) {
		e := failure(classAnswer, envelope{})
		e.MayHaveApplied = true
		return "", e
	}
	m.log.InfoContext(ctx, "meta audience made", "remote_id", made.ID)
	return provider.RemoteID(made.ID), nil
}

// markerText is the marker between brackets, so that none is part of another.
func markerText(marker string) string { return "[usher:" + marker + "]" }

func lower(a, b string) bool { return len(a) < len(b) || len(a) == len(b) && a < b }

func codeIs(err error, c class) bool {
	var e *activation.Error
	return errors.As(err, &e) && e.Code == c.Code
}

// as gives the error the kind, code and text of another class.
func as(err error, c class) error {
	var e *activation.Error
	if !errors.As(err, &e) {
		return err
	}
	other := *e
	other.Kind, other.Code, other.Message = c.Kind, c.Code, c.Message
	return &other
}

// notABatch turns "the batch is refused" into "the request is refused": there
// is nothing to halve.
func notABatch(err error) error {
	if activation.KindOf(err) == activation.RefusedWhole {
		return as(err, classRequest)
	}
	return err
}
