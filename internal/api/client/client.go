// Package client speaks Usher's HTTP API. The command line is built on it, and
// so can other programs be.
//
// It owns the envelope and the errors of the API as a Go program sees them. It
// retries nothing: the caller knows whether a call may be repeated.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Client calls one server.
type Client struct {
	// URL is the server's address, such as http://127.0.0.1:8080.
	URL string
	// Token goes into the Authorization header.
	Token string
	// HTTP makes the calls. Nil = a client without a total timeout (uploads may
	// take long) that gives up connecting after 5 s.
	HTTP *http.Client
}

// Error is an answer that is not a success.
type Error struct {
	Status    int
	Code      string
	Message   string
	RequestID string
}

// Error returns message, code and the request id for the server's log.
func (e *Error) Error() string {
	s := e.Message
	if e.Code != "" {
		s += " (" + e.Code + ")"
	}
	if e.RequestID != "" {
		s += ", request " + e.RequestID
	}
	return s
}

// ErrUnreachable means that nothing answers at the server's address.
var ErrUnreachable = errors.New("no server answers")

type envelope struct {
	Data      json.RawMessage `json:"data"`
	Status    int             `json:"status"`
	Message   string          `json:"message"`
	RequestID string          `json:"request_id"`
	Next      string          `json:"_next"`
	Errors    []struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	} `json:"errors"`
}

// Do calls method path with body (nil, an io.Reader sent as it is, or anything
// else as JSON) and decodes the data of the answer into out (may be nil). It
// returns where the next page starts, "" on the last.
func (c *Client) Do(ctx context.Context, method, path string, body, out any) (next string, err error) {
	return c.Send(ctx, method, path, nil, body, out)
}

// Send is Do with headers of its own, such as Idempotency-Key.
func (c *Client) Send(ctx context.Context, method, path string, header http.Header, body, out any) (next string, err error) {
	var r io.Reader
	all := header.Clone()
	if all == nil {
		all = http.Header{}
	}
	switch b := body.(type) {
	case nil:
	case io.Reader:
		r = b
	default:
		raw, err := json.Marshal(b)
		if err != nil {
			return "", fmt.Errorf("encode request: %w", err)
		}
		r = bytes.NewReader(raw)
		all.Set("Content-Type", "application/json")
	}
	return c.send(ctx, method, path, all, r, out)
}

// Upload sends a stream of bytes with its content type.
func (c *Client) Upload(ctx context.Context, path, contentType string, body io.Reader, out any) error {
	_, err := c.send(ctx, http.MethodPost, path, http.Header{"Content-Type": {contentType}}, body, out)
	return err
}

// Download writes the body of an answer that is no envelope to w.
func (c *Client) Download(ctx context.Context, path string, w io.Writer) error {
	res, err := c.ask(ctx, http.MethodGet, path, http.Header{}, nil)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode >= http.StatusMultipleChoices {
		_, err := open(res)
		return err
	}
	if _, err := io.Copy(w, res.Body); err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	return nil
}

func (c *Client) send(ctx context.Context, method, path string, header http.Header, body io.Reader, out any) (string, error) {
	res, err := c.ask(ctx, method, path, header, body)
	if err != nil {
		return "", err
	}
	defer func() { _ = res.Body.Close() }()
	env, err := open(res)
	if err != nil {
		return "", err
	}
	if out != nil && len(env.Data) > 0 {
		if err := json.Unmarshal(env.Data, out); err != nil {
			return "", fmt.Errorf("decode answer: %w", err)
		}
	}
	return env.Next, nil
}

// ask sends a request; whoever calls it closes the answer's body.
func (c *Client) ask(ctx context.Context, method, path string, header http.Header, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(c.URL, "/")+path, body)
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	req.Header = header
	if c.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.Token)
	}
	hc := c.HTTP
	if hc == nil {
		hc = &http.Client{Timeout: 0}
	}
	res, err := hc.Do(req)
	if err != nil {
		var ue *url.Error
		if errors.As(err, &ue) && ctx.Err() == nil {
			return nil, fmt.Errorf("%w at %s: %w", ErrUnreachable, c.URL, ue.Err)
		}
		return nil, err
	}
	return res, nil
}

// open reads an answer in its envelope; one that tells of a failure is an *Error.
func open(res *http.Response) (envelope, error) {
	var env envelope
	raw, err := io.ReadAll(io.LimitReader(res.Body, 64<<20))
	if err != nil {
		return env, fmt.Errorf("read answer: %w", err)
	}
	if err := json.Unmarshal(raw, &env); err != nil {
		return env, &Error{Status: res.StatusCode, Message: fmt.Sprintf("the server answered %s without our envelope: is this an Usher server?", res.Status)}
	}
	if res.StatusCode >= http.StatusMultipleChoices {
		e := &Error{Status: res.StatusCode, Message: env.Message, RequestID: env.RequestID}
		if len(env.Errors) > 0 {
			e.Code = env.Errors[0].Code
		}
		return env, e
	}
	return env, nil
}

// WaitReady asks the server until it is ready or ctx ends.
func (c *Client) WaitReady(ctx context.Context) error {
	for {
		if _, err := c.Do(ctx, http.MethodGet, "/readyz", nil, nil); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(50 * time.Millisecond):
		}
	}
}
