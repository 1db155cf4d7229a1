package droptest

import (
	"usher/internal/matchkey"
	"usher/internal/provider"
)

// Far answers the conformance suite for a far side that knows files and no
// audiences: who is in follows from replaying them.
type Far struct {
	// Files returns the files that are there; Read makes members of them.
	Files func() Folder
	Read  func(Folder) (Members, error)
}

// members panics on files that cannot be read: then nothing else is to be said.
func (f Far) members() Members {
	m, err := f.Read(f.Files())
	if err != nil {
		panic(err)
	}
	return m
}

// Holds replays the files.
func (f Far) Holds(_ provider.RemoteID, key matchkey.Key, value []byte) bool {
	return f.members().Hold(key, value)
}

// Size replays the files.
func (f Far) Size(provider.RemoteID) int { return len(f.members()) }

// Audiences counts none: files know none.
func (f Far) Audiences() int { return 0 }

// Delete has nothing to take away.
func (f Far) Delete(provider.RemoteID) {}
