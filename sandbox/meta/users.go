package meta

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
)

// payload is the structure of the parameter of that name.
type payload struct {
	Schema json.RawMessage `json:"schema"`
	Data   json.RawMessage `json:"data"`
	AppIDs []json.Number   `json:"app_ids"`
}

// rows are the decoded rows of a payload.
type rows struct {
	keys    []string
	digest  string
	valid   [][]string
	invalid map[verdict]int
	samples []string
	count   int
}

// users adds or removes the rows of one batch, or takes them for a replacement.
func (n *Network) users(c *call) (any, *apiError) {
	in, err := n.readRows(c.params, c.op)
	if err != nil {
		return nil, err
	}
	c.record.Rows, c.record.Digest = in.count, in.digest
	batch, err := readSession(c.params)
	if err != nil {
		return nil, err
	}
	in.spoil(c.invalid)
	n.mu.Lock()
	defer n.mu.Unlock()
	a, err := n.live(c)
	if err != nil {
		return nil, err
	}
	if err := n.mayUpload(a, c, in.keys, batch); err != nil {
		return nil, err
	}
	if batch.id == 0 {
		batch.id = int64(n.rand.Uint64N(1<<62)) + 1
	}
	if err := n.account(a.account).checkSession(a.id, c.op, c.at, n.opts.SessionWindow, batch); err != nil {
		return nil, err
	}
	up := &upload{
		Op: c.op, Session: batch.id, Seq: batch.seq, Last: batch.last, Total: batch.total, Received: in.count,
		Invalid: in.invalid, Digest: in.digest, Keys: in.keys, Rows: in.valid,
	}
	if err := n.commit(event{Kind: eventUsers, At: c.at, Audience: a.id, Upload: up}); err != nil {
		return nil, err
	}
	a.settle(n.deps.Now())
	c.record.Applied, c.record.Invalid = true, up.invalidRows()
	c.record.Session, c.record.BatchSeq, c.record.Last = batch.id, batch.seq, batch.last
	return in.answer(a.id, batch.id), nil
}

// mayUpload says why the audience takes no such rows, if so.
func (n *Network) mayUpload(a *audience, c *call, keys []string, batch sessionParam) *apiError {
	valued := slices.Contains(keys, "LOOKALIKE_VALUE")
	switch {
	case n.account(a.account).termsPending:
		return termsPending()
	case a.flagged:
		return flagged()
	case valued && !a.settings.ValueBased:
		return invalidParam("LOOKALIKE_VALUE is only for value-based audiences")
	case c.op == opReplace:
		return a.mayReplace(batch)
	case a.replace != nil:
		return replacing()
	case !valued && a.settings.ValueBased && c.op == opAdd:
		return invalidParam("LOOKALIKE_VALUE is required for value-based audiences")
	}
	return nil
}

// erase removes the rows from every audience of the account.
func (n *Network) erase(c *call) (any, *apiError) {
	in, err := n.readRows(c.params, opRemove)
	if err != nil {
		return nil, err
	}
	c.record.Rows, c.record.Digest = in.count, in.digest
	n.mu.Lock()
	defer n.mu.Unlock()
	session := int64(n.rand.Uint64N(1<<62)) + 1
	for _, id := range n.account(c.account).audiences {
		up := &upload{
			Op: opRemove, Session: session, Received: in.count, Invalid: in.invalid,
			Digest: in.digest, Keys: in.keys, Rows: in.valid,
		}
		if err := n.commit(event{Kind: eventUsers, At: c.at, Audience: id, Upload: up}); err != nil {
			return nil, err
		}
		n.audiences[id].settle(n.deps.Now())
	}
	c.record.Applied = true
	return in.answer("", session), nil
}

// readRows reads and checks the payload. Rows of a wrong shape refuse the whole
// request; bad values make their row invalid.
func (n *Network) readRows(p params, op string) (*rows, *apiError) {
	raw := p.structure("payload")
	if len(raw) == 0 {
		return nil, missingParam("payload")
	}
	var in payload
	if err := json.Unmarshal(raw, &in); err != nil {
		return nil, invalidParam("payload is not a valid structure")
	}
	keys, err := decodeSchema(in.Schema)
	if err != nil {
		return nil, err
	}
	if keys[0] == "UID" && len(in.AppIDs) == 0 {
		return nil, invalidParam("payload.app_ids is required for UID")
	}
	data, err := decodeData(in.Data, keys)
	if err != nil {
		return nil, err
	}
	if len(data) > n.opts.MaxRows {
		return nil, invalidParam(fmt.Sprintf("payload.data has more than %d rows", n.opts.MaxRows))
	}
	out := &rows{keys: keys, digest: digest(op, keys, in.Data), invalid: map[verdict]int{}, count: len(data)}
	for i, cells := range data {
		if len(cells) != len(keys) {
			return nil, invalidParam(fmt.Sprintf("payload.data row %d has %d values, the schema has %d", i, len(cells), len(keys)))
		}
		out.take(cells)
	}
	return out, nil
}

// decodeData reads payload.data. A single key may come as a plain list.
func decodeData(raw json.RawMessage, keys []string) ([][]any, *apiError) {
	var list []any
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if err := dec.Decode(&list); err != nil {
		return nil, invalidParam("payload.data must be a list of rows")
	}
	if len(list) == 0 {
		return nil, invalidParam("payload.data must not be empty")
	}
	data := make([][]any, len(list))
	for i, item := range list {
		cells, isRow := item.([]any)
		if !isRow {
			if len(keys) != 1 {
				return nil, invalidParam(fmt.Sprintf("payload.data row %d is not a list", i))
			}
			cells = []any{item}
		}
		data[i] = cells
	}
	return data, nil
}

// take checks one row and puts it where it belongs.
func (r *rows) take(cells []any) {
	texts := make([]string, len(cells))
	some, wrong := false, fine
	for i, cell := range cells {
		c, _ := columnOf(r.keys[i])
		text, v := checkCell(c, cell)
		if v != fine && wrong == fine {
			wrong = v
		}
		texts[i] = text
		some = some || text != ""
	}
	if wrong == fine && !some {
		wrong = nothingGiven
	}
	if wrong == fine {
		r.valid = append(r.valid, texts)
		return
	}
	r.invalid[wrong]++
	if first, ok := cells[0].(string); ok && len(r.samples) < 5 {
		r.samples = append(r.samples, first)
	}
}

// spoil makes the first n valid rows invalid.
func (r *rows) spoil(n int) {
	n = min(n, len(r.valid))
	if n == 0 {
		return
	}
	for _, row := range r.valid[:n] {
		r.samples = append(r.samples, row[0])
	}
	r.valid = r.valid[n:]
	r.invalid[spoiled] += n
}

func (r *rows) answer(audienceID string, session int64) map[string]any {
	invalid := r.count - len(r.valid)
	var samples any = map[string]any{}
	if invalid > 0 {
		// Not a map on purpose: the network promises none. It repeats values
		// of people, which must not reach anybody's log.
		samples = r.samples[:min(5, len(r.samples))]
	}
	out := map[string]any{
		"session_id": strconv.FormatInt(session, 10), "num_received": r.count,
		"num_invalid_entries": invalid, "invalid_entry_samples": samples,
	}
	if audienceID != "" {
		out["audience_id"] = audienceID
	}
	return out
}

// digest identifies what a body asks for, whatever its session.
func digest(op string, keys []string, data json.RawMessage) string {
	h := sha256.New()
	fmt.Fprintf(h, "%s %q ", op, keys)
	var compact bytes.Buffer
	if json.Compact(&compact, data) == nil {
		h.Write(compact.Bytes())
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}
