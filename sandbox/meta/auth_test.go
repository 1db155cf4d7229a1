package meta_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"usher/sandbox/meta"
)

func TestTokens(t *testing.T) {
	p := newPeer(t, meta.Options{Tokens: []meta.Token{
		{Value: "good"},
		{Value: "dated", ExpiresAt: time.Date(2026, 11, 22, 13, 0, 0, 0, time.UTC)},
		{Value: "changed", Subcode: 460},
		{Value: "reader", ReadOnly: true},
	}})
	tests := []struct {
		name, token, method, path string
		status                    int
		fault                     string
	}{
		{"none", "", "GET", "/v26.0/me", 401, "104"},
		{"unknown", "nonsense", "GET", "/v26.0/me", 401, "190"},
		{"the default is off", meta.DefaultToken, "GET", "/v26.0/me", 401, "190"},
		{"in the header", "good", "GET", "/v26.0/me", 200, ""},
		{"in the query", "", "GET", "/v26.0/me?access_token=good", 200, ""},
		{"not yet expired", "dated", "GET", "/v26.0/me", 200, ""},
		{"password changed", "changed", "GET", "/v26.0/me", 401, "190/460"},
		{"reader reads", "reader", "GET", "/v26.0/act_7", 200, ""},
		{"reader may not write", "reader", "POST", "/v26.0/act_7/customaudiences", 403, "200"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p.token = tt.token
			var in any
			if tt.method == "POST" {
				in = settings()
			}
			r := p.call(tt.method, tt.path, in)
			if r.status != tt.status || r.fault() != tt.fault {
				t.Errorf("%d %s", r.status, r.text)
			}
			if r.status == 401 && !strings.Contains(r.header.Get("WWW-Authenticate"), "invalid_token") {
				t.Error("no WWW-Authenticate")
			}
		})
	}
	p.clock.pass(time.Hour)
	p.token = "dated"
	if r := p.call("GET", "/v26.0/me", nil); r.fault() != "190/463" {
		t.Errorf("after its time: %s", r.text)
	}
	p.net.SetToken(meta.Token{Value: "dated"})
	if r := p.call("GET", "/v26.0/me", nil); r.status != 200 {
		t.Errorf("renewed: %s", r.text)
	}
	p.net.DropToken("dated")
	if r := p.call("GET", "/v26.0/me", nil); r.fault() != "190" {
		t.Errorf("dropped: %s", r.text)
	}
}

func TestDebugToken(t *testing.T) {
	p := newPeer(t, meta.Options{})
	ends := p.clock.Now().Add(time.Hour)
	p.net.SetToken(meta.Token{Value: "dated", ExpiresAt: ends, ReadOnly: true})
	data := func(token string) object {
		r := p.call("GET", "/v26.0/debug_token?input_token="+token, nil)
		out, _ := r.body["data"].(object)
		return out
	}
	if got := data("dated"); got["is_valid"] != true || got["expires_at"] != float64(ends.Unix()) || strings.Contains(fmt.Sprint(got["scopes"]), "ads_management") {
		t.Errorf("dated: %v", got)
	}
	if got := data(meta.DefaultToken); got["is_valid"] != true || got["expires_at"] != 0.0 || !strings.Contains(fmt.Sprint(got["scopes"]), "ads_management") {
		t.Errorf("default: %v", got)
	}
	if got := data("nonsense"); got["is_valid"] != false || got["error"] == nil {
		t.Errorf("unknown: %v", got)
	}
	if r := p.call("GET", "/v26.0/debug_token", nil); r.fault() != "100" {
		t.Errorf("nothing asked: %s", r.text)
	}
}

func proof(secret, text string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(text))
	return hex.EncodeToString(mac.Sum(nil))
}

func TestAppSecretProof(t *testing.T) {
	p := newPeer(t, meta.Options{AppSecret: "s3cret"})
	now := p.clock.Now()
	timed := func(at time.Time) string {
		return fmt.Sprintf("appsecret_time=%d&appsecret_proof=%s", at.Unix(), proof("s3cret", fmt.Sprintf("%s|%d", p.token, at.Unix())))
	}
	tests := map[string]struct{ query, fault string }{
		"missing":        {"", "104"},
		"right":          {"appsecret_proof=" + proof("s3cret", p.token), ""},
		"other secret":   {"appsecret_proof=" + proof("other", p.token), "104"},
		"other token":    {"appsecret_proof=" + proof("s3cret", "other"), "104"},
		"timed":          {timed(now), ""},
		"timed, too old": {timed(now.Add(-6 * time.Minute)), "104"},
		"timed, no time": {"appsecret_time=x&appsecret_proof=" + proof("s3cret", p.token+"|x"), "104"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if r := p.call("GET", "/v26.0/me?"+tt.query, nil); r.fault() != tt.fault {
				t.Errorf("%d %s", r.status, r.text)
			}
		})
	}
}

func TestNeitherLogKnowsATokenOrARow(t *testing.T) {
	p := newPeer(t, meta.Options{})
	id := p.audience(settings())
	p.call("POST", "/v26.0/"+id+"/users?access_token="+p.token+"&appsecret_proof=abcdef", body([]string{"EXTERN_ID", "EMAIL"}, []any{"cust-7", hash("a")}, []any{"cust-8", "BAD-CELL"}))
	for _, secret := range []string{p.token, "abcdef", "cust-7", "cust-8", hash("a"), "BAD-CELL"} {
		if text := fmt.Sprintf("%+v %+v", p.net.Calls(), p.net.Counters()); strings.Contains(text, secret) {
			t.Errorf("the call log holds %q", secret)
		}
		if strings.Contains(p.logs.String(), secret) {
			t.Errorf("the program's log holds %q", secret)
		}
	}
	if p.logs.Len() == 0 {
		t.Error("nothing was logged at all")
	}
}
