package manifest

import (
	"reflect"
	"strings"
	"time"

	"usher/internal/activation"
	"usher/internal/catalog"
)

// compare notes what differs between what is there and what is wanted, and
// reports whether nothing does.
func (s *Step) compare(have, want any) bool {
	h, w := reflect.ValueOf(have), reflect.ValueOf(want)
	for i := range h.NumField() {
		if name, _, _ := strings.Cut(h.Type().Field(i).Tag.Get("json"), ","); !sameValue(h.Field(i).Interface(), w.Field(i).Interface()) {
			if own, ok := fieldNames[name]; ok {
				name = own
			}
			s.Changes = append(s.Changes, name)
		}
	}
	return s.settle()
}

// compareSpecs is compare for the declarations of jobs.
func (s *Step) compareSpecs(have, want catalog.JobSpec) bool {
	for _, one := range []struct {
		name       string
		have, want any
	}{
		{"description", have.Description, want.Description},
		{"destination", have.Destination, want.Destination},
		{"audiences", have.Audiences, want.Audiences},
		{"exclude", have.Exclude, want.Exclude},
		{"level", have.Level, want.Level},
		{"stream", have.Stream, want.Stream},
		{"authorizations", have.Authorizations, want.Authorizations},
		{"config", have.Config, want.Config},
		{"schedule", have.Schedule, want.Schedule},
		{"reach", have.Reach, want.Reach},
		{"fail_after", orDefault(have.FailAfter, activation.DefaultFailAfter), orDefault(want.FailAfter, activation.DefaultFailAfter)},
		{"stall_after", orDefault(have.StallAfter, activation.DefaultStallAfter), orDefault(want.StallAfter, activation.DefaultStallAfter)},
		{"on_end", orDefault(have.OnEnd, activation.EndKeep), orDefault(want.OnEnd, activation.EndKeep)},
		{"tag", have.Tag, want.Tag},
		{"hidden", have.Hidden, want.Hidden},
		{"verbose_logging", have.VerboseLogging, want.VerboseLogging},
	} {
		if !sameValue(one.have, one.want) {
			s.Changes = append(s.Changes, one.name)
		}
	}
	return s.settle()
}

func (s *Step) settle() bool {
	s.Action = Unchanged
	if len(s.Changes) > 0 {
		s.Action = Update
	}
	return len(s.Changes) == 0
}

func orDefault[T comparable](v, fallback T) T {
	var zero T
	if v == zero {
		return fallback
	}
	return v
}

// sameValue is equality where nothing and an empty list or map are the same.
func sameValue(a, b any) bool {
	va, vb := reflect.ValueOf(a), reflect.ValueOf(b)
	if k := va.Kind(); (k == reflect.Map || k == reflect.Slice) && va.Len() == 0 && vb.Len() == 0 {
		return true
	}
	if ta, ok := a.(activation.Schedule); ok {
		tb := b.(activation.Schedule)
		ea, eb := ta.ExpiresAt, tb.ExpiresAt
		ta.ExpiresAt, tb.ExpiresAt = time.Time{}, time.Time{}
		return ta == tb && ea.Equal(eb)
	}
	return reflect.DeepEqual(a, b)
}
