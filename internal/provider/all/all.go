// Package all is the one list of the providers in the binary. It owns nothing
// else; a provider that is not in it does not exist for the program. An explicit
// list, so that a search finds it and tests can make their own.
package all

import (
	"slices"

	"usher/internal/provider"
	"usher/internal/provider/meta"
)

// Definitions returns the providers' definitions, in the order they are shown.
func Definitions() []provider.Definition {
	return []provider.Definition{
		meta.Definition(),
	}
}

// Find returns the definition of the named provider.
func Find(name string) (provider.Definition, bool) {
	return first(func(d provider.Definition) bool { return d.Name == name })
}

// FindWorkflow returns the definition with the named workflow.
func FindWorkflow(workflow string) (provider.Definition, bool) {
	return first(func(d provider.Definition) bool { return d.Workflow == workflow })
}

func first(is func(provider.Definition) bool) (provider.Definition, bool) {
	list := Definitions()
	if i := slices.IndexFunc(list, is); i >= 0 {
		return list[i], true
	}
	return provider.Definition{}, false
}
