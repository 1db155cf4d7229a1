package linkedin

import (
	"slices"
	"strings"
	"time"
)

// quota counts the calls of one member in the present minute and day.
type quota struct {
	minute, day   time.Time
	inMinute, all int
}

// authorize finds the call's token and refuses one that is not valid.
func (n *Network) authorize(c *call) *apiError {
	kind, value, _ := strings.Cut(c.request.Header.Get("Authorization"), " ")
	n.mu.Lock()
	defer n.mu.Unlock()
	t, known := n.tokens[value]
	switch {
	case !strings.EqualFold(kind, "Bearer") || !known:
		return badToken(serviceInvalidToken)
	case t.Revoked:
		return badToken(serviceRevokedToken)
	case !t.ExpiresAt.IsZero() && !c.at.Before(t.ExpiresAt):
		return badToken(serviceExpiredToken)
	}
	c.token = t
	return nil
}

// count counts the call for its member; every token here is of the same one.
func (n *Network) count(c *call) *apiError {
	n.mu.Lock()
	defer n.mu.Unlock()
	const member = "urn:li:person:sandbox"
	q := n.quota[member]
	if q == nil {
		q = &quota{}
		n.quota[member] = q
	}
	minute, day := c.at.UTC().Truncate(time.Minute), c.at.UTC().Truncate(24*time.Hour)
	if !minute.Equal(q.minute) {
		q.minute, q.inMinute = minute, 0
	}
	if !day.Equal(q.day) {
		q.day, q.all = day, 0
	}
	switch {
	case q.all >= n.opts.CallsPerDay:
		return throttled("MEMBER DAY")
	case q.inMinute >= n.opts.CallsPerMinute:
		return throttled("MEMBER MINUTE")
	}
	q.inMinute++
	q.all++
	return nil
}

const accountPrefix = "urn:li:sponsoredAccount:"

// reach says why the call may not act on an account, given by its URN, if so.
func (n *Network) reach(c *call, urn string, changes bool) (string, *apiError) {
	id, ok := strings.CutPrefix(urn, accountPrefix)
	switch {
	case !ok || !isNumber(id):
		return "", badRequest("account must be a sponsored account URN")
	case len(n.opts.Accounts) > 0 && !slices.Contains(n.opts.Accounts, id):
		return "", notFound("The account")
	case len(c.token.Accounts) > 0 && !slices.Contains(c.token.Accounts, id):
		return "", denied(urn)
	case changes && c.token.ReadOnly:
		return "", denied(urn + " with the role VIEWER")
	}
	return id, nil
}

func (n *Network) readAccount(c *call) (any, *apiError) {
	id, e := n.reach(c, accountPrefix+c.id, false)
	if e != nil {
		return nil, e
	}
	return map[string]any{
		"id": jsonNumber(id), "name": "Sandbox account " + id, "currency": "USD", "status": "ACTIVE",
		"type": "BUSINESS", "test": slices.Contains(n.opts.TestAccounts, id),
	}, nil
}

func isNumber(s string) bool {
	return s != "" && len(s) <= 19 && strings.Trim(s, "0123456789") == ""
}
