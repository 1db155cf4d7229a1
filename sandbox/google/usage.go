package google

import "time"

// usage counts the calls of one bucket: a service and whether it reads or writes
// (data-manager/api/devguides/limits).
type usage struct {
	minute, day           time.Time
	inMinute, inDay, over int
}

// meter counts a call and refuses it over the quota. The caller holds the lock.
func (n *Network) meter(c *call) *apiError {
	bucket, perDay := "OtherServices", n.opts.OthersPerDay
	switch c.op {
	case opIngest, opRemove, opRemoveAll, opEvents, opStatus:
		bucket, perDay = "IngestionService", n.opts.PerDay
	}
	if c.request.Method == "GET" {
		bucket += "Read"
	} else {
		bucket += "Mutate"
	}
	u := n.usage[bucket]
	if u == nil {
		u = &usage{}
		n.usage[bucket] = u
	}
	if minute := c.at.Truncate(time.Minute); !u.minute.Equal(minute) {
		u.minute, u.inMinute = minute, 0
	}
	if day := c.at.Truncate(24 * time.Hour); !u.day.Equal(day) {
		u.day, u.inDay = day, 0
	}
	switch {
	case u.inMinute >= n.opts.PerMinute:
		u.over++
		return exhausted(bucket+"RequestsPerMinutePerProject", u.minute.Add(time.Minute).Sub(c.at).Round(time.Second))
	case u.inDay >= perDay:
		u.over++
		return exhausted(bucket+"RequestsPerDayPerProject", 0)
	}
	u.inMinute++
	u.inDay++
	return nil
}
