package delivery_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"time"

	"usher/internal/activation"
	"usher/internal/matchkey"
	"usher/internal/provider"
)

// network is the far side: audiences as sets of key values, matched by any key.
// It goes wrong at random while chaos is above zero.
type network struct {
	mu    sync.Mutex
	now   func() time.Time
	rand  *rand.Rand
	chaos float64
	// accepts: it never rejects a row, so that nobody is refused for good.
	accepts bool
	// only limits what goes wrong to one fault; "" = any.
	only string

	audiences map[string]map[string]bool // by remote id
	markers   map[string]string          // marker -> remote id
	made      int
	badToken  bool
	spare     int // calls that go through before the token is bad
	async     bool
	late      time.Duration // after which it may be asked; 0 = 30 s
	takes     bool          // it takes every batch: what goes wrong is said late
	owed      map[string]*owed
	asked     map[string]int
	// calls remembers each delivery of an item, to find what was sent twice.
	calls []call
	// came is when a value was first sent to be added.
	came map[string]time.Time
	// ear hears events instead of keeping audiences; nil = it keeps audiences.
	ear *ear
	// session is the last full replace of each audience; odd what must never be in one.
	session map[string]*replacing
	odd     string
	// each says what goes wrong with each batch; nil = what happens to go wrong.
	each func(provider.Batch) string
	// asking is called when it is asked who or how many are there, size is what it
	// says then instead of the truth, sick what goes wrong.
	asking func()
	size   provider.Size
	sick   error
	// gate is asked before each call; a dead process makes no calls.
	gate func() error
}

type call struct {
	item    activation.ItemID
	attempt int
	op      activation.Op
	applied bool // took effect
	sure    bool // the caller was told so
	values  []string
}

// owed is a batch the network has taken and will apply when it is asked.
type owed struct {
	remote string
	batch  provider.Batch
	answer *activation.Receipt // once it is applied; the same from then on
}

func newNetwork(now func() time.Time, seed uint64) *network {
	return &network{
		now: now, rand: rand.New(rand.NewPCG(seed, seed)), audiences: map[string]map[string]bool{}, markers: map[string]string{},
		owed: map[string]*owed{}, asked: map[string]int{}, came: map[string]time.Time{}, session: map[string]*replacing{}, gate: func() error { return nil },
	}
}

// faultNames are the ways a delivery can go wrong.
var faultNames = []string{"reject", "unknown row", "unsent row", "refuse whole", "timeout before", "timeout after", "5xx after", "throttle", "throttle long", "401", "gone", "untyped", "bad receipt", "unplaced", "html"}

// fault draws what goes wrong with a call. n.mu is held.
func (n *network) fault() string {
	if n.rand.Float64() >= n.chaos {
		return ""
	}
	if n.only != "" {
		return n.only
	}
	f := faultNames[n.rand.IntN(len(faultNames))]
	if n.accepts && f == "reject" {
		return ""
	}
	return f
}

func (n *network) Check(context.Context) error { return nil }

func (n *network) EnsureAudience(_ context.Context, a provider.Audience) (provider.RemoteID, error) {
	if err := n.gate(); err != nil {
		return "", err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.refuses() {
		return "", unauthorized()
	}
	id := n.markers[a.Marker]
	if a.Remote != "" && id != string(a.Remote) {
		return "", &activation.Error{Kind: activation.Gone, Code: "NET-GONE", Message: "no such audience"}
	}
	if id == "" {
		n.made++
		id = fmt.Sprintf("remote-%d", n.made)
		n.markers[a.Marker], n.audiences[id] = id, map[string]bool{}
	}
	if f := n.fault(); n.only == "" && (f == "timeout after" || f == "5xx after" || f == "untyped") {
		return "", unavailable(true)
	}
	return provider.RemoteID(id), nil
}

// refuses reports whether a call is refused for its token. n.mu is held.
func (n *network) refuses() bool {
	if n.badToken && n.spare > 0 {
		n.spare--
		return false
	}
	return n.badToken
}

func (n *network) Deliver(ctx context.Context, b provider.Batch) (activation.Receipt, error) {
	if err := n.gate(); err != nil {
		return activation.Receipt{}, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return activation.Receipt{}, fmt.Errorf("call: %w", err)
	}
	if n.refuses() {
		return activation.Receipt{}, unauthorized()
	}
	if n.audiences[string(b.Remote)] == nil {
		return activation.Receipt{}, &activation.Error{Kind: activation.Gone, Code: "NET-GONE", Message: "no such audience"}
	}
	if b.Replace != nil {
		n.follow(b)
	}
	rc, applied, err := n.answer(b)
	c := call{item: b.Item, attempt: b.Attempt, op: b.Op, applied: applied, sure: err == nil}
	for _, v := range b.Values {
		c.values = append(c.values, string(v))
	}
	n.calls = append(n.calls, c)
	if n.gate() != nil { // the process died while the call was under way
		return activation.Receipt{}, errors.New("connection reset")
	}
	return rc, err
}

// answer applies a batch, or not, and says what the caller is told.
func (n *network) answer(b provider.Batch) (_ activation.Receipt, applied bool, _ error) {
	rows := int64(b.Rows())
	f := n.fault()
	if n.each != nil {
		f = n.each(b)
	}
	if n.async && (n.takes || f == "" || f == "reject" || f == "unplaced") {
		token := fmt.Sprintf("%s/%d", b.Item, b.Attempt)
		n.owed[token] = &owed{remote: string(b.Remote), batch: b}
		n.note(b, -1)
		return activation.Receipt{PollToken: token, PollAfter: n.now().Add(cmp.Or(n.late, 30*time.Second))}, true, nil
	}
	whole := activation.Receipt{Accepted: rows, RequestID: "req"}
	none := activation.Receipt{}
	switch f {
	case "reject", "unknown row", "unsent row":
		return n.oneRow(b, f)
	case "refuse whole":
		if rows > 2 {
			return none, false, &activation.Error{Kind: activation.RefusedWhole, Code: "NET-WHOLE", Message: "something in the batch is wrong"}
		}
	case "timeout before":
		return none, false, unavailable(true)
	case "timeout after", "5xx after":
		n.apply(string(b.Remote), b, -1)
		return none, true, unavailable(true)
	case "untyped":
		n.apply(string(b.Remote), b, -1)
		return none, true, errors.New("something odd")
	case "bad receipt":
		n.apply(string(b.Remote), b, -1)
		return activation.Receipt{Accepted: rows + 1}, true, nil
	case "html":
		return none, false, unavailable(false)
	case "throttle":
		return none, false, &activation.Error{Kind: activation.WaitUntil, Code: "NET-429", Message: "slow down", Until: n.now().Add(500 * time.Millisecond)}
	case "throttle long":
		return none, false, &activation.Error{Kind: activation.WaitUntil, Code: "NET-429", Message: "slow down", Until: n.now().Add(5 * time.Minute)}
	case "401":
		return none, false, unauthorized()
	case "gone":
		n.drop(string(b.Remote))
		return none, false, &activation.Error{Kind: activation.Gone, Code: "NET-GONE", Message: "no such audience"}
	case "unplaced":
		whole.Unplaced = 1
	}
	n.apply(string(b.Remote), b, -1)
	return whole, true, nil
}

// oneRow applies all rows but one and tells which.
func (n *network) oneRow(b provider.Batch, f string) (activation.Receipt, bool, error) {
	rows := int64(b.Rows())
	i := n.rand.Int64N(rows)
	rc := activation.Receipt{Accepted: rows - 1, Exceptions: []activation.Exception{{Ordinal: i, Code: "NET-ROW"}}}
	switch f {
	case "reject":
		rc.Rejected, rc.Exceptions[0].Outcome = 1, activation.Rejected
	case "unknown row":
		rc.Unknown, rc.Exceptions[0].Outcome = 1, activation.Unknown
		if n.rand.IntN(2) == 0 {
			i = -1
		}
	case "unsent row":
		rc.Unsent, rc.Exceptions[0].Outcome = 1, activation.Unsent
	}
	n.apply(string(b.Remote), b, i)
	return rc, true, nil
}

// note notes when values came.
func (n *network) note(b provider.Batch, but int64) {
	for i := range b.Rows() {
		for _, v := range b.Row(i) {
			if _, there := n.came[string(v)]; v != nil && b.Op == activation.OpAdd && int64(i) != but && !there {
				n.came[string(v)] = n.now()
			}
		}
	}
}

// DeleteAudience makes an audience go, or loses the answer.
func (n *network) DeleteAudience(_ context.Context, id provider.RemoteID) error {
	if err := n.gate(); err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	switch f := n.fault(); {
	case n.badToken:
		return unauthorized()
	case n.audiences[string(id)] == nil:
		return &activation.Error{Kind: activation.Gone, Code: "NET-GONE", Message: "no such audience"}
	case f == "html" || f == "timeout before":
		return unavailable(f != "html")
	case f == "throttle long":
		return &activation.Error{Kind: activation.WaitUntil, Code: "NET-429", Message: "slow down", Until: n.now().Add(5 * time.Minute)}
	case f == "timeout after" || f == "5xx after" || f == "untyped":
		n.drop(string(id))
		return unavailable(true)
	}
	n.drop(string(id))
	return nil
}

// drop takes an audience away.
func (n *network) drop(id string) {
	for marker, known := range n.markers {
		if known == id {
			delete(n.markers, marker)
		}
	}
	delete(n.audiences, id)
}

// apply makes the batch so, but for one row (-1: none).
func (n *network) apply(remote string, b provider.Batch, but int64) {
	if n.ear != nil {
		for i := range b.Rows() {
			if int64(i) != but {
				n.ear.hear(b.Row(i))
			}
		}
		return
	}
	n.note(b, but)
	if b.Replace != nil {
		n.replace(remote, b, but)
		return
	}
	audience := n.audiences[remote]
	for i := range b.Rows() {
		if int64(i) == but || audience == nil {
			continue
		}
		for _, v := range b.Row(i) {
			switch {
			case v == nil:
			case b.Op == activation.OpRemove:
				delete(audience, string(v))
			default:
				audience[string(v)] = true
			}
		}
	}
}

// Poll answers for a batch the network has taken: first not yet, then half an
// answer, then all of it.
func (n *network) Poll(_ context.Context, token string, rows int64) (activation.Receipt, error) {
	if err := n.gate(); err != nil {
		return activation.Receipt{}, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	o, ok := n.owed[token]
	if !ok {
		return activation.Receipt{}, &activation.Error{Kind: activation.Invalid, Code: "NET-TOKEN", Message: "unknown token"}
	}
	if n.audiences[o.remote] == nil {
		return activation.Receipt{}, &activation.Error{Kind: activation.Gone, Code: "NET-GONE", Message: "no such audience"}
	}
	if f := n.fault(); f == "timeout before" || f == "html" || f == "throttle" {
		return activation.Receipt{}, unavailable(true)
	}
	n.asked[token]++
	if n.asked[token] == 1 {
		return activation.Receipt{Accepted: rows / 2, PollToken: token, PollAfter: n.now().Add(cmp.Or(n.late, time.Minute))}, nil
	}
	if o.answer == nil && n.ear != nil {
		return n.pollEvents(o, rows)
	}
	if o.answer == nil {
		return n.pollMembers(o, rows)
	}
	return *o.answer, nil
}

// pollMembers applies a batch, or not, and says so: as a network that looks at a
// batch only later does.
func (n *network) pollMembers(o *owed, rows int64) (activation.Receipt, error) {
	rc := activation.Receipt{Accepted: rows, RequestID: "req"}
	switch f := n.fault(); {
	case rows == 0:
	case f == "reject" || f == "unsent row" || f == "unknown row":
		rc, _, _ = n.oneRow(o.batch, f)
		o.answer = &rc
		return rc, nil
	case f == "unsent whole":
		rc = activation.Receipt{Unsent: rows, RequestID: "req"}
		for i := range rows {
			rc.Exceptions = append(rc.Exceptions, activation.Exception{Ordinal: i, Outcome: activation.Unsent, Code: "NET-LATER"})
		}
		o.answer = &rc
		return rc, nil
	case f == "refuse whole" && rows > 2:
		return activation.Receipt{}, &activation.Error{Kind: activation.RefusedWhole, Code: "NET-WHOLE", Message: "something in the batch is wrong"}
	case f == "unplaced":
		rc.Unplaced = 1
	}
	n.apply(o.remote, o.batch, -1)
	o.answer = &rc
	return rc, nil
}

// pollEvents answers for events: what went wrong with them is known only now.
func (n *network) pollEvents(o *owed, rows int64) (activation.Receipt, error) {
	whole := activation.Receipt{Accepted: rows, RequestID: "req"}
	switch f := n.fault(); {
	case f == "unsent row" || f == "unknown row":
		rc, _, err := n.oneRow(o.batch, f)
		o.answer = &rc
		return rc, err
	case f == "refuse whole" && rows > 2:
		return activation.Receipt{}, &activation.Error{Kind: activation.RefusedWhole, Code: "NET-WHOLE", Message: "something in the batch is wrong"}
	case f == "unplaced":
		whole.Unplaced = 1
	}
	n.apply(o.remote, o.batch, -1)
	o.answer = &whole
	return whole, nil
}

// holds is what the audience holds now.
func (n *network) holds(remote string) map[string]bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return maps.Clone(n.audiences[remote])
}

func (n *network) heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.chaos, n.badToken = 0, false
}

func unauthorized() error {
	return &activation.Error{Kind: activation.Unauthorized, Code: "NET-401", Message: "the token is no longer valid"}
}

func unavailable(applied bool) error {
	return &activation.Error{Kind: activation.Unavailable, Code: "NET-503", Message: "the network did not answer", MayHaveApplied: applied}
}

// definition is what the program knows of the network.
func (n *network) definition(replay provider.Replay) provider.Definition {
	plain := func(v string, _ matchkey.Row) string { return v }
	return provider.Definition{
		Name: "fake", RuleSet: matchkey.RuleSet{Name: "fake/1", Keys: []matchkey.Key{
			{Name: "EMAIL", Identifies: true, Normalize: plain}, {Name: "PHONE", Identifies: true, Normalize: plain},
		}},
		MaxRows: 4, Replay: replay, ReplayWindow: time.Hour, Concurrency: 2, Async: n.async, Deletes: true, Replaces: !n.async,
	}
}
