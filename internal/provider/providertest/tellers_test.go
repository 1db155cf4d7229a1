package providertest_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"usher/internal/activation"
	"usher/internal/provider"
	"usher/internal/provider/meta/metatest"
	"usher/internal/provider/providertest"
	"usher/internal/provider/web/webtest"
)

// fibber is a table of the site that tells of its members, or replaces them, in
// one wrong way.
type fibber struct {
	liar
	members func(f fibber, ctx context.Context, a provider.Audience, yield func([][]byte) error) error
}

func (f fibber) honest() provider.Lister { return f.Destination.(provider.Lister) }

func (f fibber) Members(ctx context.Context, a provider.Audience, yield func([][]byte) error) error {
	if f.members != nil {
		return f.members(f, ctx, a, yield)
	}
	return f.honest().Members(ctx, a, yield)
}

func (f fibber) DeleteAudience(ctx context.Context, id provider.RemoteID) error {
	return f.Destination.(provider.Deleter).DeleteAudience(ctx, id)
}

func (f fibber) OpenAudience(ctx context.Context, id provider.RemoteID) error {
	return f.Destination.(provider.Opener).OpenAudience(ctx, id)
}

// listing is the whole of a listing.
func (f fibber) listing(ctx context.Context, a provider.Audience) (all [][][]byte, err error) {
	err = f.honest().Members(ctx, a, func(values [][]byte) error {
		row := make([][]byte, len(values))
		for i, v := range values {
			row[i] = bytes.Clone(v)
		}
		all = append(all, row)
		return nil
	})
	return all, err
}

// TestSuiteFindsFalseListings gives the suite destinations that list or replace in
// one wrong way each, and wants the case to fail that is there for it.
func TestSuiteFindsFalseListings(t *testing.T) {
	deliver := func(change func(b provider.Batch) provider.Batch) liar {
		return liar{deliver: func(l liar, ctx context.Context, b provider.Batch) (activation.Receipt, error) {
			return l.Destination.Deliver(ctx, change(b))
		}}
	}
	for name, tc := range map[string]struct {
		fails  []string
		fibber fibber
	}{
		"lists what was delivered, and not what is there": {
			[]string{"members are listed as they were sent"},
			func() fibber {
				var mu sync.Mutex
				in := map[string][][]byte{}
				return fibber{
					liar: liar{deliver: func(l liar, ctx context.Context, b provider.Batch) (activation.Receipt, error) {
						rc, err := l.Destination.Deliver(ctx, b)
						mu.Lock()
						defer mu.Unlock()
						for i := range b.Rows() {
							id := string(b.Remote) + string(bytes.Join(b.Row(i), []byte{0}))
							delete(in, id)
							if b.Op == activation.OpAdd {
								in[id] = slices.Clone(b.Row(i))
							}
						}
						return rc, err
					}},
					members: func(_ fibber, _ context.Context, _ provider.Audience, yield func([][]byte) error) error {
						for _, row := range in {
							if err := yield(row); err != nil {
								return err
							}
						}
						return nil
					},
				}
			}(),
		},
		"leaves the last one out": {
			[]string{"members are listed as they were sent", "many members are listed once each"},
			fibber{members: func(f fibber, ctx context.Context, a provider.Audience, yield func([][]byte) error) error {
				all, err := f.listing(ctx, a)
				for i := 0; err == nil && i+1 < len(all); i++ {
					err = yield(all[i])
				}
				return err
			}},
		},
		"says nothing where something is": {
			[]string{"members are listed as they were sent"},
			fibber{members: func(f fibber, ctx context.Context, a provider.Audience, yield func([][]byte) error) error {
				return f.honest().Members(ctx, a, func(values [][]byte) error {
					for i, k := range a.Keys {
						if !k.Identifies {
							values[i] = nil
						}
					}
					return yield(values)
				})
			}},
		},
		"says something where nothing is": {
			[]string{"members are listed as they were sent"},
			fibber{members: func(f fibber, ctx context.Context, a provider.Audience, yield func([][]byte) error) error {
				return f.honest().Members(ctx, a, func(values [][]byte) error {
					for i, v := range values {
						if v == nil {
							values[i] = []byte{}
						}
					}
					return yield(values)
				})
			}},
		},
		"takes a gone audience for an empty one": {
			[]string{"members of an audience that is gone"},
			fibber{members: func(f fibber, ctx context.Context, a provider.Audience, yield func([][]byte) error) error {
				err := f.honest().Members(ctx, a, yield)
				if activation.KindOf(err) == activation.Gone {
					err = nil
				}
				return err
			}},
		},
		"does not stop": {
			[]string{"a listing stops"},
			fibber{members: func(f fibber, ctx context.Context, a provider.Audience, yield func([][]byte) error) error {
				var stop error
				err := f.honest().Members(ctx, a, func(values [][]byte) error {
					stop = errors.Join(stop, yield(values))
					return nil
				})
				return errors.Join(err, stop)
			}},
		},
		"ignores being cancelled": {
			[]string{"a listing stops"},
			fibber{members: func(f fibber, ctx context.Context, a provider.Audience, yield func([][]byte) error) error {
				return f.honest().Members(context.WithoutCancel(ctx), a, yield)
			}},
		},
		"writes while it lists": {
			[]string{"an empty audience lists nobody"},
			fibber{members: func(f fibber, ctx context.Context, a provider.Audience, yield func([][]byte) error) error {
				if _, err := f.Destination.EnsureAudience(ctx, a); err != nil {
					return err
				}
				return f.honest().Members(ctx, a, yield)
			}},
		},
		"only adds": {
			[]string{"a replacement drops who is in no batch", "batches of a replacement are sent twice"},
			fibber{liar: deliver(func(b provider.Batch) provider.Batch { b.Replace = nil; return b })},
		},
		"replaces by each batch": {
			[]string{"a replacement drops who is in no batch", "batches of a replacement are sent twice", "a replacement that is cut drops nobody"},
			fibber{liar: deliver(func(b provider.Batch) provider.Batch {
				if b.Replace != nil {
					b.Replace = &provider.Replace{Session: b.Replace.Session*10 + int64(b.Replace.Number), Number: 1, Of: 1}
				}
				return b
			})},
		},
		"takes another session for each attempt": {
			[]string{"batches of a replacement are sent twice"},
			fibber{liar: deliver(func(b provider.Batch) provider.Batch {
				if b.Replace != nil {
					r := *b.Replace
					r.Session -= int64(b.Attempt)
					b.Replace = &r
				}
				return b
			})},
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := webtest.Harness()
			honest := h.Definition.NewDestination
			h.Definition.NewDestination = func(d provider.Deps) (provider.Destination, error) {
				inner, err := honest(d)
				f := tc.fibber
				f.Destination, f.deps = inner, d
				return f, err
			}
			for _, c := range tc.fails {
				if err := h.Judge(c); err == nil {
					t.Errorf("the case %q passes", c)
				}
			}
		})
	}
}

// boaster is Meta that tells a wrong size.
type boaster struct {
	liar
	size func(s provider.Size, err error) (provider.Size, error)
}

func (b boaster) Size(ctx context.Context, a provider.Audience) (provider.Size, error) {
	return b.size(b.Destination.(provider.Sizer).Size(ctx, a))
}

func TestSuiteFindsFalseSizes(t *testing.T) {
	for name, tc := range map[string]struct {
		fails []string
		size  func(s provider.Size, err error) (provider.Size, error)
	}{
		"says 0 where it is not told": {[]string{"a size is told", "the size of an audience that is gone"}, func(s provider.Size, err error) (provider.Size, error) {
			s.Low, s.High = max(s.Low, 0), max(s.High, 0)
			return s, err
		}},
		"says anything may be": {[]string{"a size is told"}, func(s provider.Size, err error) (provider.Size, error) {
			s.Low = -1
			return s, err
		}},
		"takes a gone audience for an empty one": {[]string{"the size of an audience that is gone"}, func(s provider.Size, _ error) (provider.Size, error) { return s, nil }},
	} {
		t.Run(name, func(t *testing.T) {
			h := metatest.Harness()
			honest := h.Definition.NewDestination
			h.Definition.NewDestination = func(d provider.Deps) (provider.Destination, error) {
				inner, err := honest(d)
				return boaster{liar{Destination: inner, deps: d}, tc.size}, err
			}
			for _, c := range tc.fails {
				if err := h.Judge(c); err == nil {
					t.Errorf("the case %q passes", c)
				}
			}
		})
	}
}

// TestWhatIsDeclaredIsThere: flags of a definition that its destination does not
// keep, and the other way round, are found.
func TestWhatIsDeclaredIsThere(t *testing.T) {
	for name, change := range map[string]func(*provider.Definition){
		"members are listed as they were sent": func(d *provider.Definition) { d.Lists = !d.Lists },
		"a size is told":                       func(d *provider.Definition) { d.Sizes = !d.Sizes },
	} {
		for _, h := range []providertest.Harness{metatest.Harness(), webtest.Harness()} {
			change(&h.Definition)
			if err := h.Judge(name); err == nil {
				t.Errorf("%s: a flag that is wrong passes %q", h.Definition.Name, name)
			}
		}
	}
}
