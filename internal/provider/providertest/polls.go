package providertest

import (
	"errors"
	"fmt"
	"time"

	"usher/internal/activation"
)

const (
	caseLatePoll    = "an answer that comes late"
	casePartialPoll = "a late answer that rejects one row"
	caseNoPoll      = "a poll of a network that answers at once"
)

// pollChecks are about networks that answer later.
func pollChecks() []check {
	return []check{
		{caseLatePoll, ability, latePoll},
		{casePartialPoll, ability, partialPoll},
		{caseNoPoll, ability, noPoll},
	}
}

func latePoll(w *world) error {
	b, people, err := w.failing(Fault{Kind: Late})
	if err != nil {
		return err
	}
	return errors.Join(w.late(b), w.allIn(b.Remote, people...))
}

// late delivers a batch that the network answers later, asks twice too early,
// and once when the answer is there.
func (s *stage) late(b batch) error {
	rc, err := s.dest.Deliver(s.ctx, b)
	s.said.hear(err)
	for range 2 {
		if err != nil {
			return err
		}
		if rc.PollToken == "" || rc.PollAfter.Before(time.Now()) || rc.Accepted+rc.Rejected != 0 {
			return fmt.Errorf("the network has not answered, the receipt is %+v", rc)
		}
		rc, err = s.dest.Poll(s.ctx, rc.PollToken, int64(b.Rows()))
		s.said.hear(err)
	}
	if err != nil {
		return err
	}
	s.far.Heal()
	rc, err = s.dest.Poll(s.ctx, rc.PollToken, int64(b.Rows()))
	s.said.hear(err)
	if err != nil {
		return err
	}
	return checkReceipt(rc, int64(b.Rows()))
}

func partialPoll(w *world) error {
	b, people, err := w.failing(Fault{Kind: Late})
	if err != nil {
		return err
	}
	if err := w.net.Fail(Fault{Kind: BadRow, Row: 1}); err != nil {
		return err
	}
	rc, err := w.deliver(b) // heals and polls
	if err != nil {
		return err
	}
	if rc.Rejected != 1 || rc.Exceptions[0].Ordinal != 1 {
		return fmt.Errorf("row 1 is bad, the receipt is %+v", rc)
	}
	return errors.Join(w.noneIn(b.Remote, people[1]), w.allIn(b.Remote, people[0], people[2]))
}

func noPoll(w *world) error {
	_, err := w.dest.Poll(w.ctx, "token", 1)
	w.said.hear(err)
	_, err = wantError(err, activation.Invalid, false)
	return err
}
