package api

import (
	"time"

	"usher/internal/filterql"
)

// moment reads a time that a query asks for: RFC 3339, or counted from now as
// in audience rules (now-24h, now-30d). Empty is the zero time.
func (a *API) moment(name, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	t, ok := filterql.ParseTime(text, a.Now())
	if !ok {
		return time.Time{}, invalid(name, name+": must be a time such as 2026-11-22T09:00:00Z, or counted from now, such as now-24h or now-30d")
	}
	return t, nil
}

// between reads a period that a query asks for; until may be left out.
func (a *API) between(since, until string) (from, to time.Time, err error) {
	if from, err = a.moment("since", since); err != nil {
		return from, to, err
	}
	if to, err = a.moment("until", until); err != nil {
		return from, to, err
	}
	if !from.IsZero() && !to.IsZero() && !from.Before(to) {
		return from, to, invalid("until", "until: must be later than since")
	}
	return from, to, nil
}
