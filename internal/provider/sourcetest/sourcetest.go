// Package sourcetest is the suite that every provider of an import passes. It is
// imported by tests only.
//
// It owns what is the same of files, queries and programs: everything is read once
// and in order, reading goes on behind what was kept, and errors say their kind and
// no secret. It knows a row by a word in it alone, so it fits every format.
package sourcetest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"

	"usher/internal/activation"
	"usher/internal/outbound"
	"usher/internal/provider"
)

// Harness is what the suite needs of a provider.
type Harness struct {
	Definition provider.Definition
	Workflow   string
	// Open starts a far side that has nothing to read yet.
	Open func() (World, error)
	// Skip are the cases that do not fit, with the reason.
	Skip map[string]string
}

// World is a far side of the test's own.
type World interface {
	// Deps has Auth and Config; the suite adds the rest.
	Deps() provider.Deps
	// Hosts are the host:port pairs that may be reached; none = nothing is dialled.
	Hosts() []string
	// Add brings rows that come behind all that were added before. Each row has its
	// word in one of its values.
	Add(words []string) error
	// Missing returns the settings of the job changed so that they name nothing
	// that is there.
	Missing() map[string]string
	// Fail makes the far side misbehave until Heal.
	Fail(f Fault) error
	Heal()
	Close()
}

// Fault is what goes wrong.
type Fault string

const (
	// BadCredentials: the far side does not accept who asks.
	BadCredentials Fault = "bad credentials"
	// Cut: connections end within what is read, after some of it.
	Cut Fault = "cut"
	// Down: the far side cannot be reached, or says that it is out of order.
	Down Fault = "down"
)

// Run runs the suite.
func Run(t *testing.T, h Harness) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if why := h.Skip[c.name]; why != "" {
				t.Skip(why)
			}
			before := goroutines()
			s := open(t, h)
			c.run(t, s)
			for _, src := range s.sources {
				_ = src.Close() // most are closed by now
			}
			s.world.Close()
			if s.client != nil {
				s.client.CloseIdleConnections()
			}
			s.nothingLeaked(t)
			goroutinesEnded(t, before)
		})
	}
	for name := range h.Skip {
		if !slices.ContainsFunc(cases, func(c conformance) bool { return c.name == name }) {
			t.Errorf("there is no case %q to be skipped", name)
		}
	}
}

type conformance struct {
	name string
	run  func(t *testing.T, s *stage)
}

var cases = []conformance{
	{"an empty far side has nothing", empty},
	{"everything comes once and in order", inOrder},
	{"reading goes on behind what was kept", goesOn},
	{"the same state gives the same again", sameAgain},
	{"a connection that ends within a piece", cut},
	{"a far side that is down", down},
	{"credentials that are refused", refused},
	{"settings that name nothing", missing},
	{"a context that has ended", ended},
	{"the check reads and changes nothing", checks},
}

// stage is one case under way.
type stage struct {
	def    provider.Definition
	world  World
	deps   provider.Deps
	client interface{ CloseIdleConnections() }
	said   *said
	row    int
	// sources are those that were made.
	sources []provider.Source
}

// said is all that was logged, and every error.
type said struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write takes a log line.
func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func open(t *testing.T, h Harness) *stage {
	t.Helper()
	w, err := h.Open()
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{def: h.Definition.For(h.Workflow), world: w, deps: w.Deps(), said: &said{}}
	log := slog.New(slog.NewTextHandler(s.said, &slog.HandlerOptions{Level: slog.LevelDebug}))
	cfg := outbound.Config{AllowedHosts: w.Hosts(), Log: log, Now: time.Now, Timeout: 10 * time.Second}
	client := outbound.New(cfg)
	s.client = client
	s.deps.HTTP, s.deps.Dial, s.deps.Log, s.deps.Now, s.deps.Workflow = client, outbound.Dialer(cfg), log, time.Now, h.Workflow
	if s.deps.Scratch == "" {
		s.deps.Scratch = t.TempDir()
	}
	return s
}

// source makes a source with some settings of the job changed.
func (s *stage) source(t *testing.T, change map[string]string) provider.Source {
	t.Helper()
	d := s.deps
	d.Config = maps.Clone(d.Config)
	maps.Copy(d.Config, change)
	src, err := s.def.NewSource(d)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(s.said, "%v %+v\n", src, src)
	s.sources = append(s.sources, src)
	return src
}

func (s *stage) heard(err error) error {
	if err != nil {
		fmt.Fprintf(s.said, "%v\n%+v\n", err, err)
	}
	return err
}

// add brings n rows and returns their words.
func (s *stage) add(t *testing.T, n int) []string {
	t.Helper()
	words := make([]string, n)
	for i := range words {
		s.row++
		words[i] = fmt.Sprintf("word-%06d", s.row)
	}
	if err := s.world.Add(words); err != nil {
		t.Fatal(err)
	}
	return words
}

var word = regexp.MustCompile(`word-[0-9]{6}`)

// read reads one piece to its end and returns the words in it and what to keep.
func (s *stage) read(ctx context.Context, p provider.Piece) (words []string, state []byte, err error) {
	if p.Name == "" || p.Open == nil || p.After == nil {
		return nil, nil, errors.New("a piece lacks its name, Open or After")
	}
	body, err := p.Open(ctx)
	if err != nil {
		return nil, nil, err
	}
	text, err := io.ReadAll(body)
	closing := body.Close()
	if err == nil {
		err = closing
	}
	if err != nil {
		return nil, nil, err
	}
	if len(text) > 1 && text[0] == 0x1f && text[1] == 0x8b {
		z, err := gzip.NewReader(bytes.NewReader(text))
		if err != nil {
			return nil, nil, err
		}
		if text, err = io.ReadAll(z); err != nil {
			return nil, nil, err
		}
	}
	state, err = p.After()
	return word.FindAllString(string(text), -1), state, err
}

// all reads pieces until there is none, as an import does, and returns the words.
func (s *stage) all(t *testing.T, src provider.Source, state []byte) ([]string, []byte) {
	t.Helper()
	var words []string
	for range 1000 {
		p, ok, err := src.Next(t.Context(), state)
		if err != nil {
			t.Fatal(s.heard(err))
		}
		if !ok {
			return words, state
		}
		got, next, err := s.read(t.Context(), p)
		if err != nil {
			t.Fatal(s.heard(err))
		}
		words = append(words, got...)
		state = next
		if p.Settled != nil {
			if err := p.Settled(t.Context()); err != nil {
				t.Fatal(s.heard(err))
			}
		}
	}
	t.Fatal("it never ends")
	return nil, nil
}

func expect(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %d rows %q, want %d %q", what, len(got), short(got), len(want), short(want))
	}
}

func short(words []string) []string { return words[:min(len(words), 12)] }

func empty(t *testing.T, s *stage) {
	words, _ := s.all(t, s.source(t, nil), nil)
	expect(t, "at first", words, nil)
}

func inOrder(t *testing.T, s *stage) {
	want := slices.Concat(s.add(t, 3), s.add(t, 1), s.add(t, 200))
	words, state := s.all(t, s.source(t, nil), nil)
	expect(t, "at first", words, want)
	src := s.source(t, nil)
	words, _ = s.all(t, src, state)
	expect(t, "when there is nothing new", words, nil)
	for range 2 {
		if err := src.Close(); err != nil {
			t.Errorf("close: %v", s.heard(err))
		}
	}
}

func goesOn(t *testing.T, s *stage) {
	want := s.add(t, 5)
	words, state := s.all(t, s.source(t, nil), nil)
	expect(t, "at first", words, want)
	want = s.add(t, 4)
	words, state = s.all(t, s.source(t, nil), state)
	expect(t, "behind it", words, want)
	want = s.add(t, 1)
	words, _ = s.all(t, s.source(t, nil), state)
	expect(t, "and behind that", words, want)
}

func sameAgain(t *testing.T, s *stage) {
	want := s.add(t, 5)
	first, ok, err := s.source(t, nil).Next(t.Context(), nil)
	if err != nil || !ok {
		t.Fatalf("%t, %v", ok, s.heard(err))
	}
	src := s.source(t, nil)
	again, ok, err := src.Next(t.Context(), nil)
	if err != nil || !ok || again.Name != first.Name || again.Version != first.Version {
		t.Fatalf("%q %q and then %q %q, %v", first.Name, first.Version, again.Name, again.Version, s.heard(err))
	}
	words, _, err := s.read(t.Context(), again)
	if err != nil {
		t.Fatal(s.heard(err))
	}
	expect(t, "again", words, want)
}

// kind fails unless an error is of one of these kinds.
func (s *stage) kind(t *testing.T, what string, err error, kinds ...activation.Kind) {
	t.Helper()
	var e *activation.Error
	if !errors.As(s.heard(err), &e) || !slices.Contains(kinds, e.Kind) || e.Code == "" || e.Message == "" {
		t.Errorf("%s: %v, want an error of kind %q with a code", what, err, kinds)
	}
}

// firstError reads until there is an error.
func (s *stage) firstError(ctx context.Context, src provider.Source) error {
	var state []byte
	for range 1000 {
		p, ok, err := src.Next(ctx, state)
		if err != nil || !ok {
			return err
		}
		if _, state, err = s.read(ctx, p); err != nil {
			return err
		}
	}
	return errors.New("it never ends")
}

func cut(t *testing.T, s *stage) {
	want := s.add(t, 5000)
	if err := s.world.Fail(Cut); err != nil {
		t.Fatal(err)
	}
	s.kind(t, "cut", s.firstError(t.Context(), s.source(t, nil)), activation.Unavailable)
	s.world.Heal()
	words, _ := s.all(t, s.source(t, nil), nil)
	expect(t, "afterwards", words, want)
}

func down(t *testing.T, s *stage) {
	want := s.add(t, 5)
	if err := s.world.Fail(Down); err != nil {
		t.Fatal(err)
	}
	src := s.source(t, nil)
	s.kind(t, "check", src.Check(t.Context()), activation.Unavailable, activation.WaitUntil)
	s.kind(t, "read", s.firstError(t.Context(), src), activation.Unavailable, activation.WaitUntil)
	s.world.Heal()
	words, _ := s.all(t, s.source(t, nil), nil)
	expect(t, "afterwards", words, want)
}

func refused(t *testing.T, s *stage) {
	s.add(t, 5)
	if err := s.world.Fail(BadCredentials); err != nil {
		t.Fatal(err)
	}
	src := s.source(t, nil)
	s.kind(t, "check", src.Check(t.Context()), activation.Unauthorized)
	s.kind(t, "read", s.firstError(t.Context(), src), activation.Unauthorized)
}

func missing(t *testing.T, s *stage) {
	s.add(t, 5)
	s.kind(t, "check", s.source(t, s.world.Missing()).Check(t.Context()), activation.Invalid, activation.Gone)
}

func ended(t *testing.T, s *stage) {
	s.add(t, 5000)
	ctx, stop := context.WithCancel(t.Context())
	src := s.source(t, nil)
	p, ok, err := src.Next(ctx, nil)
	if err != nil || !ok {
		t.Fatalf("%t, %v", ok, s.heard(err))
	}
	body, err := p.Open(ctx)
	if err != nil {
		t.Fatal(s.heard(err))
	}
	stop()
	_, _ = io.Copy(io.Discard, body) // what has come may still be read
	_ = body.Close()
	if err := src.Close(); err != nil {
		t.Errorf("close: %v", s.heard(err))
	}
	src = s.source(t, nil)
	if err := s.firstError(ctx, src); s.heard(err) == nil {
		t.Error("it reads under a context that has ended")
	}
}

func checks(t *testing.T, s *stage) {
	want := s.add(t, 5)
	src := s.source(t, nil)
	for range 2 {
		if err := s.heard(src.Check(t.Context())); err != nil {
			t.Error(err)
		}
	}
	words, _ := s.all(t, src, nil)
	expect(t, "afterwards", words, want)
}

// nothingLeaked says which secret is in a log line or an error; it names where it
// was said, not the secret.
func (s *stage) nothingLeaked(t *testing.T) {
	t.Helper()
	s.said.mu.Lock()
	defer s.said.mu.Unlock()
	for _, f := range s.def.AuthFields {
		secret := s.deps.Auth[f.Name].Reveal()
		if !f.Secret || len(secret) < 6 {
			continue
		}
		quoted, _ := json.Marshal(secret)
		for line := range strings.Lines(s.said.text.String()) {
			if i := max(strings.Index(line, secret), strings.Index(line, strings.Trim(string(quoted), `"`))); i >= 0 {
				t.Errorf("the secret %s is in an error or a log line, after %q", f.Name, line[:i])
			}
		}
	}
	if m := word.FindString(s.said.text.String()); m != "" {
		t.Error("a value of a row is in an error or a log line")
	}
}

// goroutines returns the stacks of all goroutines by their id.
func goroutines() map[string]string {
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	all := map[string]string{}
	for stack := range strings.SplitSeq(string(stacks), "\n\n") {
		id, _, _ := strings.Cut(strings.TrimPrefix(stack, "goroutine "), " ")
		all[id] = stack
	}
	return all
}

// goroutinesEnded waits until no goroutine is left that was not there before.
func goroutinesEnded(t *testing.T, before map[string]string) {
	t.Helper()
	for end := time.Now().Add(3 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		var left []string
		for id, stack := range goroutines() {
			if _, old := before[id]; !old {
				left = append(left, stack)
			}
		}
		if len(left) == 0 {
			return
		}
		if time.Now().After(end) {
			t.Errorf("%d goroutines are left:\n%s", len(left), strings.Join(left, "\n\n"))
			return
		}
	}
}
