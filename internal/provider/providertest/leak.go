package providertest

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"time"

	"usher/internal/provider"
)

// leastSecret is the length from which a text is looked for: a country code is
// part of too many words.
const leastSecret = 6

// endTime is how long goroutines may take to end when their case is over.
const endTime = 2 * time.Second

// record keeps all that was logged and every error, and what must not be in
// them. It may be used by any goroutine.
type record struct {
	mu     sync.Mutex
	text   bytes.Buffer
	secret map[string]struct{}
}

// Write takes a log line.
func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(p)
}

// hear takes an error.
func (r *record) hear(err error) {
	if err == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	fmt.Fprintf(&r.text, "%v\n%+v\n", err, err)
}

func (r *record) mustNotSay(text string) {
	if len(text) < leastSecret {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.secret == nil {
		r.secret = map[string]struct{}{}
	}
	r.secret[strings.ToLower(text)] = struct{}{}
}

// nothingLeaked says which secret is in a log line or an error; it names where
// it was said, not the secret.
func (s *stage) nothingLeaked() error {
	d := s.far.Deps()
	for _, f := range s.def.AuthFields {
		if f.Secret {
			s.said.mustNotSay(d.Auth[f.Name].Reveal())
		}
	}
	// A printed destination must not show more than a log line may.
	s.said.hear(errors.New(printed(s.dest)))
	s.said.mu.Lock()
	defer s.said.mu.Unlock()
	for line := range strings.Lines(strings.ToLower(s.said.text.String())) {
		for secret := range s.said.secret {
			if i := strings.Index(line, secret); i >= 0 {
				return fmt.Errorf("a secret or a person's value is in an error or a log line, after %q", line[:i])
			}
		}
	}
	return nil
}

func printed(d provider.Destination) string { return fmt.Sprintf("%v %+v", d, d) }

// goroutines returns the stacks of all goroutines by their id. Ids are never
// used again, so a new one is seen even while an old one ends.
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
func goroutinesEnded(before map[string]string) error {
	for end := time.Now().Add(endTime); ; time.Sleep(10 * time.Millisecond) {
		var left []string
		for id, stack := range goroutines() {
			if _, old := before[id]; !old {
				left = append(left, stack)
			}
		}
		if len(left) == 0 {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("%d goroutines are left:\n%s", len(left), strings.Join(left, "\n\n"))
		}
	}
}
