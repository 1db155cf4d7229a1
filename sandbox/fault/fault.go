// Package fault makes the sandbox misbehave on demand, the way real networks
// do: errors, HTML instead of JSON, answers that never come although the
// request took effect, throttles, dead tokens, vanished audiences.
//
// It owns the scripts, decides which call meets which fault, and carries out what
// is the same at every network that speaks HTTP and JSON; the errors are the
// network's own, because each has its own envelope. It is
// built for the failure of a fault test that passes because the fault never
// came: every script counts the calls it met, and a seed makes chance repeat.
package fault

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"
)

// Kind says what goes wrong.
type Kind string

const (
	// Status answers with HTTP Status (503 when zero) and the network's
	// envelope for an unknown, transient error.
	Status Kind = "status"
	// HTML answers with an HTML page and HTTP Status (502 when zero).
	HTML Kind = "html"
	// Timeout never answers: it holds the connection until the caller gives
	// up, or for Delay if that is set, and then cuts it.
	Timeout Kind = "timeout"
	// Cut breaks the connection: before any byte of the answer, or in the
	// middle of it when Applied is set.
	Cut Kind = "cut"
	// Throttle answers with the network's rate-limit error; Status overrides
	// the HTTP status, Minutes is the time to regain access.
	Throttle Kind = "throttle"
	// Token answers that the access token is not valid; Subcode says why.
	Token Kind = "token"
	// Invalid calls Rows of the request's rows invalid: they have no effect
	// and are counted, without an index, in an otherwise good answer. A network
	// that tells positions begins with Row and names them.
	Invalid Kind = "invalid"
	// Gone answers as if the object did not exist.
	Gone Kind = "gone"
	// Flagged answers as if the audience were held back for its integrity.
	Flagged Kind = "flagged"
	// Error answers with Status, Code, Subcode, Transient and Message as given.
	Error Kind = "error"
	// Slow waits for Delay and then goes on as usual.
	Slow Kind = "slow"
)

// Duration is a time.Duration written as text in JSON, such as "1.5s".
type Duration time.Duration

// MarshalText writes the duration as text.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads a duration such as "250ms".
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	*d = Duration(v)
	return err
}

// Fault is one script: which calls it meets and what happens to them.
type Fault struct {
	// Network limits it to one network, such as "meta"; "" meets all.
	Network string `json:"network,omitempty"`
	// Method limits it to one HTTP method; "" meets all.
	Method string `json:"method,omitempty"`
	// Path is a pattern for the path below the network's prefix, in which *
	// stands for any characters; "" meets all.
	Path string `json:"path,omitempty"`
	// Op limits it to one operation as the network names it, such as "add";
	// "" meets all.
	Op string `json:"op,omitempty"`
	// Skip lets that many matching calls pass first.
	Skip int `json:"skip,omitempty"`
	// Times is how many matching calls it meets; 0 means once, or without end
	// when Probability is set; -1 means until reset.
	Times int `json:"times,omitempty"`
	// Probability from 0 to 1 leaves each matching call to chance; 0 means
	// every one.
	Probability float64 `json:"probability,omitempty"`

	Kind Kind `json:"kind"`
	// Applied lets the request take effect before the fault: the caller cannot
	// know that it did.
	Applied   bool     `json:"applied,omitempty"`
	Status    int      `json:"status,omitempty"`
	Code      int      `json:"code,omitempty"`
	Subcode   int      `json:"subcode,omitempty"`
	Transient bool     `json:"transient,omitempty"`
	Message   string   `json:"message,omitempty"`
	Rows      int      `json:"rows,omitempty"`
	Row       int      `json:"row,omitempty"`
	Minutes   int      `json:"minutes,omitempty"`
	Delay     Duration `json:"delay,omitempty"`
}

// Script is a fault together with what it did so far.
type Script struct {
	ID    int   `json:"id"`
	Fault Fault `json:"fault"`
	// Matched counts the calls that fitted, Met those the fault came to.
	Matched int `json:"matched"`
	Met     int `json:"met"`
}

// Plan is the set of scripts of a sandbox. Its methods may be called in parallel.
type Plan struct {
	mu      sync.Mutex
	rand    *rand.Rand
	scripts []*Script
	next    int
}

// NewPlan makes an empty plan whose chance is decided by seed.
func NewPlan(seed uint64) *Plan {
	return &Plan{rand: rand.New(rand.NewPCG(seed, 0x5a4db0c5))}
}

// Add puts a script behind those already there and returns its id.
func (p *Plan) Add(f Fault) (int, error) {
	if err := f.validate(); err != nil {
		return 0, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.next++
	p.scripts = append(p.scripts, &Script{ID: p.next, Fault: f})
	return p.next, nil
}

// Reset removes all scripts.
func (p *Plan) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.scripts = nil
}

// Scripts returns a copy of all scripts, used up or not, oldest first.
func (p *Plan) Scripts() []Script {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]Script, len(p.scripts))
	for i, s := range p.scripts {
		out[i] = *s
	}
	return out
}

// Call is what a script is compared with.
type Call struct{ Network, Method, Path, Op string }

// Take returns the fault that this call meets, if any: the first script that
// fits and is not used up.
func (p *Plan) Take(c Call) (Fault, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.scripts {
		if !s.Fault.fits(c) || s.used() {
			continue
		}
		s.Matched++
		if s.Matched <= s.Fault.Skip {
			continue
		}
		if pr := s.Fault.Probability; pr > 0 && p.rand.Float64() >= pr {
			continue
		}
		s.Met++
		return s.Fault, true
	}
	return Fault{}, false
}

func (s *Script) used() bool {
	switch t := s.Fault.Times; {
	case t < 0, t == 0 && s.Fault.Probability > 0:
		return false
	default:
		return s.Met >= max(1, t)
	}
}

func (f Fault) fits(c Call) bool {
	return (f.Network == "" || f.Network == c.Network) &&
		(f.Method == "" || f.Method == c.Method) &&
		(f.Op == "" || f.Op == c.Op) &&
		(f.Path == "" || glob(f.Path, c.Path))
}

func (f Fault) validate() error {
	switch f.Kind {
	case Status, HTML, Timeout, Cut, Throttle, Token, Gone, Flagged:
	case Error:
		if f.Code == 0 {
			return fmt.Errorf("fault of kind %q needs a code", f.Kind)
		}
	case Invalid:
		if f.Rows < 1 {
			return fmt.Errorf("fault of kind %q needs rows of at least 1", f.Kind)
		}
	case Slow:
		if f.Delay <= 0 {
			return fmt.Errorf("fault of kind %q needs a delay", f.Kind)
		}
	default:
		return fmt.Errorf("unknown fault kind %q: use one of status, html, timeout, cut, throttle, token, invalid, gone, flagged, error, slow", f.Kind)
	}
	switch {
	case f.Status != 0 && (f.Status < 200 || f.Status > 599):
		return fmt.Errorf("fault status %d is not between 200 and 599", f.Status)
	case f.Probability < 0 || f.Probability > 1:
		return fmt.Errorf("fault probability %v is not between 0 and 1", f.Probability)
	case f.Times < -1 || f.Skip < 0 || f.Minutes < 0 || f.Delay < 0 || f.Row < 0:
		return fmt.Errorf("fault times, skip, minutes, row and delay may not be negative (times -1 means until reset)")
	}
	return nil
}

// glob reports whether text fits pattern, in which * stands for any characters.
func glob(pattern, text string) bool {
	parts := strings.Split(pattern, "*")
	first, last := parts[0], parts[len(parts)-1]
	if len(parts) == 1 {
		return pattern == text
	}
	if !strings.HasPrefix(text, first) {
		return false
	}
	text = text[len(first):]
	for _, part := range parts[1 : len(parts)-1] {
		_, rest, found := strings.Cut(text, part)
		if !found {
			return false
		}
		text = rest
	}
	return strings.HasSuffix(text, last)
}

// Parse reads one fault or a list of faults from JSON and refuses unknown fields.
func Parse(data []byte) ([]Fault, error) {
	var list []Fault
	text := strings.TrimSpace(string(data))
	if !strings.HasPrefix(text, "[") {
		text = "[" + text + "]"
	}
	dec := json.NewDecoder(strings.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&list); err != nil {
		return nil, fmt.Errorf("read faults: %w", err)
	}
	for _, f := range list {
		if err := f.validate(); err != nil {
			return nil, err
		}
	}
	return list, nil
}
