package webhook

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // what legacy senders sign with is under test here
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// verify looks at everything of a request but its body, and returns its id.
func (n *Network) verify(r *http.Request, raw []byte) (id string, err error) {
	if !known(r.Method) {
		return "", refusal{http.StatusMethodNotAllowed, "method"}
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return "", refusal{http.StatusUnsupportedMediaType, "content_type"}
	}
	if err := n.allowed(r); err != nil {
		return "", err
	}
	id = r.Header.Get("webhook-id")
	if id == "" || len(id) > 128 || strings.ContainsAny(id, ". ") {
		return "", refusal{http.StatusBadRequest, "webhook_id"}
	}
	return id, n.signed(r, id, raw)
}

// take verifies a request and keeps its events.
func (n *Network) take(r *http.Request, raw []byte) error {
	id, err := n.verify(r, raw)
	if err != nil {
		return err
	}
	list, err := read(id, raw)
	if err != nil {
		return err
	}
	for i := range list {
		list[i].WebhookID, list[i].Path, list[i].Method = id, r.URL.Path, r.Method
	}
	n.keep(list)
	return nil
}

// allowed looks at what the sender was given beside the signing secret.
func (n *Network) allowed(r *http.Request) error {
	for name, value := range n.Headers {
		if r.Header.Get(name) != value {
			return refusal{http.StatusForbidden, "header"}
		}
	}
	for name, value := range n.Params {
		if r.URL.Query().Get(name) != value {
			return refusal{http.StatusForbidden, "parameter"}
		}
	}
	if n.ClientID == "" {
		return nil
	}
	text, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	n.mu.Lock()
	ends, there := n.tokens[text]
	n.mu.Unlock()
	if !ok || !there || !n.deps.Now().Before(ends) {
		return refusal{http.StatusUnauthorized, "access_token"}
	}
	return nil
}

// signed verifies timestamp and signatures of one request.
func (n *Network) signed(r *http.Request, id string, raw []byte) error {
	at := r.Header.Get("webhook-timestamp")
	seconds, err := strconv.ParseInt(at, 10, 64)
	if err != nil {
		return refusal{http.StatusBadRequest, "timestamp"}
	}
	if age := n.deps.Now().Sub(time.Unix(seconds, 0)); age > tolerance || age < -tolerance {
		return refusal{http.StatusBadRequest, "timestamp"}
	}
	if n.Legacy != "" {
		mac := hmac.New(sha1.New, []byte(n.Legacy))
		mac.Write(raw)
		if !hmac.Equal([]byte(r.Header.Get("X-Signature")), []byte(hex.EncodeToString(mac.Sum(nil)))) {
			return refusal{http.StatusUnauthorized, "legacy_signature"}
		}
	}
	given := strings.Fields(r.Header.Get("webhook-signature"))
	if len(given) == 0 && n.Unsigned {
		return nil
	}
	for _, key := range n.keys {
		mac := hmac.New(sha256.New, key)
		fmt.Fprintf(mac, "%s.%s.%s", id, at, raw)
		want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
		for _, one := range given {
			if hmac.Equal([]byte(one), []byte(want)) {
				return nil
			}
		}
	}
	return refusal{http.StatusUnauthorized, "signature"}
}

// read reads one event or a list of them. In a list each has an id of its own.
func read(id string, raw []byte) ([]Event, error) {
	wrong := refusal{http.StatusBadRequest, "json"}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var body any
	if err := d.Decode(&body); err != nil || d.More() {
		return nil, wrong
	}
	many, ok := body.([]any)
	if !ok {
		if _, object := body.(map[string]any); !object {
			return nil, wrong
		}
		return []Event{{ID: id, Body: body}}, nil
	}
	if len(many) == 0 || len(many) > maxList {
		return nil, refusal{http.StatusRequestEntityTooLarge, "list"}
	}
	out := make([]Event, len(many))
	for i, one := range many {
		object, ok := one.(map[string]any)
		if !ok {
			return nil, wrong
		}
		own, _ := object["id"].(string)
		if own == "" { // made by a template that keeps no id
			own = fmt.Sprintf("%s/%d", id, i)
		}
		out[i] = Event{ID: own, Body: object}
	}
	return out, nil
}
