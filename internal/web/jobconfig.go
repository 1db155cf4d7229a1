package web

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
	"time"

	"usher/internal/activation"
	"usher/internal/catalog"
)

// jobJSON is how a job was declared, as JSON. Settings that are secret are
// redacted, and those of a workflow that is no longer there are left out, for
// nobody knows which of them are.
func (c *Console) jobJSON(j activation.Job) string {
	out := map[string]any{
		"workflow": j.Workflow, "name": j.Name, "continuous_update": j.Continuous, "run_frequency": j.Frequency,
		"fail_after": shortDuration(j.FailAfter), "stall_after": shortDuration(j.StallAfter),
	}
	if j.Destination != "" {
		out["destination_id"], out["segment_ids"], out["on_end"], out["withbackfill"] = j.Destination, j.Audiences, j.OnEnd, !j.SkipBackfill
	}
	if j.Level != "" {
		delete(out, "segment_ids")
		out["level"] = j.Level
	}
	if len(j.Exclude) > 0 {
		out["exclude"] = j.Exclude
	}
	if j.HoldoutPercent > 0 {
		out["holdout_percent"] = j.HoldoutPercent
	}
	if j.Stream != "" {
		delete(out, "segment_ids")
		out["stream"] = j.Stream
	}
	if len(j.Authorizations) > 0 {
		out["auth_ids"] = j.Authorizations
	}
	for name, text := range map[string]string{
		"description": j.Description, "time_of_day": j.TimeOfDay, "day_of_week": j.DayOfWeek, "timezone": j.Timezone, "quiet_time_of_day": j.QuietTimeOfDay,
		"quiet_timezone": j.QuietTimezone, "tag": j.Tag, "user_limit_frequency": j.UserLimitFrequency,
	} {
		if text != "" {
			out[name] = text
		}
	}
	for name, on := range map[string]bool{"backfill_only": j.BackfillOnly, "hidden": j.Hidden, "drop_events_during_quiet_window": j.DropQuiet, "verbose_logging": j.VerboseLogging} {
		if on {
			out[name] = true
		}
	}
	if j.QuietPeriod > 0 {
		out["quiet_period"] = j.QuietPeriod.Hours()
	}
	if j.UserLimit > 0 {
		out["user_limit"] = j.UserLimit
	}
	if !j.ExpiresAt.IsZero() {
		out["expires_at"] = j.ExpiresAt.UTC().Format(time.RFC3339)
	}
	if w, _, err := c.Catalog.Workflow(j.Workflow); err == nil {
		config := map[string]any{}
		for _, f := range w.Fields {
			if text, ok := j.Config[f.Name]; ok {
				config[f.Name] = catalog.SettingValue(f, text)
			}
		}
		out["config"] = config
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	_ = e.Encode(out) // plain values always encode
	return b.String()
}

// code is a piece of text with a colour: k a key, s a string, n a number or a word.
type code struct{ Class, Text string }

var jsonPiece = regexp.MustCompile(`"(?:[^"\\]|\\.)*"(:?)|-?\d[\d.eE+-]*|true|false|null`)

// colored splits JSON into its pieces.
func colored(text string) []code {
	var out []code
	at := 0
	for _, m := range jsonPiece.FindAllStringSubmatchIndex(text, -1) {
		if m[0] > at {
			out = append(out, code{"", text[at:m[0]]})
		}
		piece, class := text[m[0]:m[1]], "n"
		switch {
		case strings.HasSuffix(piece, `":`):
			out = append(out, code{"k", piece[:len(piece)-1]}, code{"", ":"})
			at = m[1]
			continue
		case strings.HasPrefix(piece, `"`):
			class = "s"
		}
		out = append(out, code{class, piece})
		at = m[1]
	}
	if at < len(text) {
		out = append(out, code{"", text[at:]})
	}
	return out
}
