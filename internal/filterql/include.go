package filterql

import (
	"errors"
	"slices"
	"strings"
)

// enter resolves an included audience and puts it on the chain of those being
// included; leave takes it off again.
func enter(chain *[]string, resolve Resolver, n *Condition) (f *Filter, leave func(), err error) {
	if i := slices.Index(*chain, n.Audience); i >= 0 {
		cycle := strings.Join(append(slices.Clone((*chain)[i:]), n.Audience), " → ")
		return nil, nil, errorAt(n.Pos, "audiences include each other: %s", cycle)
	}
	if resolve != nil {
		if f, err = resolve(n.Audience); err != nil {
			return nil, nil, resolveError(n, err)
		}
	}
	if f == nil {
		return nil, nil, errorAt(n.Pos, "unknown audience %q", brief(n.Audience))
	}
	*chain = append(*chain, n.Audience)
	return f, func() { *chain = (*chain)[:len(*chain)-1] }, nil
}

func resolveError(n *Condition, err error) error {
	if _, ok := errors.AsType[*Error](err); ok {
		return inAudience(err, n.Audience)
	}
	e := errorAt(n.Pos, "audience %q", brief(n.Audience))
	e.Err = err
	return e
}

// inAudience says in which included audience an error is, the innermost.
func inAudience(err error, audience string) error {
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Audience != "" {
		return err
	}
	inner := *e
	inner.Audience = audience
	return &inner
}

// TimeDependent reports whether the rule, or one it includes, uses date math or
// timewindow.
// It knows no field types: a text field compared with a text such as "now-3h"
// counts too.
func TimeDependent(f *Filter, resolve Resolver) (bool, error) {
	w := walker{resolve: resolve}
	if f.Alias != "" {
		w.chain = []string{f.Alias}
	}
	return w.timeDependent(f.Where, 1)
}

type walker struct {
	resolve    Resolver
	chain      []string
	conditions int
}

func (w *walker) timeDependent(n *Condition, depth int) (bool, error) {
	if w.conditions++; w.conditions > MaxConditions {
		return false, errorAt(n.Pos, "the rule with what it includes has more than %d conditions", MaxConditions)
	}
	if depth > MaxDepth {
		return false, tooDeep(n.Pos)
	}
	if n.Op == Include {
		f, leave, err := enter(&w.chain, w.resolve, n)
		if err != nil {
			return false, err
		}
		defer leave()
		found, err := w.timeDependent(f.Where, depth+1)
		return found, inAudience(err, n.Audience)
	}
	found := n.Op == TimeWindow || slices.ContainsFunc(n.Values, func(v Value) bool { return isDateMath(v.Text) })
	for _, a := range n.Args {
		in, err := w.timeDependent(a, depth+1)
		if err != nil {
			return false, err
		}
		found = found || in
	}
	return found, nil
}
