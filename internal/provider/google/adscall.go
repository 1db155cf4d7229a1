package google

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"usher/internal/activation"
	"usher/internal/outbound"
)

const (
	// maxMutateAnswer is the most bytes of an answer to edits: an error for each.
	maxMutateAnswer = 64 << 20
	// maxStream is the most bytes of an answer to a query, which is not kept.
	maxStream = 64 << 30
	// maxRow is the most bytes of one row, and of all that is not a row.
	maxRow = 8 << 20
	// maxErrorBody is the most bytes of an error that are read.
	maxErrorBody = 16 << 20
)

// request makes a call of the account's Google Ads service.
func (c *campaigns) request(ctx context.Context, token, method string, body *outbound.Buffer) (*http.Request, error) {
	req, err := body.Request(ctx, http.MethodPost, c.root+"customers/"+c.customer+"/googleAds:"+method)
	if err != nil {
		return nil, adsInvalid(adsBaseURLField, "the address of the Google Ads API cannot be called")
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	if c.manager != "" {
		req.Header.Set("Login-Customer-Id", c.manager)
	}
	if c.developer != "" {
		req.Header.Set("Developer-Token", c.developer.Reveal())
	}
	return req, nil
}

func (c *campaigns) buffer(v any) (*outbound.Buffer, error) {
	body := c.bodies.Take()
	text, err := json.Marshal(v)
	if err != nil {
		body.Release()
		return nil, &activation.Error{Kind: activation.Internal, Code: activation.CodeOf(err), Message: "the request cannot be written as JSON"}
	}
	body.B = append(body.B, text...)
	return body, nil
}

// twice makes a call, and once more with another token when the first one was
// refused: nothing of it was done.
func (c *campaigns) twice(ctx context.Context, once func(token string) (status int, err error)) error {
	token, err := c.token(ctx)
	if err != nil {
		return c.noToken(err)
	}
	status, err := once(token)
	if status != http.StatusUnauthorized {
		return err
	}
	c.forget(token)
	next, tokenErr := c.token(ctx)
	if tokenErr != nil {
		return c.noToken(tokenErr)
	}
	if next == token {
		return err
	}
	_, err = once(next)
	return err
}

// noToken keeps the error of who mints tokens; one that has no code of its own is
// named as this part of the provider names it.
func (c *campaigns) noToken(err error) error {
	var own *activation.Error
	if errors.As(err, &own) && own.Code == classUnavailable.Code {
		other := *own
		other.Code = adsDown.Code
		return &other
	}
	return err
}

// failed reads the error of an answer, of which it is known that it is one.
func (c *campaigns) failed(status int, h http.Header, text []byte) (adsFault, adsClass, *activation.Error) {
	f, isObject := readFault(text)
	if f.Code == 0 {
		f.Code = status
	}
	f.request = first(f.request, h.Get("Request-Id"))
	class := f.classify(status, isObject)
	return f, class, c.wholeOf(class, f, h, status)
}

func (c *campaigns) wholeOf(class adsClass, f adsFault, h http.Header, status int) *activation.Error {
	err := class.whole(f)
	if class.Kind == activation.WaitUntil {
		err.Until = c.until(f, h)
	}
	if status/100 == 3 {
		err.Field = adsBaseURLField
	}
	return err
}

// readFault finds the error object of an answer, which stands alone or, of a query,
// in a list.
func readFault(text []byte) (f adsFault, isObject bool) {
	type holder struct {
		Error *adsFault `json:"error"`
	}
	text = bytes.TrimSpace(text)
	var all []holder
	var one holder
	switch {
	case bytes.HasPrefix(text, []byte("[")) && json.Unmarshal(text, &all) == nil:
		for _, h := range all {
			if h.Error != nil {
				one = h
			}
		}
	case bytes.HasPrefix(text, []byte("{")) && json.Unmarshal(text, &one) == nil:
	default:
		return adsFault{}, false
	}
	if one.Error == nil {
		return adsFault{}, true
	}
	f = *one.Error
	f.open()
	return f, true
}

// search runs a query and gives row by row of its answer to yield, whose error it
// returns. No more than a row is in memory.
func (c *campaigns) search(ctx context.Context, query string, yield func(*adsRow) error) error {
	body, err := c.buffer(map[string]string{"query": query})
	if err != nil {
		return err
	}
	defer body.Release()
	return c.twice(ctx, func(token string) (int, error) {
		req, err := c.request(ctx, token, "searchStream", body)
		if err != nil {
			return 0, err
		}
		resp, err := outbound.Stream(c.http, req, maxStream)
		if err != nil {
			return 0, err
		}
		defer func() { _ = resp.Body.Close() }()
		if resp.StatusCode != http.StatusOK {
			text, err := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
			if err != nil {
				return resp.StatusCode, err
			}
			_, _, failed := c.failed(resp.StatusCode, resp.Header, text)
			return resp.StatusCode, asked(failed)
		}
		f, err := readRows(resp.Body, yield)
		if f != nil {
			return resp.StatusCode, asked(c.wholeOf(f.classify(resp.StatusCode, true), *f, resp.Header, resp.StatusCode))
		}
		var cut *unreadable
		if errors.As(err, &cut) {
			return resp.StatusCode, adsAnswer.whole(adsFault{Code: resp.StatusCode, request: resp.Header.Get("Request-Id")})
		}
		return resp.StatusCode, err
	})
}

// asked is the error of a question, of which there is nothing to halve.
func asked(err *activation.Error) *activation.Error {
	if err.Kind == activation.RefusedWhole {
		err.Kind, err.Code = adsRequest.Kind, adsRequest.Code
	}
	return err
}

// unreadable is an answer that is not as Google writes it.
type unreadable struct{ why string }

func (u *unreadable) Error() string { return "the answer cannot be read: " + u.why }

// readRows reads the answer of searchStream: a list of chunks, each with rows, or
// with an error, which it returns.
func readRows(from io.Reader, yield func(*adsRow) error) (*adsFault, error) {
	bounded := &boundedReader{from: from, left: maxRow}
	dec := json.NewDecoder(bounded)
	s := &rowReader{dec: dec, bounded: bounded, yield: yield}
	first, err := s.token()
	if err != nil {
		return nil, err
	}
	switch first {
	case json.Delim('{'): // an error may stand alone; what else does tells no rows
		f, err := s.chunk()
		if f == nil && err == nil {
			err = &unreadable{"it is no list and no error"}
		}
		return f, err
	case json.Delim('['):
	default:
		return nil, &unreadable{"it is no list"}
	}
	for dec.More() {
		start, err := s.token()
		if err != nil {
			return nil, err
		}
		if start != json.Delim('{') {
			return nil, &unreadable{"a chunk is no object"}
		}
		if f, err := s.chunk(); f != nil || err != nil {
			return f, err
		}
	}
	_, err = s.token() // the end of the list, or that there is none
	return nil, err
}

// rowReader reads one answer.
type rowReader struct {
	dec     *json.Decoder
	bounded *boundedReader
	yield   func(*adsRow) error
}

// token reads the next one. Errors of the connection stay what they are.
func (s *rowReader) token() (json.Token, error) {
	t, err := s.dec.Token()
	if err != nil {
		return nil, tellBroken(err)
	}
	return t, nil
}

func tellBroken(err error) error {
	var own *activation.Error
	if errors.As(err, &own) {
		return own
	}
	return &unreadable{"it is cut, too long or no JSON"}
}

func (s *rowReader) decode(into any) error {
	if err := s.dec.Decode(into); err != nil {
		return tellBroken(err)
	}
	s.bounded.left = maxRow
	return nil
}

// chunk reads a chunk whose brace is read.
func (s *rowReader) chunk() (*adsFault, error) {
	for s.dec.More() {
		key, err := s.token()
		if err != nil {
			return nil, err
		}
		switch key {
		case "results":
			if err := s.rows(); err != nil {
				return nil, err
			}
		case "error":
			f := &adsFault{}
			if err := s.decode(f); err != nil {
				return nil, err
			}
			f.open()
			return f, nil
		default:
			var passed json.RawMessage
			if err := s.decode(&passed); err != nil {
				return nil, err
			}
		}
	}
	_, err := s.token()
	return nil, err
}

func (s *rowReader) rows() error {
	start, err := s.token()
	if err != nil {
		return err
	}
	if start != json.Delim('[') {
		return &unreadable{"the rows are no list"}
	}
	for s.dec.More() {
		row := &adsRow{}
		if err := s.decode(row); err != nil {
			return err
		}
		if err := s.yield(row); err != nil {
			return err
		}
	}
	_, err = s.token()
	return err
}

// boundedReader lets no more bytes through than left says.
type boundedReader struct {
	from io.Reader
	left int
}

func (b *boundedReader) Read(to []byte) (int, error) {
	if b.left <= 0 {
		return 0, errTooLong
	}
	n, err := b.from.Read(to)
	b.left -= n
	return n, err
}

var errTooLong = errors.New("a row is longer than can be")
