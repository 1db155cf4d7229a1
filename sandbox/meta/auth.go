package meta

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"time"
)

// proofWindow is how far appsecret_time may be from the network's clock.
const proofWindow = 5 * time.Minute

// authorize finds the call's token and refuses one that is not valid, not
// allowed to do this, or not proved.
func (n *Network) authorize(c *call) *apiError {
	secret := c.params.text("access_token")
	if kind, value, ok := strings.Cut(c.request.Header.Get("Authorization"), " "); ok && strings.EqualFold(kind, "Bearer") {
		secret = value
	}
	if secret == "" {
		e := badToken(0)
		e.code, e.message = 104, "There is no access token."
		return e
	}
	n.mu.Lock()
	token, known := n.tokens[secret]
	n.mu.Unlock()
	if !known {
		return badToken(0)
	}
	if err := token.check(c.at); err != nil {
		return err
	}
	if n.opts.AppSecret != "" && !n.proved(c, secret) {
		return badProof()
	}
	if token.ReadOnly && writes(c.op) {
		return noPermission()
	}
	c.token = token
	return nil
}

func (t Token) check(now time.Time) *apiError {
	switch {
	case t.Subcode != 0:
		return badToken(t.Subcode)
	case !t.ExpiresAt.IsZero() && !now.Before(t.ExpiresAt):
		return badToken(463)
	}
	return nil
}

// proved reports whether appsecret_proof is right; with appsecret_time the
// proof covers "token|time".
func (n *Network) proved(c *call, secret string) bool {
	signed := secret
	if text := c.params.text("appsecret_time"); text != "" {
		seconds, err := strconv.ParseInt(text, 10, 64)
		if err != nil || c.at.Sub(time.Unix(seconds, 0)).Abs() > proofWindow {
			return false
		}
		signed += "|" + text
	}
	mac := hmac.New(sha256.New, []byte(n.opts.AppSecret))
	mac.Write([]byte(signed))
	want := hex.EncodeToString(mac.Sum(nil))
	return hmac.Equal([]byte(want), []byte(c.params.text("appsecret_proof")))
}

// reachable refuses an account or audience that is not there for this token.
func (n *Network) reachable(c *call) *apiError {
	object := "act_" + c.account
	object = cmp.Or(c.node, c.audience, object)
	if c.op == opMe || c.op == opDebugToken || c.op == opBatch || c.op == opBatchRead || c.dataset != "" && c.op != "" {
		return nil
	}
	if c.op == "" {
		if c.dataset != "" {
			object = c.dataset
		}
		if c.account != "" || c.audience != "" || c.node != "" || c.dataset != "" {
			return noSuchObject(object)
		}
		return unknownPath()
	}
	exists := c.account != "" && (len(n.opts.Accounts) == 0 || slices.Contains(n.opts.Accounts, c.account))
	allowed := len(c.token.Accounts) == 0 || slices.Contains(c.token.Accounts, c.account)
	if !exists || !allowed {
		return noSuchObject(object)
	}
	return nil
}

// debugToken tells about the token in input_token.
func (n *Network) debugToken(c *call) (any, *apiError) {
	input := c.params.text("input_token")
	if input == "" {
		return nil, missingParam("input_token")
	}
	n.mu.Lock()
	token, known := n.tokens[input]
	n.mu.Unlock()
	data := map[string]any{"app_id": "200000000000001", "application": "Sandbox app", "type": "SYSTEM_USER", "user_id": "100000000000001"}
	scopes := []string{"ads_read", "business_management"}
	if !token.ReadOnly {
		scopes = append(scopes, "ads_management")
	}
	bad := badToken(0)
	if known {
		bad = token.check(c.at)
		data["expires_at"], data["scopes"] = int64(0), scopes
		if !token.ExpiresAt.IsZero() {
			data["expires_at"] = token.ExpiresAt.Unix()
		}
	}
	data["is_valid"] = bad == nil
	if bad != nil {
		data["error"] = map[string]any{"code": bad.code, "message": bad.message, "subcode": bad.subcode}
	}
	return map[string]any{"data": data}, nil
}
