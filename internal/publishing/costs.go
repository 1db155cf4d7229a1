package publishing

import (
	"context"
	"slices"
	"strings"
	"time"

	"usher/internal/activation"
)

const (
	// shownDays is how many days back costs are shown where nobody says otherwise.
	shownDays = 30
	// maxCostRows is the most rows of one answer.
	maxCostRows = 10_000
)

// Costs returns what was spent, in one currency: amounts in several are never added
// up. Where the rows are in several and none is named, the answer says which there are
// and has no rows.
func (d *Desk) Costs(ctx context.Context, q activation.CostQuery) (CostReport, error) {
	account, err := d.cfg.Store.Publisher(ctx, q.Publisher)
	if err != nil {
		return CostReport{}, err
	}
	if q, err = checkCosts(q, d.cfg.Now().In(location(account))); err != nil {
		return CostReport{}, err
	}
	report := CostReport{Currency: q.Currency, Currencies: []string{}, Rows: []activation.CostRow{}}
	byDay := q
	byDay.By, byDay.Currency, byDay.Limit = "date", "", 0
	days, err := d.cfg.Store.Costs(ctx, byDay)
	if err != nil {
		return CostReport{}, err
	}
	for _, r := range days {
		if !slices.Contains(report.Currencies, r.Currency) {
			report.Currencies = append(report.Currencies, r.Currency)
		}
	}
	slices.Sort(report.Currencies)
	if report.Currency == "" {
		switch len(report.Currencies) {
		case 0:
			report.Currency = account.Currency
		case 1:
			report.Currency = report.Currencies[0]
		default:
			return report, nil
		}
	}
	q.Currency = report.Currency
	rows, err := d.cfg.Store.Costs(ctx, q)
	report.Rows = append(report.Rows, rows...)
	return report, err
}

// checkCosts fills in what is not said, and names every wrong field.
func checkCosts(q activation.CostQuery, today time.Time) (activation.CostQuery, error) {
	var p activation.Problems
	q.Currency = strings.ToUpper(q.Currency)
	if q.Until == "" {
		q.Until = today.Format(dateForm)
	}
	until, err := time.Parse(dateForm, q.Until)
	if err != nil {
		p.Add(CodeSettings, "until", "must be a day written as 2026-11-20")
	}
	if q.From == "" {
		q.From = until.AddDate(0, 0, -shownDays).Format(dateForm)
	}
	from, err := time.Parse(dateForm, q.From)
	if err != nil {
		p.Add(CodeSettings, "from", "must be a day written as 2026-11-20")
	} else if len(p) == 0 && from.After(until) {
		p.Add(CodeSettings, "from", "must not be after until")
	}
	if q.Object.ID != "" {
		q.Kind = q.Object.Kind
	}
	if q.Kind == "" {
		q.Kind = activation.KindCampaign
	}
	if !slices.Contains(activation.ObjectKinds, q.Kind) {
		p.Add(CodeSettings, "kind", "must be campaign, group, creative, keyword or other")
	}
	if !slices.Contains([]string{"", "date", "object"}, q.By) {
		p.Add(CodeSettings, "by", "must be date or object; empty = both")
	}
	if q.Limit <= 0 || q.Limit > maxCostRows {
		q.Limit = maxCostRows
	}
	return q, p.Err()
}
