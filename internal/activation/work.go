package activation

// Work is one thing that is due, as the engine hands it to a worker.
type Work struct {
	// Kind names the worker, ID the thing.
	Kind string
	ID   string
	// Lease names what must be held while the work is done, such as "auth:<id>".
	// Works of one lease are never done by two nodes at once. "" = none needed.
	Lease string
	// Alone: of the works of this lease, which all say so, one is done at a time.
	Alone bool
}
