package activation

import "time"

// ConsentLife is how long a person has to consent at the network.
const ConsentLife = 15 * time.Minute

// Consent is a consent under way: what will be stored when the person comes back
// from the network.
type Consent struct {
	// StateHash is the SHA-256 of the state that the person carries.
	StateHash []byte
	// Person is who asked for it.
	Person   string
	Provider string
	// Authorization is the one that is connected, new or not.
	Authorization      AuthorizationID
	Label, Description string
	// KeyID names the key that Sealed is sealed with.
	KeyID    string
	Sealed   []byte
	ReturnTo string
	// CreatedAt is when it was begun.
	CreatedAt time.Time
}
