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
func (w *world) nothingLeaked() error {
	d := w.net.Deps()
	for _, f := range w.h.Definition.AuthFields {
		if f.Secret {
			w.said.mustNotSay(d.Auth[f.Name].Reveal())
		}
	}
	// A printed destination must not show more than a log line may.
	w.said.hear(errors.New(printed(w.dest)))
	w.said.mu.Lock()
	defer w.said.mu.Unlock()
	for line := range strings.Lines(strings.ToLower(w.said.text.String())) {
		for s := range w.said.secret {
			if i := strings.Index(line, s); i >= 0 {
				return fmt.Errorf("a secret or a person's value is in an error or a log line, after %q", line[:i])
			}
		}
	}
	return nil
}

func printed(d provider.Destination) string { return fmt.Sprintf("%v %+v", d, d) }

// goroutinesEnded waits until there are no more goroutines than before.
func goroutinesEnded(before int) error {
	for range 300 {
		if runtime.NumGoroutine() <= before {
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	stacks := make([]byte, 64<<10)
	stacks = stacks[:runtime.Stack(stacks, true)]
	return fmt.Errorf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, stacks)
}
