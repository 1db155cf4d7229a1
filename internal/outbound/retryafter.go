package outbound

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxRetryAfter bounds what a header may ask for, so that a mistaken one does
// not stop an authorization for a year.
const maxRetryAfter = 24 * time.Hour

// RetryAfter reads the Retry-After header, in seconds or as a date (RFC 9110,
// section 10.2.3). ok is false when there is none that can be read.
func RetryAfter(h http.Header, now time.Time) (until time.Time, ok bool) {
	v := strings.TrimSpace(h.Get("Retry-After"))
	if v == "" {
		return time.Time{}, false
	}
	var wait time.Duration
	if s, err := strconv.ParseInt(v, 10, 64); err == nil {
		wait = time.Duration(min(max(s, 0), int64(maxRetryAfter/time.Second))) * time.Second
	} else if t, err := http.ParseTime(v); err == nil {
		wait = min(max(t.Sub(now), 0), maxRetryAfter)
	} else {
		return time.Time{}, false
	}
	return now.Add(wait), true
}
