package web

import (
	"context"

	"usher/internal/activation"
)

// failedLoads are how many uploads failed of the newest, and the last of them.
func (c *Console) failedLoads(ctx context.Context) (int, *loadRow, error) {
	loads, err := c.Loads.Recent(ctx, "", loadsLooked)
	if err != nil {
		return 0, nil, err
	}
	failed, newest := 0, (*loadRow)(nil)
	for _, l := range loads {
		if loadChip(l.Status).Tone != "bad" {
			continue
		}
		if failed++; newest == nil {
			newest = &loadRow{LoadStatus: l, Chip: loadChip(l.Status), Help: codeHelp(l.ErrorCode)}
		}
	}
	return failed, newest, nil
}

// loadsLooked is how many of the newest uploads the overview looks at.
const loadsLooked = 100

// dataAttention adds what is wrong with data that comes in: uploads that failed,
// streams that have changed, and forgets that do not get on.
func (c *Console) dataAttention(v visit, p *overviewPage) error {
	failed, newest, err := c.failedLoads(v.Context())
	if err != nil {
		return err
	}
	if failed > 0 {
		p.Data++
		text := newest.ErrorCode + ": " + sentence(newest.Error)
		again := v.press(loadPath(newest.ID)+"/retry", "Merge again", "refresh")
		p.Attention = append(p.Attention, attention{
			Logo: "database", Link: link{"/data#uploads", many(int64(failed), "upload") + " failed"}, Chip: newest.Chip, Text: text,
			Note: "The last one came at " + utc(newest.ReceivedAt) + " to " + newest.Stream, Buttons: []button{again}, Fix: &link{"/data#uploads", "Open uploads"},
		})
	}
	rows, err := c.streamRows(v)
	if err != nil {
		return err
	}
	for _, s := range rows {
		if s.Drift == 0 {
			continue
		}
		p.Data++
		drift, err := c.changeRows(v, s.Name)
		if err != nil {
			return err
		}
		p.Attention = append(p.Attention, attention{
			Logo: "database", Link: link{s.Path, "The stream " + s.Name + " brings something else"}, Chip: drift[0].Chip,
			Text: driftWords(drift), Note: "Since " + utc(drift[len(drift)-1].Since), Fix: &link{s.Path + "#drift", "Look at it"},
		})
	}
	return c.forgetAttention(v, p)
}

// driftWords says what has changed, in one sentence.
func driftWords(rows []changeRow) string {
	var parts []string
	for _, d := range rows[:min(len(rows), 4)] {
		switch d.Kind {
		case "new_column":
			parts = append(parts, "the column "+d.Column+" is new")
		case "missing_column":
			parts = append(parts, "the column "+d.Column+" does not come any more")
		default:
			parts = append(parts, num(d.Count)+" of "+many(d.Of, "value")+" of "+orText(d.Field, d.Column)+" could not be read")
		}
	}
	if more := len(rows) - len(parts); more > 0 {
		parts = append(parts, num(more)+" more")
	}
	return sentence(joinComma(parts))
}

// forgetAttention adds the requests to forget that an error holds up.
func (c *Console) forgetAttention(v visit, p *overviewPage) error {
	if c.Forgets == nil {
		return nil
	}
	all, err := c.Forgets.Forgets(v.Context(), forgetsShown)
	if err != nil {
		return err
	}
	for _, f := range all {
		if f.Status != activation.ForgetPending || f.ErrorCode == "" {
			continue
		}
		row := forgetRowOf(f)
		p.Data++
		p.Attention = append(p.Attention, attention{
			Logo: "trash", Link: link{row.Path, "A forget does not get on"}, Chip: row.Chip, Text: row.Says, Note: "Asked for at " + utc(f.RequestedAt), Fix: &link{row.Path, "Open it"},
		})
	}
	return nil
}
