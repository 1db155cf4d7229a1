package warehouse

import (
	"context"
	"errors"

	"usher/internal/activation"
)

// Erasure is what forgetting one person took away.
type Erasure struct {
	// Profiles is 0 or 1 (the one that has the identifier).
	Profiles, Messages, Identifiers, Memberships, StagedRows int64
	// Held are the targets whose ledger holds the person (in, maybe or shared);
	// of the person only what a remove there needs is kept.
	Held []activation.TargetID
	// Staged are the ordinals of the person in staged rows of runs that were not
	// folded in full; what of them is not sent is to be superseded.
	Staged []PersonStaged
}

// HeldState says what is left of a forgotten person at one target.
type HeldState struct {
	Target     activation.TargetID
	Generation int
	// Held: the ledger has a row of theirs. Code is what the network said when it
	// refused to remove it, "" where it did not.
	Held bool
	Code string
}

// ErrBusy means that something under way has to end first.
var ErrBusy = errors.New("the warehouse is busy")

// Forgets erases people (invariant 6). Every method may be told again.
type Forgets interface {
	// Suppress keeps an identifier value from making anybody again: a keyed digest
	// of it is kept, and messages that carry it are dropped when they are merged.
	// The value itself is kept, sealed, until Erase of the same forget is done.
	Suppress(ctx context.Context, f activation.ForgetID, field, value string) error
	// Erase deletes the person with the suppressed identifier: profile, messages,
	// identifiers, memberships, waiting events, drift and staged rows that are not
	// sent. All other identifiers of theirs are suppressed too. Of match keys and
	// ledgers it keeps what removing the person needs. A person nobody knows is an
	// Erasure of nothing.
	Erase(ctx context.Context, f activation.ForgetID) (Erasure, error)
	// Held tells what is left of the person at each target that held them.
	Held(ctx context.Context, f activation.ForgetID) ([]HeldState, error)
	// LetGo drops what is left of the person at a target whose network will not
	// take a remove any more.
	LetGo(ctx context.Context, f activation.ForgetID, t activation.TargetID) error
	// Told drops the match keys that were kept of the person for telling networks.
	// ErrConflict while a ledger still has them. What a run has staged and not yet
	// ended must not need them any more.
	Told(ctx context.Context, f activation.ForgetID) error
	// Compact rewrites the files so that nothing deleted can be read in them.
	// Reading and writing wait while files are exchanged, not while they are
	// written. It returns when the bytes are gone, or the error ErrBusy where what is
	// under way would have to wait too long: then it may be told again later.
	Compact(ctx context.Context) error
	// Carrying finds the lines of a load that carry a suppressed identifier, as the
	// mappings of its stream read them.
	Carrying(ctx context.Context, l Load) (lines []int64, err error)
	// Recognise returns a function that reports whether a text is a suppressed
	// identifier value, of whatever field.
	Recognise(ctx context.Context) (func(text string) bool, error)
	// Suppressed is how many identifier values are kept away.
	Suppressed(ctx context.Context) (int64, error)
}
