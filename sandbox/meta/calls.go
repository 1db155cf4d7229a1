package meta

import (
	"maps"
	"slices"
	"time"
)

// maxCalls is how many of the latest calls the log keeps.
const maxCalls = 10_000

// Call is one request as the log keeps it: never a token, a query or a row.
type Call struct {
	Number   int       `json:"number"`
	At       time.Time `json:"at"`
	Method   string    `json:"method"`
	Path     string    `json:"path"`
	Op       string    `json:"op,omitempty"`
	Account  string    `json:"account,omitempty"`
	Audience string    `json:"audience,omitempty"`
	// Status is what was answered; 0 means the connection ended without an answer.
	Status  int `json:"status"`
	Code    int `json:"code,omitempty"`
	Subcode int `json:"subcode,omitempty"`
	Bytes   int `json:"bytes"`
	// Rows and Invalid are those of a users call; Applied is true when it took
	// effect, whatever was answered.
	Rows     int    `json:"rows,omitempty"`
	Invalid  int    `json:"invalid,omitempty"`
	Session  int64  `json:"session,omitempty"`
	BatchSeq int    `json:"batch_seq,omitempty"`
	Last     bool   `json:"last,omitempty"`
	Digest   string `json:"digest,omitempty"`
	Applied  bool   `json:"applied,omitempty"`
	// Parts is how many operations a batch had.
	Parts int    `json:"parts,omitempty"`
	Fault string `json:"fault,omitempty"`
}

// Counters sum up all calls since the start, also those the log has dropped.
type Counters struct {
	Calls    int            `json:"calls"`
	ByOp     map[string]int `json:"by_op"`
	ByStatus map[int]int    `json:"by_status"`
	Faults   map[string]int `json:"faults"`
}

type callLog struct {
	calls    []Call
	counters Counters
}

func (l *callLog) add(c Call) {
	l.counters.Calls++
	c.Number = l.counters.Calls
	if len(l.calls) >= maxCalls {
		l.calls = slices.Delete(l.calls, 0, maxCalls/10)
	}
	l.calls = append(l.calls, c)
	if l.counters.ByOp == nil {
		l.counters.ByOp, l.counters.ByStatus, l.counters.Faults = map[string]int{}, map[int]int{}, map[string]int{}
	}
	l.counters.ByOp[c.Op]++
	l.counters.ByStatus[c.Status]++
	if c.Fault != "" {
		l.counters.Faults[c.Fault]++
	}
}

func (c Counters) clone() Counters {
	c.ByOp, c.ByStatus, c.Faults = maps.Clone(c.ByOp), maps.Clone(c.ByStatus), maps.Clone(c.Faults)
	return c
}

// finish writes the call into the log.
func (n *Network) finish(c *call, status int) {
	c.record.Status = status
	n.mu.Lock()
	n.log.add(c.record)
	n.mu.Unlock()
	n.deps.Log.Debug("sandbox call", "network", "meta", "method", c.record.Method, "path", c.record.Path,
		"op", c.record.Op, "status", status, "rows", c.record.Rows, "fault", c.record.Fault)
}
