package meta

import "time"

// maxReplace is the most people that are replaced at once; the network advises
// against it for larger audiences, and so does the sandbox by refusing them.
const maxReplace = 100_000_000

// replacement is a session that is to take the place of all members of an
// audience. Nothing of it is seen before its last batch; one that is not ended
// within the window is forgotten.
type replacement struct {
	session int64
	started time.Time
	uploads []*upload
}

// lapse forgets a replacement whose window is over. The caller holds the lock.
func (a *audience) lapse(now time.Time, window time.Duration) {
	if a.replace != nil && now.Sub(a.replace.started) > window {
		a.replace = nil
	}
}

// collect takes a batch of a replacement; the last one has it matched.
func (a *audience) collect(at time.Time, u *upload, lag time.Duration) {
	if a.replace == nil || a.replace.session != u.Session {
		a.replace = &replacement{session: u.Session, started: at}
	}
	a.replace.uploads = append(a.replace.uploads, u)
	if u.Last {
		a.waiting = append(a.waiting, matching{due: at.Add(lag), upload: u, swap: a.replace.uploads})
		a.replace = nil
	}
}

// swap makes the rows of the uploads the members, instead of those there were.
func (a *audience) swap(uploads []*upload) {
	a.books.RemovedMembers += len(a.roster.members)
	a.roster = newRoster()
	for _, u := range uploads {
		a.match(u)
	}
}

// mayReplace says why a batch may not take part in a replacement, if so.
func (a *audience) mayReplace(batch sessionParam) *apiError {
	switch {
	case batch.id == 0:
		return missingParam("session")
	case a.settings.ValueBased:
		return invalidParam("a value-based audience cannot be replaced")
	case batch.total > maxReplace:
		return invalidParam("an audience of this size cannot be replaced")
	case a.replace != nil && a.replace.session != batch.id:
		return replacing()
	}
	return nil
}
