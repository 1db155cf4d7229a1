package duckdb

import "usher/internal/activation"

// nextState is what a ledger row in state prior becomes when the network's
// answer to op is outcome (delivery.md, step 9). held says that the removal
// kept values back which others need, or that the add is of a run that replaces
// all members. stateNone means: no row.
func nextState(op activation.Op, prior string, outcome activation.Outcome, held bool) string {
	switch outcome {
	case activation.Accepted:
		return accepted(op, held)
	case activation.Unknown:
		return stateMaybe
	case activation.Rejected:
		return rejected(op, prior, held)
	case activation.Superseded:
		if replaces(op, held) {
			return doubt(prior)
		}
		return prior
	default: // unsent: nothing happened
		return prior
	}
}

func accepted(op activation.Op, held bool) string {
	switch {
	case op != activation.OpRemove:
		return stateIn
	case held:
		return stateShared
	default:
		return stateNone
	}
}

// rejected keeps what a row says about values that may still be at the
// network; only where there is none do refused keys become refused.
func rejected(op activation.Op, prior string, held bool) string {
	switch {
	case op != activation.OpRemove && (prior == stateNone || prior == stateRefused):
		return stateRefused
	case replaces(op, held):
		return doubt(prior)
	default:
		return prior
	}
}

// replaces reports whether a row is of a run that replaces all members.
func replaces(op activation.Op, held bool) bool { return op != activation.OpRemove && held }

// doubt is what a row becomes that the network holds until all members are
// replaced, and not then.
func doubt(prior string) string {
	if prior == stateNone || prior == stateRefused {
		return prior
	}
	return stateMaybe
}
