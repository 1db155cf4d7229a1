package microsoft

import (
	"archive/zip"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Cost is what the reports say of one object on one day.
type Cost struct {
	// Kind is Campaigns, AdGroups or Keywords.
	Kind, ID    string
	Date        string
	Impressions int64
	Clicks      int64
	// Micros are millionths of the currency's unit.
	Micros      int64
	Conversions float64
	Revenue     float64
}

type costKey struct{ kind, id, date string }

// Spend says what the reports tell of an object on one day.
func (n *Network) Spend(c Cost) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.costs[costKey{c.Kind, c.ID, c.Date}] = c
}

// report is one that was asked for.
type report struct {
	form    string
	columns []string
	from    string
	until   string
	polls   int
}

// forms are the reports by the kind of object that their rows are of.
var forms = map[string]string{
	"CampaignPerformanceReportRequest": "Campaigns", "AdGroupPerformanceReportRequest": "AdGroups", "KeywordPerformanceReportRequest": "Keywords",
}

// allowed are the columns that are known here.
var allowed = []string{"TimePeriod", "CampaignId", "AdGroupId", "KeywordId", "CurrencyCode", "Impressions", "Clicks", "Spend", "Conversions", "Revenue"}

type reportDay struct{ Day, Month, Year int }

func (d reportDay) String() string { return fmt.Sprintf("%04d-%02d-%02d", d.Year, d.Month, d.Day) }

// reporting answers a call of the Reporting service.
func (n *Network) reporting(c *call, what string) (any, *apiError) {
	switch what {
	case "Submit":
		return n.submit(c)
	case "Poll":
		return n.poll(c)
	}
	return nil, &apiError{http.StatusNotFound, 0, "NotFound", "There is no such resource."}
}

func (n *Network) submit(c *call) (any, *apiError) {
	var in struct {
		ReportRequest struct {
			Type, ReportName, Format, FormatVersion, Aggregation                                   string
			ExcludeColumnHeaders, ExcludeReportHeader, ExcludeReportFooter, ReturnOnlyCompleteData *bool
			Columns                                                                                []string
			Scope                                                                                  struct {
				AccountIDs []id `json:"AccountIds"`
			}
			Time struct {
				CustomDateRangeStart, CustomDateRangeEnd reportDay
				ReportTimeZone                           string
			}
		}
	}
	if e := decode(c.body, &in); e != nil {
		return nil, e
	}
	r := in.ReportRequest
	begin, err := time.Parse(time.DateOnly, r.Time.CustomDateRangeStart.String())
	end, endErr := time.Parse(time.DateOnly, r.Time.CustomDateRangeEnd.String())
	switch {
	case forms[r.Type] == "":
		return nil, bad("NullRequest", "The request message is null.")
	case r.Format != "Csv" || r.Aggregation != "Daily" || r.FormatVersion != "2.0":
		return nil, bad("InvalidFormat", "Reports are daily, of the format Csv and its version 2.0.")
	case len(r.Scope.AccountIDs) != 1 || string(r.Scope.AccountIDs[0]) != n.opts.Account:
		return nil, bad("InvalidScope", "The scope must be the account.")
	case err != nil || endErr != nil || end.Before(begin):
		return nil, bad("InvalidTime", "The days are not good.")
	case r.Time.ReportTimeZone != n.opts.TimeZone:
		return nil, bad("InvalidTimeZone", "The days would not be those of the account.")
	case r.ExcludeReportHeader == nil || !*r.ExcludeReportHeader || r.ExcludeReportFooter == nil || !*r.ExcludeReportFooter:
		return nil, bad("InvalidFormat", "Header and footer are left out here.")
	}
	for _, name := range r.Columns {
		if !slices.Contains(allowed, name) {
			return nil, bad("InvalidColumn", "There is no column %s here.", name)
		}
	}
	n.reportNo++
	key := "r" + strconv.Itoa(n.reportNo)
	n.reports[key] = &report{form: r.Type, columns: r.Columns, from: begin.Format(time.DateOnly), until: end.Format(time.DateOnly), polls: n.opts.Polls}
	return map[string]any{"ReportRequestId": key}, nil
}

func (n *Network) poll(c *call) (any, *apiError) {
	var in struct {
		ReportRequestID string `json:"ReportRequestId"`
	}
	if e := decode(c.body, &in); e != nil {
		return nil, e
	}
	r, ok := n.reports[in.ReportRequestID]
	if !ok {
		return nil, &apiError{http.StatusBadRequest, 2100, "ReportingServiceInvalidReportId", "There is no such report."}
	}
	status := map[string]any{"Status": "Pending", "ReportDownloadUrl": nil}
	if r.polls--; r.polls < 0 {
		status["Status"] = "Success"
		if len(n.rows(r)) > 0 { // a report without rows has no file
			status["ReportDownloadUrl"] = n.root(c) + "/" + filePath + in.ReportRequestID + ".zip"
		}
	}
	return map[string]any{"ReportRequestStatus": status}, nil
}

// root is the address by which the call came, without its path.
func (n *Network) root(c *call) string {
	prefix := ""
	if i := strings.Index(c.request.RequestURI, "/"+reportPath); i > 0 {
		prefix = c.request.RequestURI[:i]
	}
	return "http://" + c.request.Host + prefix
}

// file gives a report's file. It must come without credentials, which are not for
// whoever keeps files.
func (n *Network) file(c *call) answer {
	key := strings.TrimSuffix(strings.TrimPrefix(c.path, filePath), ".zip")
	r, ok := n.reports[key]
	h := c.request.Header
	if !ok || h.Get("Authorization") != "" || h.Get("DeveloperToken") != "" {
		return answer{status: http.StatusForbidden, body: map[string]any{"error": "AuthenticationFailed"}}
	}
	var file bytes.Buffer
	archive := zip.NewWriter(&file)
	part, err := archive.Create("report.csv")
	if err == nil {
		_, err = part.Write([]byte("\ufeff"))
	}
	if err == nil {
		table := csv.NewWriter(part)
		err = table.WriteAll(append([][]string{r.columns}, n.rows(r)...))
	}
	if err == nil {
		err = archive.Close()
	}
	if err != nil {
		return answer{status: http.StatusInternalServerError, body: map[string]any{"error": err.Error()}}
	}
	return answer{status: http.StatusOK, raw: file.Bytes()}
}

// rows are those of a report, by day and object.
func (n *Network) rows(r *report) [][]string {
	var rows [][]string
	for key, c := range n.costs {
		if key.kind != forms[r.form] || c.Date < r.from || c.Date > r.until {
			continue
		}
		values := map[string]string{
			"TimePeriod": c.Date, "CurrencyCode": n.opts.Currency, "Impressions": strconv.FormatInt(c.Impressions, 10), "Clicks": strconv.FormatInt(c.Clicks, 10),
			"Spend": fmt.Sprintf("%d.%06d", c.Micros/1_000_000, c.Micros%1_000_000), "Conversions": strconv.FormatFloat(c.Conversions, 'f', 2, 64), "Revenue": strconv.FormatFloat(c.Revenue, 'f', 2, 64),
		}
		for id, kind := c.ID, key.kind; id != ""; {
			values[map[string]string{"Campaigns": "CampaignId", "AdGroups": "AdGroupId", "Keywords": "KeywordId"}[kind]] = id
			o := n.tree.objects[id]
			if o == nil {
				break
			}
			id, kind = o.Parent, kinds[kind].parent
		}
		row := make([]string, len(r.columns))
		for i, name := range r.columns {
			row[i] = values[name]
		}
		rows = append(rows, row)
	}
	slices.SortFunc(rows, slices.Compare)
	return rows
}

// MarshalJSON writes it as the read-back tells it.
func (c Cost) MarshalJSON() ([]byte, error) {
	return json.Marshal(map[string]any{
		"kind": c.Kind, "id": c.ID, "date": c.Date, "impressions": c.Impressions, "clicks": c.Clicks, "cost_micros": c.Micros, "conversions": c.Conversions, "revenue": c.Revenue,
	})
}
