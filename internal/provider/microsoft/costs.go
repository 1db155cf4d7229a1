package microsoft

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"usher/internal/activation"
	"usher/internal/outbound"
)

const (
	// maxReport is the most bytes of a report's file, and maxRows of what is in it.
	maxReport = 128 << 20
	maxTable  = 2 << 30
	// reportWait is how long a report may take.
	reportWait = 30 * time.Minute
)

// report is one of the three that costs are read from.
type report struct {
	form string
	kind activation.ObjectKind
	ids  []string // the columns that make the object's id
}

var reports = []report{
	{"CampaignPerformanceReportRequest", activation.KindCampaign, []string{"CampaignId"}},
	{"AdGroupPerformanceReportRequest", activation.KindGroup, []string{"CampaignId", "AdGroupId"}},
	{"KeywordPerformanceReportRequest", activation.KindKeyword, []string{"CampaignId", "AdGroupId", "KeywordId"}},
}

// The columns of every report.
const (
	columnDate        = "TimePeriod"
	columnCurrency    = "CurrencyCode"
	columnImpressions = "Impressions"
	columnClicks      = "Clicks"
	columnSpend       = "Spend"
	columnConversions = "Conversions"
	columnRevenue     = "Revenue"
)

func (r report) columns() []string {
	return slices.Concat([]string{columnDate}, r.ids, []string{columnCurrency, columnImpressions, columnClicks, columnSpend, columnConversions, columnRevenue})
}

// Costs reads one report for each level: it is asked for, waited for and downloaded.
func (p *publisher) Costs(ctx context.Context, from, until string, yield func(activation.Cost) error) error {
	info, err := p.known(ctx)
	if err != nil {
		return err
	}
	begin, err := time.Parse(time.DateOnly, from)
	end, endErr := time.Parse(time.DateOnly, until)
	if err = errors.Join(err, endErr); err != nil {
		return invalid("from", "a day is written such as 2026-11-20")
	}
	day := func(t time.Time) date { return date{t.Day(), int(t.Month()), t.Year()} }
	for _, r := range reports {
		id, err := p.submit(ctx, r, day(begin), day(end), info.TimeZone)
		if err != nil {
			return err
		}
		address, err := p.ready(ctx, id)
		if err != nil {
			return err
		}
		if address == "" {
			continue // nothing was spent
		}
		file, err := p.download(ctx, address)
		if err != nil {
			return err
		}
		if err := r.rows(file, info.CurrencyCode, yield); err != nil {
			return err
		}
	}
	return nil
}

func (p *publisher) submit(ctx context.Context, r report, begin, end date, zone string) (string, error) {
	when := map[string]any{"CustomDateRangeStart": begin, "CustomDateRangeEnd": end}
	if zone != "" {
		when["ReportTimeZone"] = zone
	}
	body := map[string]any{"ReportRequest": map[string]any{
		"Type": r.form, "ReportName": "Usher", "Format": "Csv", "FormatVersion": "2.0", "Aggregation": "Daily",
		"ExcludeColumnHeaders": false, "ExcludeReportHeader": true, "ExcludeReportFooter": true, "ReturnOnlyCompleteData": false,
		"Columns": r.columns(), "Scope": map[string]any{"AccountIds": []string{p.account}}, "Time": when,
	}}
	var out struct {
		ReportRequestID string `json:"ReportRequestId"`
	}
	err := p.call(ctx, request{method: http.MethodPost, address: p.reportingURL + reportPath + "Submit", body: body}, &out)
	if err == nil && out.ReportRequestID == "" {
		err = classAnswer.New()
	}
	return out.ReportRequestID, err
}

// ready waits until a report is done and returns where it is, "" for one without rows.
func (p *publisher) ready(ctx context.Context, id string) (string, error) {
	for waited := time.Duration(0); waited < reportWait; waited += p.reportPoll {
		var out struct {
			ReportRequestStatus struct {
				Status            string
				ReportDownloadURL string `json:"ReportDownloadUrl"`
			}
		}
		err := p.call(ctx, request{method: http.MethodPost, address: p.reportingURL + reportPath + "Poll", body: map[string]any{"ReportRequestId": id}}, &out)
		if err != nil {
			return "", err
		}
		switch out.ReportRequestStatus.Status {
		case "Success":
			return out.ReportRequestStatus.ReportDownloadURL, nil
		case "Pending":
		case "Error":
			return "", classReport.New()
		default:
			return "", classAnswer.New()
		}
		if err := wait(ctx, p.reportPoll); err != nil {
			return "", err
		}
	}
	return "", classReport.New()
}

// download fetches the file. Its address carries its own permission, and goes to
// another host: no credentials go with it.
func (p *publisher) download(ctx context.Context, address string) ([]byte, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" && !strings.HasPrefix(p.reportingURL, u.Scheme+"://") || u.Host == "" || u.User != nil {
		e := classAnswer.New()
		e.Message = "microsoft named an address of the report that is not called"
		return nil, e
	}
	req, err := http.NewRequestWithContext(outbound.WithBytes(ctx, maxReport), http.MethodGet, address, http.NoBody)
	if err != nil {
		return nil, classAnswer.New()
	}
	a, err := outbound.Call(p.http, req, func(a outbound.Answer) error {
		if a.Status == http.StatusOK {
			return nil
		}
		return answered(classReport, a.Status, rowError{Code: -1})
	})
	return a.Body, err
}

// rows calls yield with each row of the table in a report's file.
func (r report) rows(file []byte, currency string, yield func(activation.Cost) error) error {
	broken := func() error {
		e := classAnswer.New()
		e.Message = "the report of costs cannot be read"
		return e
	}
	archive, err := zip.NewReader(bytes.NewReader(file), int64(len(file)))
	if err != nil || len(archive.File) != 1 {
		return broken()
	}
	in, err := archive.File[0].Open()
	if err != nil {
		return broken()
	}
	defer func() { _ = in.Close() }()                    // it is only read
	bounded := &io.LimitedReader{R: in, N: maxTable + 1} // what is left out would not be missed
	table := csv.NewReader(bounded)
	table.ReuseRecord = true
	head, err := table.Read()
	if err != nil {
		return broken()
	}
	place := map[string]int{}
	for i, name := range head {
		place[strings.TrimPrefix(name, "\ufeff")] = i
	}
	for _, name := range r.columns() {
		if _, ok := place[name]; !ok {
			return broken()
		}
	}
	for {
		row, err := table.Read()
		if errors.Is(err, io.EOF) && bounded.N > 0 {
			return nil
		}
		if err != nil {
			return broken()
		}
		c, ok := r.cost(func(name string) string { return strings.TrimSpace(row[place[name]]) }, currency)
		if !ok {
			return broken()
		}
		if err := yield(c); err != nil {
			return err
		}
	}
}

// cost is one row.
func (r report) cost(cell func(name string) string, currency string) (c activation.Cost, ok bool) {
	c = activation.Cost{Date: cell(columnDate), Currency: cell(columnCurrency), Object: activation.ObjectRef{Kind: r.kind}}
	for _, name := range r.ids {
		c.Object.ID = join(c.Object.ID, cell(name))
	}
	var errs []error
	number := func(name string) float64 {
		if cell(name) == "" { // there were none
			return 0
		}
		v, err := strconv.ParseFloat(cell(name), 64)
		errs = append(errs, err)
		return v
	}
	var err error
	c.Impressions, err = strconv.ParseInt(cell(columnImpressions), 10, 64)
	errs = append(errs, err)
	c.Clicks, err = strconv.ParseInt(cell(columnClicks), 10, 64)
	errs = append(errs, err)
	c.Micros, err = micros(cell(columnSpend))
	errs = append(errs, err)
	c.Conversions, c.Value = number(columnConversions), number(columnRevenue)
	if c.Currency == "" {
		c.Currency = currency
	}
	_, dateErr := time.Parse(time.DateOnly, c.Date)
	return c, errors.Join(errs...) == nil && dateErr == nil && safePath(c.Object.ID)
}
