package meta

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"

	"usher/internal/outbound"
)

// operation is one call that travels in a batch (docs/graph-api/batch-requests).
type operation struct {
	Method string `json:"method"`
	// URL begins with the version.
	URL  string `json:"relative_url"`
	Body string `json:"body,omitempty"`
}

// reply is what was answered to one operation. nil = Meta does not tell what became
// of it.
type reply struct {
	Code    int `json:"code"`
	Headers []struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	} `json:"headers"`
	Body string `json:"body"`
}

// answer is the reply as if it had come alone.
func (r *reply) answer() outbound.Answer {
	h := http.Header{}
	for _, kv := range r.Headers {
		h.Add(kv.Name, kv.Value)
	}
	return outbound.Answer{Status: r.Code, Header: h, Body: []byte(r.Body)}
}

// readParts decodes the answer to a batch of n operations. A part that cannot be
// read counts as one of which nothing is told. ok is false for what is no answer to
// such a batch.
func readParts(body []byte, n int) (parts []*reply, ok bool) {
	var raw []json.RawMessage
	if json.Unmarshal(body, &raw) != nil || len(raw) != n {
		return nil, false
	}
	parts = make([]*reply, n)
	for i, text := range raw {
		var one *reply
		if json.Unmarshal(text, &one) == nil && one != nil && one.Code != 0 {
			parts[i] = one
		}
	}
	return parts, true
}

// batch makes several calls in one. err is set when nothing is known of any of them.
func (m *destination) batch(ctx context.Context, operations []operation) ([]*reply, error) {
	text, err := json.Marshal(operations)
	if err != nil {
		return nil, failure(classRequest, envelope{})
	}
	var parts []*reply
	err = m.form(ctx, m.base+"/", url.Values{"batch": {string(text)}}, func(a outbound.Answer) error {
		var ok bool
		if parts, ok = readParts(a.Body, len(operations)); ok && a.Status/100 == 2 {
			m.gate.note(m.usageOfParts(a, parts), m.now())
			return nil
		}
		m.gate.note(usageOf(a.Header, m.unit), m.now())
		parts = nil
		if err := m.read(http.MethodPost, a, &struct{}{}); err != nil {
			return err
		}
		e := failure(classAnswer, envelope{}) // an object, where a list was due
		e.RequestID, e.MayHaveApplied = requestID(a.Header), true
		return e
	})
	return parts, err
}

// usageOfParts is the worst that the answer and its parts say of the limits.
func (m *destination) usageOfParts(a outbound.Answer, parts []*reply) usage {
	u := usageOf(a.Header, m.unit)
	for _, p := range parts {
		if p != nil {
			one := usageOf(p.answer().Header, m.unit)
			u.percent, u.regain = max(u.percent, one.percent), max(u.regain, one.regain)
		}
	}
	return u
}

// form posts a form. read sees the whole answer and notes what it says of limits.
func (m *destination) form(ctx context.Context, address string, form url.Values, read func(outbound.Answer) error) error {
	if err := m.gate.pass(ctx, m.now); err != nil {
		return err
	}
	body := m.bodies.Take()
	defer body.Release()
	body.B = append(body.B, form.Encode()...)
	req, err := m.requestTo(ctx, http.MethodPost, address, nil, body)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	_, err = outbound.Call(m.http, req, func(a outbound.Answer) error {
		m.noteVersion(ctx, a.Header)
		return read(a)
	})
	return err
}
