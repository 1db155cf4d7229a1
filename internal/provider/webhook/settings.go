package webhook

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"usher/internal/provider"
)

// job is the settings of one job, read.
type job struct {
	method   string
	template string
	segments bool
	columns  []string // nil = all
	perCall  int
	workers  int
	refused  []int // nil = those that are for good by themselves
	timeout  time.Duration
}

// readJob reads the settings of a job.
func readJob(w provider.Workflow, config map[string]string) (job, error) {
	value := func(name string) string { return provider.Setting(w.Fields, config, name) }
	j := job{method: value(methodField), template: value(templateID), columns: provider.List(value(columnsField)), perCall: 1}
	if !slices.Contains([]string{http.MethodPost, http.MethodPut, http.MethodPatch}, j.method) {
		return j, settings(methodField, "must be POST, PUT or PATCH")
	}
	var err error
	if j.segments, err = yes(value(segsField)); err != nil {
		return j, settings(segsField, "must be true or false")
	}
	several, err := yes(value(batchField))
	if err != nil {
		return j, settings(batchField, "must be true or false")
	}
	size, err := number(sizeField, value(sizeField), maxBatch)
	if err != nil {
		return j, err
	}
	if several {
		j.perCall = size
	}
	if j.workers, err = number(workersField, value(workersField), maxWorkers); err != nil {
		return j, err
	}
	if d, err := time.ParseDuration(value(flushField)); err != nil || d < 0 || d > maxFlush {
		return j, settings(flushField, "must be a duration of at most "+maxFlush.String())
	}
	if j.timeout, err = time.ParseDuration(value(timeoutField)); err != nil || j.timeout <= 0 || j.timeout > maxTimeout {
		return j, settings(timeoutField, "must be a duration of at most "+maxTimeout.String())
	}
	for _, text := range provider.List(value(noRetryField)) {
		status, err := strconv.Atoi(text)
		if err != nil || status < 300 || status > 599 {
			return j, settings(noRetryField, "must be HTTP statuses from 300 to 599, divided by commas")
		}
		j.refused = append(j.refused, status)
	}
	return j, nil
}

func yes(text string) (bool, error) {
	if text == "" {
		return false, nil
	}
	return strconv.ParseBool(text)
}

func number(field, text string, most int) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > most {
		return 0, settings(field, fmt.Sprintf("must be a whole number from 1 to %d", most))
	}
	return n, nil
}

// temporary are the statuses from 400 to 499 that say nothing about the event:
// credentials, limits, an endpoint that is gone, a request that came at the wrong
// time.
var temporary = []int{
	http.StatusUnauthorized, http.StatusForbidden, http.StatusProxyAuthRequired, http.StatusRequestTimeout, http.StatusConflict,
	http.StatusGone, http.StatusTooEarly, http.StatusTooManyRequests,
}

// refuses reports whether a status refuses the event for good.
func (j job) refuses(status int) bool {
	if j.refused != nil {
		return slices.Contains(j.refused, status)
	}
	return status/100 == 4 && !slices.Contains(temporary, status)
}
