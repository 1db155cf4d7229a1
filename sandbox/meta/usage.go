package meta

import (
	"encoding/json"
	"net/http"
	"time"
)

// usage counts the calls of one account in the present hour.
type usage struct {
	since time.Time
	calls int
}

// note counts a call and tells the percentage used and the time until the
// account is free again.
func (u *usage) note(now time.Time, hourly int) (percent int, free time.Duration) {
	if u.since.IsZero() || now.Sub(u.since) >= time.Hour {
		*u = usage{since: now}
	}
	u.calls++
	return u.calls * 100 / hourly, u.since.Add(time.Hour).Sub(now)
}

// tell writes the usage headers (developers.facebook.com,
// graph-api/overview/rate-limiting, read 2026-11-21).
func tell(h http.Header, useCase, accountID string, percent int, regain time.Duration) {
	put := func(name string, v any) {
		text, _ := json.Marshal(v) // numbers and text always marshal
		h.Set(name, string(text))
	}
	share := min(percent, 100)
	put("X-App-Usage", map[string]int{"call_count": share, "total_time": share / 2, "total_cputime": share / 3})
	if accountID == "" {
		return
	}
	put("X-Ad-Account-Usage", map[string]any{
		"acc_id_util_pct": share, "reset_time_duration": int(regain.Seconds()), "ads_api_access_tier": "standard_access",
	})
	put("X-Business-Use-Case-Usage", map[string]any{accountID: []map[string]any{{
		"type": useCase, "call_count": percent, "total_cputime": share / 3, "total_time": share / 2,
		"estimated_time_to_regain_access": int((regain + time.Minute - 1) / time.Minute),
	}}})
}
