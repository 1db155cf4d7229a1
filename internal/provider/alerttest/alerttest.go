// Package alerttest is the suite that every alert provider passes. A provider
// calls Run with a far side that keeps what it took and misbehaves on demand.
//
// It judges by what the far side holds and never by what the provider says. It
// is built for the failures that package alerting is built for: notices that
// arrive and whose answer is lost, far sides that refuse for now or for good, and
// errors that tell what they must not.
package alerttest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/outbound"
	"usher/internal/provider"
)

// Fault is something that happens to the next call.
type Fault string

const (
	// Throttled: no more for now.
	Throttled Fault = "throttled"
	// Down: out of order, nothing was taken.
	Down Fault = "down"
	// Lost: the notice is taken and the answer never comes.
	Lost Fault = "lost"
	// Strange: something that is not the far side answers.
	Strange Fault = "strange"
	// Gone: there is no such address any more.
	Gone Fault = "gone"
	// Refused: this one notice is refused for good.
	Refused Fault = "refused"
	// Denied: the credentials are refused.
	Denied Fault = "denied"
)

// kinds is what each fault must become, and whether the notice may have arrived.
var kinds = map[Fault]struct {
	kind activation.Kind
	may  bool
}{
	Throttled: {activation.WaitUntil, false}, Down: {activation.Unavailable, false}, Lost: {activation.Unavailable, true}, Strange: {activation.Unavailable, true},
	Gone: {activation.Invalid, false}, Refused: {activation.RefusedWhole, false}, Denied: {activation.Unauthorized, false},
}

// Seen is one notice that the far side took.
type Seen struct {
	// ID is what the far side can drop a repetition by; "" where it knows none.
	ID string
	// Text is all that people would see.
	Text string
}

// Far is one far side.
type Far struct {
	Auth   map[string]provider.Secret
	Config map[string]string
	// Host is its host:port.
	Host string
	Seen func() []Seen
	// Script makes the next call meet a fault; false = it has no such thing.
	Script func(f Fault) bool
}

// Suite is a provider and how to start a far side for it.
type Suite struct {
	Definition provider.Definition
	Start      func(t *testing.T) Far
	// HasID: the far side is given the notice's id.
	HasID bool
	// Secrets must not be in any error or log line, beside the secret settings.
	Secrets []string
	// Required are the settings without which New is Invalid.
	Required []string
}

// record keeps what was logged and every error.
type record struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(p)
}

func (r *record) hear(err error) {
	if err != nil {
		_, _ = fmt.Fprintf(r, "%v\n%+v\n%s\n", err, err, activation.SafeMessage(err))
	}
}

// Deps is what a provider is given: nothing internal may be reached but hosts.
func Deps(f Far, log *slog.Logger, hosts ...string) provider.Deps {
	cfg := outbound.Config{Timeout: 10 * time.Second, AllowedHosts: hosts, Log: log, Now: time.Now}
	return provider.Deps{Auth: f.Auth, Config: f.Config, HTTP: outbound.New(cfg), Dial: outbound.Dialer(cfg), Log: log, Now: time.Now}
}

// Notice is one that the suite sends.
func Notice(id string) provider.Notice {
	return provider.Notice{
		ID: id, At: time.Now(), Job: "Tell operations", Link: "https://usher.example.com/jobs/1",
		Event: activation.Event{
			ID: 7, At: time.Now().Add(-time.Minute), Source: activation.SourceWork, Type: activation.EventFailed, SubjectID: "0123456789abcdef0123456789abcdef",
			SubjectName: "Loyalty members", Level: "error", Code: "META-AUTH", Message: "the access token is not valid", Run: 12,
		},
	}
}

// Run runs the suite.
func Run(t *testing.T, s Suite) {
	t.Helper()
	each := func(name string, fn func(t *testing.T, far Far, client provider.Alert, heard *record)) {
		t.Run(name, func(t *testing.T) {
			far, heard := s.Start(t), &record{}
			log := slog.New(slog.NewTextHandler(heard, &slog.HandlerOptions{Level: slog.LevelDebug}))
			client, err := s.Definition.NewAlert(Deps(far, log, far.Host))
			if err != nil {
				t.Fatal(err)
			}
			fn(t, far, client, heard)
			s.nothingLeaked(t, far, heard)
		})
	}
	each("a notice arrives", s.arrives)
	each("sent again under its id", s.again)
	each("a check tells nobody anything", func(t *testing.T, far Far, client provider.Alert, heard *record) {
		if err := client.Check(t.Context()); err != nil {
			t.Error(err)
		}
		if n := len(far.Seen()); n != 0 {
			t.Errorf("a check told %d notices", n)
		}
	})
	each("texts of others stay texts", s.hostile)
	for f, want := range kinds {
		each("fault: "+string(f), func(t *testing.T, far Far, client provider.Alert, heard *record) {
			if !far.Script(f) {
				t.Skipf("the far side is never %s", f)
			}
			_, err := client.Notify(t.Context(), Notice("n1"))
			heard.hear(err)
			var e *activation.Error
			if !errors.As(err, &e) || e.Kind != want.kind || e.MayHaveApplied != want.may || e.Code == "" || e.Message == "" {
				t.Fatalf("the error is %+v; want kind %s, may have applied %t, a code and a message", e, want.kind, want.may)
			}
			if e.Kind == activation.WaitUntil && !e.Until.After(time.Now()) {
				t.Errorf("it waits until %s, which is past", e.Until)
			}
			if (e.Kind == activation.Invalid) != (e.Field != "") {
				t.Errorf("the field is %q; an Invalid error names one, and no other does", e.Field)
			}
			if _, err := client.Notify(t.Context(), Notice("n1")); err != nil {
				t.Errorf("after the fault: %v", err)
			}
			want := 1
			if f == Lost {
				want = 2
			}
			if n := len(far.Seen()); n != want {
				t.Errorf("%d notices arrived, want %d", n, want)
			}
		})
	}
	each("a cancelled context", func(t *testing.T, far Far, client provider.Alert, heard *record) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := client.Notify(ctx, Notice("n1"))
		heard.hear(err)
		if err == nil || len(far.Seen()) != 0 {
			t.Errorf("a cancelled call told %d notices, error %v", len(far.Seen()), err)
		}
	})
	t.Run("an internal address", func(t *testing.T) {
		far, heard := s.Start(t), &record{}
		client, err := s.Definition.NewAlert(Deps(far, slog.New(slog.NewTextHandler(heard, nil))))
		if err == nil {
			_, err = client.Notify(t.Context(), Notice("n1"))
		}
		heard.hear(err)
		var e *activation.Error
		if activation.CodeOf(err) != outbound.CodeAddress || !errors.As(err, &e) || e.Field == "" || len(far.Seen()) != 0 {
			t.Errorf("error %v, %d notices arrived; want %s and a field", err, len(far.Seen()), outbound.CodeAddress)
		}
		s.nothingLeaked(t, far, heard)
	})
	t.Run("required settings", func(t *testing.T) {
		far, heard := s.Start(t), &record{}
		log := slog.New(slog.NewTextHandler(heard, nil))
		for _, field := range s.Required {
			broken := far
			broken.Auth, broken.Config = without(far.Auth, field), without(far.Config, field)
			_, err := s.Definition.NewAlert(Deps(broken, log, far.Host))
			heard.hear(err)
			var e *activation.Error
			if !errors.As(err, &e) || e.Kind != activation.Invalid || e.Field != field {
				t.Errorf("without %s: %v; want Invalid naming it", field, err)
			}
		}
		s.nothingLeaked(t, far, heard)
	})
}

func without[T any](m map[string]T, name string) map[string]T {
	out := map[string]T{}
	for k, v := range m {
		if k != name {
			out[k] = v
		}
	}
	return out
}

func (s Suite) arrives(t *testing.T, far Far, client provider.Alert, _ *record) {
	answer, err := client.Notify(t.Context(), Notice("n1"))
	if err != nil {
		t.Fatal(err)
	}
	if answer == "" || len(answer) > 300 {
		t.Errorf("the answer is %q; want a short one", answer)
	}
	seen := far.Seen()
	if len(seen) != 1 {
		t.Fatalf("%d notices arrived, want 1", len(seen))
	}
	for _, part := range []string{"Job Loyalty members failed", "the access token is not valid"} {
		if !strings.Contains(seen[0].Text, part) {
			t.Errorf("the notice lacks %q:\n%s", part, seen[0].Text)
		}
	}
	if s.HasID && !strings.Contains(seen[0].ID, "n1") {
		t.Errorf("the notice arrived as %q, which does not hold its id", seen[0].ID)
	}
}

func (s Suite) again(t *testing.T, far Far, client provider.Alert, _ *record) {
	for _, id := range []string{"n1", "n1", "n2"} {
		if _, err := client.Notify(t.Context(), Notice(id)); err != nil {
			t.Fatal(err)
		}
	}
	seen := far.Seen()
	if len(seen) != 3 {
		t.Fatalf("%d notices arrived, want 3", len(seen))
	}
	if s.HasID && (seen[0].ID != seen[1].ID || seen[1].ID == seen[2].ID) {
		t.Errorf("ids are %q, %q, %q", seen[0].ID, seen[1].ID, seen[2].ID)
	}
}

// hostile: names and messages are people's and networks'; none may be a header,
// a line of its own, a mention or a link.
func (s Suite) hostile(t *testing.T, far Far, client provider.Alert, _ *record) {
	n := Notice("n1\r\nBcc: eve@evil.example")
	n.SubjectName = "x\r\nBcc: eve@evil.example\r\n\r\n<!channel> <script>alert(1)</script> [a](https://evil.example) \x00\u2028" + strings.Repeat("ü", 2000)
	n.Message = "<https://evil.example|click> & \"quotes\"\n.\nMAIL FROM:<eve@evil.example>"
	n.ID = "n1"
	if _, err := client.Notify(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	seen := far.Seen()
	if len(seen) != 1 {
		t.Fatalf("%d notices arrived, want 1", len(seen))
	}
	for line := range strings.Lines(seen[0].Text) {
		if strings.HasPrefix(line, "Bcc:") || strings.HasPrefix(line, "MAIL") || strings.TrimSpace(line) == "." {
			t.Errorf("a text became a line of its own: %q", line)
		}
	}
}

// nothingLeaked looks for what must not be in errors and log lines.
func (s Suite) nothingLeaked(t *testing.T, far Far, heard *record) {
	t.Helper()
	secrets := s.Secrets
	for _, f := range s.Definition.AuthFields {
		if v := far.Auth[f.Name].Reveal(); f.Secret && v != "" {
			secrets = append(secrets, v)
		}
	}
	tells := slices.IndexFunc(s.Definition.Workflows, func(w provider.Workflow) bool { return w.Direction == provider.Alerting })
	for _, f := range s.Definition.Workflows[tells].Fields {
		if f.Name == "recipients" {
			secrets = append(secrets, provider.List(far.Config[f.Name])...)
		}
	}
	heard.mu.Lock()
	defer heard.mu.Unlock()
	for i, secret := range secrets {
		if strings.Contains(heard.text.String(), secret) {
			t.Errorf("secret %d of %d is in an error or a log line", i+1, len(secrets))
		}
	}
}
