package alerting_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/alerting"
	"usher/internal/provider"
)

// TestJudge walks one alert through events.
func TestJudge(t *testing.T) {
	const self = "0000000000000000000000000000000a"
	type step struct {
		event    activation.Event
		tell     bool
		recovery bool
		state    activation.AlertState
	}
	work := func(kind activation.EventType) activation.Event {
		return activation.Event{Source: activation.SourceWork, Type: kind, SubjectID: "j", SubjectName: "J", At: time.Unix(1, 0)}
	}
	share := func(perMille int64) activation.Event {
		e := work(activation.EventRejected)
		e.PerMille = perMille
		return e
	}
	const firing, fine, none = activation.AlertFiring, activation.AlertResolved, activation.AlertState("")
	for _, c := range []struct {
		name   string
		config map[string]string
		steps  []step
	}{
		{"the important ones", nil, []step{
			{work("created"), false, false, none},
			{work("recovered"), false, false, none},
			{work("error"), true, false, firing},
			{work("error"), false, false, firing},
			{work("failed"), true, false, firing},
			{work("updated"), false, false, firing},
			{work("recovered"), true, true, fine},
			{work("recovered"), false, false, fine},
			{work("purge_due"), true, false, fine},
		}},
		{"only failed", map[string]string{"system_event_multiple_types": "failed"}, []step{
			{work("error"), false, false, none},
			{work("recovered"), false, false, none},
			{work("failed"), true, false, firing},
			{work("error"), false, false, firing},
			{work("recovered"), true, true, fine},
		}},
		{"recovered by name", map[string]string{"system_event_multiple_types": "recovered,created"}, []step{
			{work("created"), true, false, none},
			{work("error"), false, false, none},
			{work("recovered"), true, true, none},
		}},
		{"another source", map[string]string{"system_event_single_source": "auth"}, []step{{work("failed"), false, false, none}}},
		{"another subject", map[string]string{"system_event_single_source_ids": "x, y"}, []step{{work("failed"), false, false, none}}},
		{"this subject", map[string]string{"system_event_single_source_ids": "x, j"}, []step{{work("failed"), true, false, firing}}},
		{"rejected rows", nil, []step{
			{share(49), false, false, none},
			{share(50), true, false, firing},
			{share(80), false, false, firing},
			{work("recovered"), false, false, firing},
			{share(20), true, true, fine},
			{share(90), true, false, firing},
		}},
		{"rejected rows, never", map[string]string{"rejected_share": "0"}, []step{{share(1000), false, false, none}}},
		{"rejected rows, from half a percent", map[string]string{"rejected_share": "0.5 %"}, []step{{share(4), false, false, none}, {share(5), true, false, firing}}},
		{"ended while it fired", nil, []step{{work("failed"), true, false, firing}, {work("killed"), false, false, fine}}},
		{"ended, and told so", map[string]string{"system_event_multiple_types": "failed,killed"}, []step{{work("failed"), true, false, firing}, {work("killed"), true, false, fine}}},
	} {
		rule, err := provider.ParseAlertRule(c.config)
		if err != nil {
			t.Fatal(err)
		}
		var have activation.Alert
		for i, s := range c.steps {
			now, tell, recovery := alerting.Judge(self, rule)(have, s.event)
			if tell != s.tell || recovery != s.recovery || now.State != s.state {
				t.Errorf("%s, step %d (%s): tell %t, recovery %t, %q; want %t, %t, %q", c.name, i, s.event.Type, tell, recovery, now.State, s.tell, s.recovery, s.state)
			}
			have = now
		}
	}
	rule, err := provider.ParseAlertRule(nil)
	if err != nil {
		t.Fatal(err)
	}
	own := work("failed")
	own.SubjectID = self
	if _, tell, _ := alerting.Judge(self, rule)(activation.Alert{}, own); tell {
		t.Error("it tells of itself")
	}
}

func TestRules(t *testing.T) {
	for field, values := range map[string][]string{
		"system_event_single_source": {"jobs"}, "system_event_multiple_types": {"failed,broken"},
		"rejected_share": {"x", "-1", "101", "NaN"}, "repeat_after": {"x", "1m", "-5m", "9000h"},
	} {
		for _, v := range values {
			_, err := provider.ParseAlertRule(map[string]string{field: v})
			if activation.KindOf(err) != activation.Invalid || err == nil || !containsField(err, field) {
				t.Errorf("%s %q: %v", field, v, err)
			}
		}
	}
	r, err := provider.ParseAlertRule(map[string]string{"system_event_single_source": "work", "system_event_multiple_types": " failed , recovered ", "rejected_share": "2.5", "repeat_after": "4h"})
	if got := fmt.Sprint(r.Source, r.Types, r.RejectedPerMille, r.RepeatAfter); err != nil || got != "work[failed recovered] 25 4h0m0s" {
		t.Errorf("the rule is %s, %v", got, err)
	}
}

func containsField(err error, field string) bool {
	var e *activation.Error
	return asError(err, &e) && e.Field == field
}

func asError(err error, to **activation.Error) bool { return errors.As(err, to) }
