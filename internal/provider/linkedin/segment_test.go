package linkedin

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/provider"
)

func list(ids ...string) answer {
	parts := make([]string, len(ids))
	for i, id := range ids {
		parts[i] = fmt.Sprintf(`{"id":%s,"account":"urn:li:sponsoredAccount:%s","type":"USER","sourceSegmentId":"usher-7-1","destinations":[{"status":"READY"}]}`, id, testAccount)
	}
	return answer{body: `{"elements":[` + strings.Join(parts, ",") + `]}`}
}

func TestSegmentIsFoundBeforeItIsMade(t *testing.T) {
	s, _ := open(t, list("22", `"9"`, "31"))
	if err := ensured(s, audience, "9"); err != nil {
		t.Error(err)
	}
	// What LinkedIn shows although it was not asked for is not ours.
	others := `{"elements":[
		{"id":1,"account":"urn:li:sponsoredAccount:500000001","type":"USER","sourceSegmentId":"usher-7-10"},
		{"id":2,"account":"urn:li:sponsoredAccount:5000000011","type":"USER","sourceSegmentId":"usher-7-1"},
		{"id":3,"account":"urn:li:sponsoredAccount:500000001","type":"COMPANY","sourceSegmentId":"usher-7-1"},
		{"account":"urn:li:sponsoredAccount:500000001","type":"USER","sourceSegmentId":"usher-7-1"},
		{"id":{},"account":"urn:li:sponsoredAccount:500000001","type":"USER","sourceSegmentId":"usher-7-1"}]}`
	s, n := open(t, answer{body: others}, made(remoteID))
	if err := ensured(s, audience, remoteID); err != nil || len(n.answers) > 0 {
		t.Error(err)
	}
}

func TestIDOfWhatWasMade(t *testing.T) {
	for name, a := range map[string]answer{
		"x-restli-id":   made(remoteID),
		"x-linkedin-id": {status: 201, header: map[string]string{"X-Linkedin-Id": remoteID}},
		"body":          {status: 201, body: `{"id":` + remoteID + `}`},
	} {
		s, _ := open(t, nobody, a)
		if err := ensured(s, audience, remoteID); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	s, n := open(t, nobody, answer{status: 201}, nobody, list(remoteID))
	_, err := s.EnsureAudience(context.Background(), audience)
	if e := asError(t, err); e.Code != "LINKEDIN-ANSWER" || !e.MayHaveApplied {
		t.Errorf("no id: %v", err)
	}
	_, err = s.EnsureAudience(context.Background(), audience) // the look-up does not show it yet
	wantError(t, err, activation.WaitUntil, "LINKEDIN-PENDING")
	if err := ensured(s, audience, remoteID); err != nil || len(n.answers) > 0 {
		t.Errorf("found later: %v", err)
	}
}

// TestLostCreationIsNotRepeated: making a segment again would make a second one,
// and look-ups may not show the first for minutes.
func TestLostCreationIsNotRepeated(t *testing.T) {
	s, n := open(t, nobody, answer{status: 504, body: `{}`})
	ensure := func() error {
		_, err := s.EnsureAudience(context.Background(), audience)
		return err
	}
	if e := asError(t, ensure()); e.Kind != activation.Unavailable || !e.MayHaveApplied {
		t.Fatalf("lost: %v", e)
	}
	for range 5 {
		n.expect(nobody)
		e := asError(t, ensure())
		if e.Code != "LINKEDIN-PENDING" || e.Until.Sub(n.time()) != lookAgain {
			t.Fatalf("%v until %v", e, e.Until)
		}
		n.pass(lookAgain)
	}
	n.pass(listed)
	n.expect(nobody, made(remoteID))
	if err := ensure(); err != nil { // it was never made
		t.Error(err)
	}
	n.expect(nobody) // made, and still not shown: the id is known here
	if err := ensured(s, audience, remoteID); err != nil || len(n.answers) > 0 {
		t.Error(err)
	}
	s, n = open(t, nobody, answer{status: 403, body: `{}`}, nobody, made(remoteID))
	if err := ensure(); activation.CodeOf(err) != "LINKEDIN-PERMISSION" {
		t.Error(err)
	}
	if err := ensure(); err != nil || len(n.answers) > 0 { // refused: that is no attempt
		t.Error(err)
	}
}

// TestNewSegmentIsLeftAlone: people that come within seconds would be lost, and a
// segment that is not found yet is not gone.
func TestNewSegmentIsLeftAlone(t *testing.T) {
	s, n := open(t, nobody, made(remoteID))
	if err := ensured(s, audience, remoteID); err != nil {
		t.Fatal(err)
	}
	deliver := func() *activation.Error {
		rc, err := s.Deliver(context.Background(), batch(1))
		if err == nil {
			if rc.Accepted != 1 {
				t.Errorf("receipt %+v", rc)
			}
			return nil
		}
		return asError(t, err)
	}
	n.expect(absentAnswer)
	if e := deliver(); e == nil || e.Code != "LINKEDIN-PENDING" || e.Until.Sub(n.time()) != lookAgain {
		t.Errorf("not found: %v", e)
	}
	n.pass(5 * time.Second)
	n.expect(found(noon))
	if e := deliver(); e == nil || e.Code != "LINKEDIN-PENDING" || e.Until.Sub(n.time()) != settle-5*time.Second {
		t.Errorf("five seconds old: %v", e)
	}
	n.pass(settle)
	n.expect(found(noon), answered(201))
	if e := deliver(); e != nil {
		t.Errorf("old enough: %v", e)
	}
	n.expect(answered(201)) // it is not asked for again
	if e := deliver(); e != nil {
		t.Errorf("once more: %v", e)
	}
	n.expect(absentAnswer, found(noon)) // the users are not found, the segment is
	if e := deliver(); e == nil || e.Code != "LINKEDIN-PENDING" {
		t.Errorf("users not found: %v", e)
	}
	if len(n.answers) > 0 {
		t.Errorf("%d answers left", len(n.answers))
	}
}

// TestItsAgeIsByTheNetworksClock: our clock may be minutes off.
func TestItsAgeIsByTheNetworksClock(t *testing.T) {
	for _, off := range []time.Duration{-time.Hour, time.Hour} {
		s, n := open(t, found(noon.Add(-3*time.Second)))
		s.now = func() time.Time { return n.time().Add(off) }
		_, err := s.Deliver(context.Background(), batch(1))
		if e := asError(t, err); e.Code != "LINKEDIN-PENDING" || e.Until.Sub(s.now()) != settle-3*time.Second {
			t.Errorf("%v off: %v until %v", off, e, e.Until)
		}
	}
}

// TestAgeThatIsNotTold: no page promises the time in the answer.
func TestAgeThatIsNotTold(t *testing.T) {
	undated := func(status string) answer {
		return answer{body: `{"id":` + remoteID + `,"destinations":[{"status":"` + status + `"}]}`}
	}
	s, n := open(t, undated("READY"), answered(201))
	if _, err := s.Deliver(context.Background(), batch(1)); err != nil || len(n.answers) > 0 {
		t.Errorf("it has been ready: %v", err)
	}
	s, n = open(t, undated("BUILDING"))
	_, err := s.Deliver(context.Background(), batch(1))
	wantError(t, err, activation.WaitUntil, "LINKEDIN-PENDING")
	n.pass(settle)
	n.expect(undated("BUILDING"), answered(201))
	if _, err := s.Deliver(context.Background(), batch(1)); err != nil {
		t.Errorf("it may have been new: %v", err)
	}
}

// TestGone: never within ten minutes of its making, never by 401 or 403, and only
// when the account itself is there.
func TestGone(t *testing.T) {
	known := provider.Audience{Marker: "m", Name: "n", Remote: remoteID}
	ask := map[string]func(s *segments) error{
		"deliver": func(s *segments) error { _, err := s.Deliver(context.Background(), batch(1)); return err },
		"ensure":  func(s *segments) error { _, err := s.EnsureAudience(context.Background(), known); return err },
		"open":    func(s *segments) error { return s.OpenAudience(context.Background(), remoteID) },
	}
	for name, do := range ask {
		for _, tc := range []struct {
			name    string
			created time.Duration // ago
			answers []answer
			kind    activation.Kind
			code    string
		}{
			{"old", young, []answer{absentAnswer, accountAnswer}, activation.Gone, "LINKEDIN-GONE"},
			{"young", young - time.Second, []answer{absentAnswer}, activation.WaitUntil, "LINKEDIN-PENDING"},
			{"account hidden", young, []answer{absentAnswer, absentAnswer}, activation.Invalid, "LINKEDIN-ACCOUNT"},
			{"another account", young, []answer{absentAnswer, {body: `{"id":5}`}}, activation.Unavailable, "LINKEDIN-ANSWER"},
			{"token dead meanwhile", young, []answer{absentAnswer, {status: 401, body: `{"serviceErrorCode":65601}`}}, activation.Unauthorized, "LINKEDIN-AUTH"},
			{"account not reached", young, []answer{absentAnswer, {status: 502, body: `<html>`}}, activation.Unavailable, "LINKEDIN-UNAVAILABLE"},
			{"401", young, []answer{{status: 401, body: `{"serviceErrorCode":65601}`}}, activation.Unauthorized, "LINKEDIN-AUTH"},
			{"403", young, []answer{{status: 403, body: `{}`}}, activation.Invalid, "LINKEDIN-PERMISSION"},
			{"another segment", young, []answer{{body: `{"id":5}`}}, activation.Unavailable, "LINKEDIN-ANSWER"},
		} {
			t.Run(name+"/"+tc.name, func(t *testing.T) {
				s, n := open(t, tc.answers...)
				s.memory.learn(remoteID, func(m *note) { m.created = noon.Add(-tc.created) })
				wantError(t, do(s), tc.kind, tc.code)
				if len(n.answers) > 0 {
					t.Errorf("%d answers left", len(n.answers))
				}
			})
		}
	}
	t.Run("age not known", func(t *testing.T) {
		s, n := open(t)
		for range 20 {
			n.expect(absentAnswer)
			wantError(t, ask["deliver"](s), activation.WaitUntil, "LINKEDIN-PENDING")
			n.pass(lookAgain)
		}
		n.expect(absentAnswer, accountAnswer)
		wantError(t, ask["deliver"](s), activation.Gone, "LINKEDIN-GONE")
	})
	t.Run("its people only", func(t *testing.T) {
		s, _ := openReady(t, absentAnswer, found(noon.Add(-time.Hour)))
		err := asError(t, ask["deliver"](s))
		if err.Code != "LINKEDIN-UNAVAILABLE" || err.MayHaveApplied {
			t.Errorf("got %v", err)
		}
	})
}

func TestStatuses(t *testing.T) {
	for status, usable := range map[string]bool{
		"BUILDING": true, "UPDATING": true, "READY": true, "ARCHIVED": true, "": true, "SOMETHING_NEW": true,
		"EXPIRED": false, "FAILED": false, "ERROR": false,
	} {
		s, _ := open(t, found(noon.Add(-time.Hour), status))
		err := s.OpenAudience(context.Background(), remoteID)
		if usable && err != nil || !usable && activation.CodeOf(err) != "LINKEDIN-SEGMENT" {
			t.Errorf("%s: %v", status, err)
		}
	}
	for size, usable := range map[string]bool{"0": false, "1": true} {
		s, _ := open(t, answer{body: `{"id":` + remoteID + `,"destinations":[{"status":"ARCHIVED","audienceSize":` + size + `}]}`})
		if err := s.OpenAudience(context.Background(), remoteID); (err == nil) != usable {
			t.Errorf("archived with %s: %v", size, err)
		}
	}
	s, n := open(t, answer{body: strings.ReplaceAll(list(remoteID).body, "READY", "EXPIRED")})
	_, err := s.EnsureAudience(context.Background(), audience)
	wantError(t, err, activation.Invalid, "LINKEDIN-SEGMENT")
	if len(n.calls) != 1 {
		t.Error("another one was made beside it")
	}
}
