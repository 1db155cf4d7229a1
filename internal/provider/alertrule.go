package provider

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"usher/internal/activation"
)

// The settings that every alert job has, whoever delivers it.
const (
	AlertSource   = "system_event_single_source"
	AlertTypes    = "system_event_multiple_types"
	AlertSubjects = "system_event_single_source_ids"
	AlertRejected = "rejected_share"
	AlertRepeat   = "repeat_after"
)

// ImportantTypes are told where a job names no types: what somebody may have to
// do something about. That it works again is always told to whom was told that
// it does not.
var ImportantTypes = []activation.EventType{
	activation.EventErred, activation.EventFailed, activation.EventStalled, activation.EventApproval, activation.EventUnhealthy,
	activation.EventExpiring, activation.EventRejected, activation.EventUnusual, activation.EventDrifted, activation.EventPurgeDue,
}

// defaultRejected is the share of rejected rows, in percent, that is told where
// a job sets none.
const defaultRejected = "5"

// AlertFields are the settings of an alert job: those of its way of delivery,
// and then those that all have.
func AlertFields(own ...Field) []Field {
	sources := make([]string, len(activation.Sources))
	for i, s := range activation.Sources {
		sources[i] = string(s)
	}
	important := make([]string, len(ImportantTypes))
	for i, t := range ImportantTypes {
		important[i] = string(t)
	}
	return append(slices.Clip(own),
		Field{
			Name: AlertSource, Label: "What it is about", Type: "select", Options: sources,
			Help: "Tell only of jobs (work), authorizations (auth), audiences (segment), mappings and fields (query) or the server itself. Empty = of all of them.",
		},
		Field{
			Name: AlertTypes, Label: "Which events", Type: "list", Example: "failed,recovered",
			Help: "The types of event to tell of, divided by commas. Empty = the important ones: " + strings.Join(important, ", ") + ". That something works again is always told to whom was told that it does not.",
		},
		Field{
			Name: AlertSubjects, Label: "Which ones", Type: "list",
			Help: "The ids of the jobs, authorizations or audiences to tell of, divided by commas. Empty = all.",
		},
		Field{
			Name: AlertRejected, Label: "Rejected rows, percent", Type: "string", Default: defaultRejected, Example: "0.5",
			Help: "From which share of rejected rows on a run is told of, in percent. 0 = never.",
		},
		Field{
			Name: AlertRepeat, Label: "Tell again after", Type: "string", Example: "24h",
			Help: "Tell again of what is still wrong after this time, such as 4h; at least 5m. Empty or 0 = once.",
		},
	)
}

// AlertRule is what an alert job tells of.
type AlertRule struct {
	// Source is "" for all.
	Source activation.Source
	Types  []activation.EventType
	// Subjects are ids; none = all.
	Subjects []string
	// RejectedPerMille is the share of rejected rows that is told; 0 = never.
	RejectedPerMille int64
	// RepeatAfter is when what is still wrong is told again; 0 = never.
	RepeatAfter time.Duration
}

// ParseAlertRule reads the settings of AlertFields. The error is Invalid and
// names the field.
func ParseAlertRule(config map[string]string) (AlertRule, error) {
	r := AlertRule{Source: activation.Source(strings.TrimSpace(config[AlertSource])), Subjects: List(config[AlertSubjects])}
	if r.Source != "" && !slices.Contains(activation.Sources, r.Source) {
		return r, wrongRule(AlertSource, "must be one of work, auth, segment, query and server, or empty for all")
	}
	for i, word := range List(config[AlertTypes]) {
		t := activation.EventType(word)
		if !slices.Contains(activation.EventTypes, t) {
			names := make([]string, len(activation.EventTypes))
			for i, t := range activation.EventTypes {
				names[i] = string(t)
			}
			return r, wrongRule(AlertTypes, "number "+strconv.Itoa(i+1)+" of the list is no type of event; there are "+strings.Join(names, ", "))
		}
		r.Types = append(r.Types, t)
	}
	if len(r.Types) == 0 {
		r.Types = ImportantTypes
	}
	share := strings.TrimSuffix(strings.TrimSpace(config[AlertRejected]), "%")
	if share == "" {
		share = defaultRejected
	}
	percent, err := strconv.ParseFloat(strings.TrimSpace(share), 64)
	if err != nil || !(percent >= 0 && percent <= 100) {
		return r, wrongRule(AlertRejected, "must be a number of percent from 0 (never) to 100")
	}
	if r.RejectedPerMille = int64(percent * 10); percent > 0 && r.RejectedPerMille == 0 {
		r.RejectedPerMille = 1
	}
	if text := strings.TrimSpace(config[AlertRepeat]); text != "" && text != "0" {
		if r.RepeatAfter, err = time.ParseDuration(text); err != nil || r.RepeatAfter != 0 && (r.RepeatAfter < 5*time.Minute || r.RepeatAfter > 30*24*time.Hour) {
			return r, wrongRule(AlertRepeat, "must be a duration between 5m and 720h, or 0 for never")
		}
	}
	return r, nil
}

func wrongRule(field, message string) error {
	return &activation.Error{Kind: activation.Invalid, Code: "JOB-BADREQ-002", Field: field, Message: field + ": " + message}
}

// List splits a setting of type list: words divided by commas, none of them
// empty.
func List(value string) []string {
	var out []string
	for word := range strings.SplitSeq(value, ",") {
		if word = strings.TrimSpace(word); word != "" {
			out = append(out, word)
		}
	}
	return out
}
