package enrich

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"usher/internal/activation"
	"usher/internal/ingest"
	"usher/internal/pass"
	"usher/internal/warehouse"
)

// CodeReply is the class of replies that no message can be made of.
const CodeReply = "ENRICH-REPLY"

// The columns of a reply's message beside those of the reply and the identifiers.
const (
	// ColumnID names the message: the same for a person however often one pass asks.
	ColumnID = "enrichment_id"
	// ColumnAt is when the person was asked about.
	ColumnAt = "enriched_at"
)

// keep stores the replies of a round and then remembers who was asked about. In
// between it may crash: the pass is done again, and the messages have the ids they
// had.
func (e *Enrich) keep(ctx context.Context, job activation.Job, s settings, p pass.Progress, people []warehouse.Enrichment, answers []answer) error {
	now := e.cfg.Now().UTC()
	r := replies{body: &bytes.Buffer{}}
	var outcomes []warehouse.Enriched
	for i, a := range answers {
		if a.outcome == "" {
			continue
		}
		if a.outcome == outcomeReply {
			if err := r.write(message(job, p.Pass().Number, now, people[i], a), len(outcomes)); err != nil {
				return err
			}
		}
		outcomes = append(outcomes, warehouse.Enriched{Profile: people[i].Profile, Outcome: a.outcome})
	}
	if len(r.whose) > 0 {
		if _, err := e.cfg.Collector.Bulk(ctx, ingest.Request{
			Stream: s.stream, Body: io.Reader(r.body), ContentType: "application/x-ndjson", TimestampField: ColumnAt, DropErrors: true, Filename: "enrichment", Rejected: r.reject,
		}); err != nil {
			return fmt.Errorf("store replies: %w", err)
		}
		// What a message can't hold, such as a reply that is too long, is no reply.
		for _, n := range r.refused {
			outcomes[n].Outcome = outcomeFailed
		}
		if err := r.note(ctx, p); err != nil {
			return err
		}
	}
	if err := e.cfg.Warehouse.Enriched(ctx, job.ID, now, outcomes); err != nil {
		return fmt.Errorf("remember who was asked about: %w", err)
	}
	for _, o := range outcomes {
		p.Count(countOf[o.Outcome], 1)
	}
	return nil
}

// countOf is the count of each outcome.
var countOf = map[string]string{outcomeReply: CountReplies, outcomeNone: CountNone, outcomeFailed: CountFailed}

// replies are the messages of one round, one a line.
type replies struct {
	body  *bytes.Buffer
	whose []int // of each line
	// refused are those whose message was not taken, why says how many for each
	// reason.
	refused []int
	why     map[string]int
}

// reject is told each line that was not taken.
func (r *replies) reject(bad ingest.RowError) {
	if bad.Line < 1 || bad.Line > int64(len(r.whose)) {
		return
	}
	r.refused = append(r.refused, r.whose[bad.Line-1])
	if r.why == nil {
		r.why = map[string]int{}
	}
	r.why[bad.Reason]++
}

func many(n int) string {
	if n == 1 {
		return "one reply was not"
	}
	return fmt.Sprintf("%d replies were not", n)
}

// note writes into the log of the job what was not taken, and why.
func (r *replies) note(ctx context.Context, p pass.Progress) error {
	for _, reason := range slices.Sorted(maps.Keys(r.why)) {
		if err := p.Note(ctx, "warn", CodeReply, fmt.Sprintf("%s taken as messages: %s", many(r.why[reason]), reason)); err != nil {
			return err
		}
	}
	return nil
}

// message is a reply as a message of the person's: the identifiers say whose, and
// a column of the reply that has the name of one of them gives way.
func message(job activation.Job, number int64, at time.Time, of warehouse.Enrichment, a answer) map[string]any {
	out := maps.Clone(a.reply.Values)
	for i := len(of.Identifiers) - 1; i >= 0; i-- { // the first of each field counts
		out[of.Identifiers[i].Field] = of.Identifiers[i].Value
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s/%d/%d", job.ID, of.Profile, number))
	out[ColumnID], out[ColumnAt] = hex.EncodeToString(sum[:16]), at.Format(time.RFC3339Nano)
	return out
}

// write adds a message of whose, the number of an outcome.
func (r *replies) write(message map[string]any, whose int) error {
	enc := json.NewEncoder(r.body)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(message); err != nil {
		return &activation.Error{Kind: activation.Internal, Code: "INTERNAL-019", Message: "a reply can't be written as JSON"}
	}
	r.whose = append(r.whose, whose)
	return nil
}
