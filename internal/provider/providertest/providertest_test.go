package providertest_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/provider"
	"usher/internal/provider/meta/metatest"
	"usher/internal/provider/providertest"
)

// liar is a destination with one fault of its own.
type liar struct {
	provider.Destination
	deps    provider.Deps
	check   func(l liar, ctx context.Context) error
	ensure  func(l liar, ctx context.Context, a provider.Audience) (provider.RemoteID, error)
	deliver func(l liar, ctx context.Context, b provider.Batch) (activation.Receipt, error)
	poll    func(l liar, ctx context.Context, rows int64) (activation.Receipt, error)
}

func (l liar) String() string { return "liar" }

func (l liar) Check(ctx context.Context) error {
	if l.check != nil {
		return l.check(l, ctx)
	}
	return l.Destination.Check(ctx)
}

func (l liar) EnsureAudience(ctx context.Context, a provider.Audience) (provider.RemoteID, error) {
	if l.ensure != nil {
		return l.ensure(l, ctx, a)
	}
	return l.Destination.EnsureAudience(ctx, a)
}

func (l liar) Deliver(ctx context.Context, b provider.Batch) (activation.Receipt, error) {
	if l.deliver != nil {
		return l.deliver(l, ctx, b)
	}
	return l.Destination.Deliver(ctx, b)
}

func (l liar) Poll(ctx context.Context, token string, rows int64) (activation.Receipt, error) {
	if l.poll != nil {
		return l.poll(l, ctx, rows)
	}
	return l.Destination.Poll(ctx, token, rows)
}

// TestSuiteFindsLiars gives the suite destinations that are wrong in one way
// each, and wants the case to fail that is there for it.
func TestSuiteFindsLiars(t *testing.T) {
	over := make(chan struct{})
	defer close(over)
	for name, tc := range map[string]struct {
		fails []string
		liar  liar
	}{
		"calls failures good": {
			[]string{"no answer after it took effect", "internal error", "refused whole", "throttled without a time", "token refused in the middle of a run", "the audience is gone"},
			liar{deliver: func(l liar, ctx context.Context, b provider.Batch) (activation.Receipt, error) {
				rc, err := l.Destination.Deliver(ctx, b)
				if err != nil {
					rc, err = activation.Receipt{Accepted: int64(b.Rows())}, nil
				}
				return rc, err
			}},
		},
		"says nothing was applied": {
			[]string{"no answer after it took effect", "cut after it took effect", "internal error", "a web page instead of an answer", "cancelled during the call"},
			liar{deliver: func(l liar, ctx context.Context, b provider.Batch) (activation.Receipt, error) {
				rc, err := l.Destination.Deliver(ctx, b)
				return rc, changed(err, func(e *activation.Error) { e.MayHaveApplied = false })
			}},
		},
		"takes any refusal for gone": {
			[]string{"a bad token is not a gone audience", "token refused in the middle of a run"},
			liar{deliver: func(l liar, ctx context.Context, b provider.Batch) (activation.Receipt, error) {
				rc, err := l.Destination.Deliver(ctx, b)
				return rc, changed(err, func(e *activation.Error) {
					if e.Kind == activation.Unauthorized {
						e.Kind = activation.Gone
					}
				})
			}},
		},
		"waits as it likes": {
			[]string{"throttled for a time"},
			liar{deliver: func(l liar, ctx context.Context, b provider.Batch) (activation.Receipt, error) {
				rc, err := l.Destination.Deliver(ctx, b)
				return rc, changed(err, func(e *activation.Error) { e.Until = time.Now().Add(time.Minute) })
			}},
		},
		"loses a row": {
			[]string{"all are accepted"},
			liar{deliver: func(l liar, ctx context.Context, b provider.Batch) (activation.Receipt, error) {
				if b.Rows() > 2 {
					short := b
					short.Values = b.Values[:len(b.Values)-len(b.Keys)]
					rc, err := l.Destination.Deliver(ctx, short)
					if err == nil {
						rc.Accepted++
					}
					return rc, err
				}
				return l.Destination.Deliver(ctx, b)
			}},
		},
		"covers too few rows": {
			[]string{"all are accepted"},
			liar{deliver: func(l liar, ctx context.Context, b provider.Batch) (activation.Receipt, error) {
				rc, err := l.Destination.Deliver(ctx, b)
				rc.Accepted = max(rc.Accepted-1, 0)
				return rc, err
			}},
		},
		"forgets what was invalid": {
			[]string{"one row is counted invalid without an index"},
			liar{deliver: func(l liar, ctx context.Context, b provider.Batch) (activation.Receipt, error) {
				rc, err := l.Destination.Deliver(ctx, b)
				rc.Unplaced = 0
				return rc, err
			}},
		},
		"hashes nothing": {
			[]string{"an empty key is sent as none"},
			liar{deliver: func(l liar, ctx context.Context, b provider.Batch) (activation.Receipt, error) {
				b.Values = slices.Clone(b.Values)
				for i, v := range b.Values {
					if v == nil && b.Keys[i%len(b.Keys)].Hash {
						sum := sha256.Sum256(nil)
						b.Values[i] = sum[:]
					}
				}
				return l.Destination.Deliver(ctx, b)
			}},
		},
		"adds who should leave": {
			[]string{"add then remove", "a shared key keeps its other owner"},
			liar{deliver: func(l liar, ctx context.Context, b provider.Batch) (activation.Receipt, error) {
				b.Op = activation.OpAdd
				return l.Destination.Deliver(ctx, b)
			}},
		},
		"cuts what is over the limit": {
			[]string{"a batch over the limit"},
			liar{deliver: func(l liar, ctx context.Context, b provider.Batch) (activation.Receipt, error) {
				if over := b.Rows() - 10_000; over > 0 {
					b.Values = b.Values[:100*len(b.Keys)]
					rc, err := l.Destination.Deliver(ctx, b)
					if err == nil {
						rc.Accepted += int64(over)
					}
					return rc, err
				}
				return l.Destination.Deliver(ctx, b)
			}},
		},
		"ignores being cancelled": {
			[]string{"cancelled before the call"},
			liar{deliver: func(l liar, ctx context.Context, b provider.Batch) (activation.Receipt, error) {
				return l.Destination.Deliver(context.WithoutCancel(ctx), b)
			}},
		},
		"makes an audience each time": {
			[]string{"an audience is made once"},
			liar{ensure: func(l liar, ctx context.Context, a provider.Audience) (provider.RemoteID, error) {
				if a.Remote == "" {
					a.Marker = string(activation.NewID[activation.RunID]())
				}
				return l.Destination.EnsureAudience(ctx, a)
			}},
		},
		"finds by the name": {
			[]string{"an audience is made once"},
			liar{ensure: func(l liar, ctx context.Context, a provider.Audience) (provider.RemoteID, error) {
				a.Marker = a.Name
				return l.Destination.EnsureAudience(ctx, a)
			}},
		},
		"writes while checking": {
			[]string{"check writes nothing"},
			liar{check: func(l liar, ctx context.Context) error {
				_, err := l.Destination.EnsureAudience(ctx, provider.Audience{Marker: "check", Name: "check"})
				return err
			}},
		},
		"checks nothing": {
			[]string{"check writes nothing", "check finds a bad token"},
			liar{check: func(liar, context.Context) error { return nil }},
		},
		"logs a hash": {
			[]string{"all are accepted"},
			liar{deliver: func(l liar, ctx context.Context, b provider.Batch) (activation.Receipt, error) {
				for i, k := range b.Keys {
					if k.Hash && b.Values[i] != nil {
						l.deps.Log.DebugContext(ctx, "row", "value", fmt.Sprintf("%X", b.Values[i]))
					}
				}
				return l.Destination.Deliver(ctx, b)
			}},
		},
		"tells the token": {
			[]string{"refused whole"},
			liar{deliver: func(l liar, ctx context.Context, b provider.Batch) (activation.Receipt, error) {
				rc, err := l.Destination.Deliver(ctx, b)
				return rc, changed(err, func(e *activation.Error) {
					e.Err = errors.New("GET /?access_token=" + l.deps.Auth["access_token"].Reveal())
				})
			}},
		},
		"leaves a goroutine": {
			[]string{"all are accepted"},
			liar{deliver: func(l liar, ctx context.Context, b provider.Batch) (activation.Receipt, error) {
				go func() { <-over }()
				return l.Destination.Deliver(ctx, b)
			}},
		},
		"has errors of another type": {
			[]string{"refused whole", "internal error"},
			liar{deliver: func(l liar, ctx context.Context, b provider.Batch) (activation.Receipt, error) {
				rc, err := l.Destination.Deliver(ctx, b)
				if err != nil {
					err = errors.New("something went wrong")
				}
				return rc, err
			}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := metatest.Harness()
			honest := h.Definition.NewDestination
			h.Definition.NewDestination = func(d provider.Deps) (provider.Destination, error) {
				inner, err := honest(d)
				l := tc.liar
				l.Destination, l.deps = inner, d
				return l, err
			}
			for _, c := range tc.fails {
				if err := h.Judge(c); err == nil {
					t.Errorf("the case %q passes", c)
				}
			}
		})
	}
}

func changed(err error, change func(*activation.Error)) error {
	var e *activation.Error
	if !errors.As(err, &e) {
		return err
	}
	other := *e
	change(&other)
	return &other
}

func TestSkipsAreChecked(t *testing.T) {
	for name, want := range map[string]string{
		"no such case":     "is not a case",
		"all are accepted": "may not be skipped",
		"one row is counted invalid without an index": "one of",
	} {
		h := metatest.Harness()
		h.Skip[name] = "because"
		if err := h.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("skip of %q: %v", name, err)
		}
	}
	h := metatest.Harness()
	h.Skip["refused whole"] = ""
	if err := h.Validate(); err == nil {
		t.Error("a skip without a reason passes")
	}
	if err := metatest.Harness().Validate(); err != nil {
		t.Error(err)
	}
	if len(providertest.Cases()) < 25 {
		t.Errorf("%d cases", len(providertest.Cases()))
	}
}
