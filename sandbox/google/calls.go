package google

import (
	"slices"
	"time"
)

// maxCalls is how many of the latest calls the log keeps.
const maxCalls = 10_000

// Call is one request as the log keeps it: never a token, a query or a row.
type Call struct {
	Number int       `json:"number"`
	At     time.Time `json:"at"`
	Method string    `json:"method"`
	Path   string    `json:"path"`
	Op     string    `json:"op,omitempty"`
	// Status is what was answered; 0 means the connection ended without an answer.
	Status int    `json:"status"`
	Reason string `json:"reason,omitempty"`
	Rows   int    `json:"rows,omitempty"`
	Bytes  int    `json:"bytes"`
	// Request is the id of the request that was accepted, whatever was answered.
	Request string `json:"request,omitempty"`
	Fault   string `json:"fault,omitempty"`
}

type callLog struct {
	calls []Call
	count int
}

// finish writes the call into the log.
func (n *Network) finish(c *call, status int) {
	c.record.Status = status
	n.mu.Lock()
	n.log.count++
	c.record.Number = n.log.count
	if len(n.log.calls) >= maxCalls {
		n.log.calls = slices.Delete(n.log.calls, 0, maxCalls/10)
	}
	n.log.calls = append(n.log.calls, c.record)
	n.mu.Unlock()
	n.deps.Log.Debug("sandbox call", "network", "google", "method", c.record.Method, "path", c.record.Path,
		"op", c.record.Op, "status", status, "rows", c.record.Rows, "fault", c.record.Fault)
}
