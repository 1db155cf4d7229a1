package web

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"usher/internal/activation"
	"usher/internal/delivery"
)

// Past sends the conversions of a past period.
type Past interface {
	History(ctx context.Context, d activation.DestinationID, p activation.Period, dry bool, user string) ([]delivery.Pushed, error)
}

func (c *Console) registerHistory(mux *http.ServeMux) {
	c.action(mux, "/destinations/{id}/history", activation.RoleOperator, c.pushHistory)
}

// pushHistory counts the conversions of some days, or sends them. The days are
// those of UTC, both included.
func (c *Console) pushHistory(v visit) (view, error) {
	id := activation.DestinationID(v.PathValue("id"))
	to := destinationPath(id)
	from, err := time.Parse(time.DateOnly, v.post("from"))
	if err != nil {
		return view{To: to, Said: flash{"bad", "Say on which day the period begins."}}, nil //nolint:nilerr // told to whoever typed it
	}
	until, err := time.Parse(time.DateOnly, v.post("to"))
	if err != nil {
		return view{To: to, Said: flash{"bad", "Say on which day the period ends."}}, nil //nolint:nilerr // the same
	}
	until = until.AddDate(0, 0, 1)
	if now := c.Now().UTC(); until.After(now) {
		until = now // today, as far as it has come
	}
	dry := v.post("send") == ""
	pushed, err := c.Past.History(v.Context(), id, activation.Period{From: from, Until: until}, dry, v.who.Name)
	if err != nil {
		return refused(to, err)
	}
	return view{To: to, Said: flash{"ok", pushedWords(pushed, dry)}}, nil
}

// pushedWords says what a push sends, or would send.
func pushedWords(pushed []delivery.Pushed, dry bool) string {
	var parts []string
	var send, old int64
	for _, p := range pushed {
		send, old = send+p.Counts.Staged, old+p.Counts.Omitted
		switch {
		case p.Withheld != "":
			parts = append(parts, sentence(p.Withheld))
		case p.Run.Number > 0:
			parts = append(parts, fmt.Sprintf("Run #%d sends them.", p.Run.Number))
		}
	}
	words := fmt.Sprintf("%s of the period, from before the job began, and %s left out because they are too old or name nobody.", many(send, "conversion"), num(old))
	if dry {
		words = "It would send " + words
	} else {
		words = "There are " + words
	}
	return strings.Join(append([]string{words}, parts...), " ")
}
