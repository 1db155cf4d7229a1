package meta

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"usher/internal/activation"
	"usher/internal/provider"
)

// maxReplaced is the most people that are replaced at once; for larger audiences
// Meta advises against it (reference/custom-audience/usersreplace).
const maxReplaced = 100_000_000

// replace sends one batch of a session whose people take the place of all others
// when its last batch is in (reference/custom-audience/usersreplace). Until then
// nobody sees anything of it, and people are neither added nor removed otherwise.
//
// Nothing of it is refused as a batch that is to be halved. That the last batch
// is refused may mean that it is in already: then the session tells.
func (m *destination) replace(ctx context.Context, b provider.Batch) (activation.Receipt, error) {
	if err := m.replaceable(b); err != nil {
		return activation.Receipt{}, err
	}
	j, err := listingOf(b.Audience.Config)
	if err == nil {
		err = j.fits(b.Keys)
	}
	switch {
	case err != nil:
		return activation.Receipt{}, err
	case j.valued:
		return activation.Receipt{}, invalid(valuedField, "meta does not replace the people of a value-based audience: add and remove them")
	}
	body := m.bodies.Take()
	defer body.Release()
	body.B = appendUsers(body.B, b, j.limits, nil)
	if b.Rows() > maxRows || len(body.B) > m.maxBytes {
		return activation.Receipt{}, notABatch(tooLarge(fmt.Sprintf("%d rows and %d bytes, at most %d and %d", b.Rows(), len(body.B), maxRows, m.maxBytes)))
	}
	var got users
	a, err := m.call(ctx, http.MethodPost, string(b.Remote)+"/usersreplace", nil, body, &got)
	switch {
	case codeIs(err, classGone):
		return activation.Receipt{}, m.missing(ctx, err)
	case activation.KindOf(err) == activation.RefusedWhole:
		return m.settle(ctx, b, err)
	case mayHaveApplied(err) && ctx.Err() == nil:
		return m.lost(ctx, b, err)
	case err != nil:
		return activation.Receipt{}, err
	}
	return m.receipt(ctx, b, a, got, nil)
}

func mayHaveApplied(err error) bool {
	var e *activation.Error
	return errors.As(err, &e) && e.MayHaveApplied
}

// lost asks the session about a last batch whose answer was lost. Only that it is
// complete proves something: what has not arrived yet may still do.
func (m *destination) lost(ctx context.Context, b provider.Batch, loss error) (activation.Receipt, error) {
	if b.Replace.Number != b.Replace.Of {
		return activation.Receipt{}, loss
	}
	got, rc, err := m.ask(ctx, b)
	if err != nil || got == nil || !got.complete() {
		return activation.Receipt{}, loss
	}
	return rc, nil
}

// ask reads the session of a replacement, nil where Meta knows none, and the
// receipt of its last batch if it is in.
func (m *destination) ask(ctx context.Context, b provider.Batch) (*told, activation.Receipt, error) {
	var page struct {
		Data []told `json:"data"`
	}
	id := strconv.FormatInt(b.Replace.Session, 10)
	a, err := m.call(ctx, http.MethodGet, string(b.Remote)+"/sessions", url.Values{"session_id": {id}}, nil, &page)
	if err != nil {
		return nil, activation.Receipt{}, err
	}
	rc := activation.Receipt{Accepted: int64(b.Rows()), RequestID: requestID(a.Header), HTTPStatus: a.Status, Headers: keptHeaders(a.Header)}
	if i := slices.IndexFunc(page.Data, func(t told) bool { return t.Session == id }); i >= 0 {
		return &page.Data[i], rc, nil
	}
	return nil, rc, nil
}

// replaceable says what is wrong with a batch as a part of a replacement.
func (m *destination) replaceable(b provider.Batch) error {
	r := b.Replace
	switch {
	case !numberPattern.MatchString(string(b.Remote)):
		return invalid("remote", "the id of the audience is not one of meta's")
	case b.Op != activation.OpAdd || r.Session <= 0 || r.Number < 1 || r.Number > r.Of:
		return invalid("replace", "a replacement adds people, in a session with a number and batches that count from 1")
	case b.Rows() == 0:
		return invalid("replace", "meta takes no batch of a replacement without anybody in it")
	case r.Rows > maxReplaced:
		return invalid("replace", "meta replaces at most 100,000,000 people at once: add and remove them")
	}
	return nil
}

// settle asks the session what became of a batch that was refused. A session that
// is complete has its last batch; one that still waits for it, or ended without
// it, has it not. A batch before the last that was sent before may be in: nothing
// tells of it.
func (m *destination) settle(ctx context.Context, b provider.Batch, refusal error) (activation.Receipt, error) {
	last := b.Replace.Number == b.Replace.Of
	if !last && b.Attempt <= 1 {
		return activation.Receipt{}, notABatch(refusal)
	}
	doubt := failure(classReplace, envelope{})
	doubt.MayHaveApplied, doubt.Err = true, refusal
	if !last {
		return activation.Receipt{}, doubt
	}
	got, rc, err := m.ask(ctx, b)
	switch {
	case err != nil:
		doubt.Err = err
	case got == nil || got.open(): // it is not in
		return activation.Receipt{}, notABatch(refusal)
	case got.complete():
		return rc, nil
	}
	return activation.Receipt{}, doubt
}

// told is what Meta tells of a session (reference/custom-audience/sessions). All
// of it is text, and no page lists the stages: other ones tell nothing.
type told struct {
	Session  string `json:"session_id"`
	Stage    string `json:"stage"`
	Progress string `json:"progress"`
}

func (t told) complete() bool {
	return t.Progress == "100" || t.Stage == "matching" || t.Stage == "finished"
}

func (t told) open() bool { return t.Stage == "uploading" || t.Stage == "expired" }
