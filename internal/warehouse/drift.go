package warehouse

import (
	"context"

	"usher/internal/activation"
	"usher/internal/matchkey"
)

// CompareRequest compares a ledger with the members that a network names.
type CompareRequest struct {
	Target     activation.TargetID
	Generation int
	Keys       matchkey.Set
	// Read calls yield with each member at the network: one value per key of Keys,
	// nil where it has none. The values are valid during the call only.
	Read func(ctx context.Context, yield func(values [][]byte) error) error
}

// Drift is how a ledger and a network differ.
type Drift struct {
	Ledger  int64 // people who are in by the ledger
	Remote  int64 // members at the network
	Missing int64 // in by the ledger, with none of their keys at the network
	Extra   int64 // members at the network none of whose keys the ledger holds
}

// DriftKind says on which side a person is.
type DriftKind string

const (
	DriftMissing DriftKind = "missing"
	DriftExtra   DriftKind = "extra"
)

// DriftRow is one difference, as people may see it.
type DriftRow struct {
	N    int64     `json:"n"` // for paging
	Kind DriftKind `json:"kind"`
	// Profile is whose it is; 0 where nobody here holds those keys.
	Profile int64 `json:"profile_id,omitempty"`
	// Keys are the names of the keys it is known by, never their values.
	Keys []string `json:"keys"`
}

// Drifts compares ledgers with networks.
type Drifts interface {
	// Compare keeps the differences of a target, replacing earlier ones. People
	// who are maybe or shared, and values that a maybe holds, are no difference.
	Compare(ctx context.Context, r CompareRequest) (Drift, error)
	// DriftRows pages through the differences kept of a target.
	DriftRows(ctx context.Context, t activation.TargetID, after int64, limit int) ([]DriftRow, error)
	// Repair makes the next run mend the differences: who is missing becomes
	// maybe, hence is added again, and who is extra becomes a row of the ledger
	// that is maybe, hence is removed unless wanted. Somebody unknown gets a
	// profile id that is nobody's. It returns how many were taken on, and forgets
	// the differences. Told again it changes nothing.
	Repair(ctx context.Context, t activation.TargetID, generation int) (missing, extra int64, err error)
}
