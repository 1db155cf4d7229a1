// Package enrich does the passes of enrichment jobs: it asks an outside program
// about people and stores its replies as messages.
//
// It owns who is asked about when, how people are put together into calls, and
// what an answer becomes. What a call is and what its errors mean is the
// provider's, who was asked about is remembered by the warehouse, and replies go
// the way of every upload, by the collector. It puts nobody's values into a log or
// a count.
//
// It is built for the crash between a reply that is stored and the note that the
// person was asked about: the pass is done again and asks again, and the message
// of the second reply has the id of the first, so it counts once. And for the far
// side that fails at one person: they are put aside until the next pass, and
// everybody else goes on.
package enrich
