package providertest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"usher/internal/activation"
	"usher/internal/matchkey"
	"usher/internal/provider"
)

type (
	key   = matchkey.Key
	batch = provider.Batch
)

// faultChecks are about calls that go wrong: what the error asks for is right.
func faultChecks() []check {
	return []check{
		{"no answer after it took effect", local, noAnswer},
		{"cut after it took effect", local, cut},
		{"internal error", notHTTP, broken},
		{"a web page instead of an answer", notHTTP, page},
		{"token refused in the middle of a run", local, badToken},
		{"throttled for a time", notHTTP, throttledFor},
		{"throttled without a time", notHTTP, throttled},
		{"refused whole", ability, refuseWhole},
		{"cancelled before the call", never, cancelledBefore},
		{"cancelled during the call", local, cancelledDuring},
	}
}

// failing makes an audience with one person and arranges the fault for the next
// call; it returns the batch to send.
func (w *world) failing(f Fault) (batch, []person, error) {
	id, err := w.audience()
	if err != nil {
		return batch{}, nil, err
	}
	all := w.people(0, 4)
	if _, err := w.deliver(w.batch(activation.OpAdd, id, all[0])); err != nil {
		return batch{}, nil, err
	}
	return w.batch(activation.OpAdd, id, all[1:]...), all[1:], w.net.Fail(f)
}

// unknown checks a call that took effect although it failed: it must say that it
// may have, and where that is harmless sending it again must bring nobody twice.
func (w *world) unknown(f Fault, limit time.Duration) error {
	b, people, err := w.failing(f)
	if err != nil {
		return err
	}
	d, err := w.destination(limit)
	if err != nil {
		return err
	}
	ctx, cancel := w.within(limit)
	_, err = w.send(ctx, d, b)
	cancel()
	if _, err := wantError(err, activation.Unavailable, true); err != nil {
		return err
	}
	w.net.Heal()
	if err := w.allIn(b.Remote, people...); err != nil {
		return fmt.Errorf("the fault did not let the call take effect: %w", err)
	}
	if w.def.Replay != provider.ReplayHarmless {
		return nil
	}
	b.Attempt++
	if _, err := w.deliver(b); err != nil {
		return fmt.Errorf("sent again: %w", err)
	}
	return w.only(b.Remote, w.people(0, 4)...)
}

func noAnswer(w *world) error { return w.unknown(Fault{Kind: NoAnswer}, shortTime) }
func cut(w *world) error      { return w.unknown(Fault{Kind: Cut}, callTime) }
func broken(w *world) error   { return w.unknown(Fault{Kind: Broken}, callTime) }

func page(w *world) error {
	b, _, err := w.failing(Fault{Kind: Page})
	if err != nil {
		return err
	}
	_, err = w.deliver(b)
	_, err = wantError(err, activation.Unavailable, true)
	return err
}

func badToken(w *world) error {
	b, people, err := w.failing(Fault{Kind: BadToken})
	if err != nil {
		return err
	}
	_, err = w.deliver(b)
	if _, err := wantError(err, activation.Unauthorized, false); err != nil {
		return err
	}
	if err := w.noneIn(b.Remote, people...); err != nil {
		return err
	}
	w.net.Heal()
	if _, err := w.deliver(b); err != nil {
		return fmt.Errorf("after the token was mended: %w", err)
	}
	return w.allIn(b.Remote, people...)
}

func throttledFor(w *world) error {
	const wait = 7 * time.Minute
	e, err := w.throttle(Fault{Kind: Throttle, Wait: wait})
	if err != nil {
		return err
	}
	if got := time.Until(e.Until); got < wait-5*time.Second || got > wait+5*time.Second {
		return fmt.Errorf("waits %v, the network asked for %v", got, wait)
	}
	return nil
}

func throttled(w *world) error {
	e, err := w.throttle(Fault{Kind: Throttle})
	if err != nil {
		return err
	}
	if got := time.Until(e.Until); got < time.Second || got > 25*time.Hour {
		return fmt.Errorf("waits %v, the network named no time", got)
	}
	return nil
}

func (w *world) throttle(f Fault) (*activation.Error, error) {
	b, people, err := w.failing(f)
	if err != nil {
		return nil, err
	}
	_, err = w.deliver(b)
	e, err := wantError(err, activation.WaitUntil, false)
	return e, errors.Join(err, w.noneIn(b.Remote, people...))
}

func refuseWhole(w *world) error {
	b, people, err := w.failing(Fault{Kind: RefuseWhole})
	if err != nil {
		return err
	}
	_, err = w.deliver(b)
	_, err = wantError(err, activation.RefusedWhole, false)
	return errors.Join(err, w.noneIn(b.Remote, people...))
}

func cancelledBefore(w *world) error {
	id, err := w.audience()
	if err != nil {
		return err
	}
	writes := w.net.Writes()
	ctx, cancel := context.WithCancel(w.ctx)
	cancel()
	all := w.people(0, 2)
	_, err = w.send(ctx, w.dest, w.batch(activation.OpAdd, id, all...))
	if _, kindErr := wantError(err, activation.Unavailable, false); kindErr != nil {
		return kindErr
	}
	if !errors.Is(err, context.Canceled) {
		return fmt.Errorf("the cause is lost: %w", err)
	}
	if w.net.Writes() != writes {
		return errors.New("a cancelled call was made")
	}
	return w.noneIn(id, all...)
}

func cancelledDuring(w *world) error {
	b, _, err := w.failing(Fault{Kind: NoAnswer})
	if err != nil {
		return err
	}
	ctx, stop := w.cancelMeanwhile()
	begin := time.Now()
	_, err = w.send(ctx, w.dest, b)
	took := time.Since(begin)
	stop()
	if _, kindErr := wantError(err, activation.Unavailable, true); kindErr != nil {
		return kindErr
	}
	if !errors.Is(err, context.Canceled) {
		return fmt.Errorf("the cause is lost: %w", err)
	}
	if took > callTime/2 {
		return fmt.Errorf("stopping took %v", took)
	}
	return nil
}
