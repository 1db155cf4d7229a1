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
	"time"

	"usher/internal/activation"
	"usher/internal/ingest"
	"usher/internal/pass"
	"usher/internal/warehouse"
)

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
	var body bytes.Buffer
	var outcomes []warehouse.Enriched
	counts := map[string]int64{}
	for i, a := range answers {
		switch a.outcome {
		case "":
			continue
		case "reply":
			if err := write(&body, message(job, p.Pass().Number, now, people[i], a)); err != nil {
				return err
			}
			counts[CountReplies]++
		case "none":
			counts[CountNone]++
		default:
			counts[CountFailed]++
		}
		outcomes = append(outcomes, warehouse.Enriched{Profile: people[i].Profile, Outcome: a.outcome})
	}
	if body.Len() > 0 {
		summary, err := e.cfg.Collector.Bulk(ctx, ingest.Request{
			Stream: s.stream, Body: io.Reader(&body), ContentType: "application/x-ndjson", TimestampField: ColumnAt, DropErrors: true, Filename: "enrichment",
		})
		if err != nil {
			return fmt.Errorf("store replies: %w", err)
		}
		// What a message can't hold, such as a reply that is too long, is no reply.
		if n := summary.RejectedCount; n > 0 {
			counts[CountReplies] -= n
			counts[CountFailed] += n
			e.cfg.Log.WarnContext(ctx, "replies were not taken as messages", "job_id", job.ID, "rejected", n)
		}
	}
	if err := e.cfg.Warehouse.Enriched(ctx, job.ID, now, outcomes); err != nil {
		return fmt.Errorf("remember who was asked about: %w", err)
	}
	for name, n := range counts {
		p.Count(name, n)
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

func write(body *bytes.Buffer, message map[string]any) error {
	enc := json.NewEncoder(body)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(message); err != nil {
		return &activation.Error{Kind: activation.Internal, Code: "INTERNAL-019", Message: "a reply can't be written as JSON"}
	}
	return nil
}
