package microsoft

import (
	"archive/zip"
	"bytes"
	"context"
	"io"
	"net/http"
	"testing"

	"usher/internal/activation"
)

// elsewhere answers every call alike.
type elsewhere string

func (e elsewhere) RoundTrip(req *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader([]byte(e))), Request: req}, nil
}

// zipped is a file with these parts.
func zipped(t testing.TB, parts ...string) []byte {
	t.Helper()
	var file bytes.Buffer
	w := zip.NewWriter(&file)
	for _, text := range parts {
		part, err := w.Create("report.csv")
		if err == nil {
			_, err = part.Write([]byte(text))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

const head = "TimePeriod,CampaignId,AdGroupId,KeywordId,CurrencyCode,Impressions,Clicks,Spend,Conversions,Revenue\n"

func TestReports(t *testing.T) {
	r := reports[2]
	want := activation.Cost{Date: "2026-11-20", Object: activation.ObjectRef{Kind: activation.KindKeyword, ID: "8~12~70"}, Currency: "EUR", Impressions: 200, Clicks: 10, Micros: 1_234_567, Conversions: 1.5, Value: 30}
	for name, tc := range map[string]struct {
		file []byte
		rows int // -1 = MSADS-ANSWER
	}{
		"a row":                    {zipped(t, head+"2026-11-20,8,12,70,EUR,200,10,1.234567,1.5,30\n"), 1},
		"with a mark, and quotes":  {zipped(t, "\ufeff"+head+`"2026-11-20","8","12","70","EUR","200","10","1.234567","1.5","30"`+"\r\n"), 1},
		"other columns in between": {zipped(t, "KeywordId,Extra,TimePeriod,CampaignId,AdGroupId,CurrencyCode,Impressions,Clicks,Spend,Conversions,Revenue\n70,\"a,b\",2026-11-20,8,12,EUR,200,10,1.234567,1.5,30\n"), 1},
		"no currency in the row":   {zipped(t, head+"2026-11-20,8,12,70,,200,10,1.234567,1.5,30\n"), 1},
		"no rows":                  {zipped(t, head), 0},
		"nothing":                  {zipped(t, ""), -1},
		"no file":                  {zipped(t), -1},
		"two files":                {zipped(t, head, head), -1},
		"no zip":                   {[]byte("<html>"), -1},
		"a column less":            {zipped(t, "TimePeriod,CampaignId\n2026-11-20,8\n"), -1},
		"a short row":              {zipped(t, head+"2026-11-20,8\n"), -1},
		"an amount in words":       {zipped(t, head+"2026-11-20,8,12,70,EUR,200,10,much,1.5,30\n"), -1},
		"a day in words":           {zipped(t, head+"yesterday,8,12,70,EUR,200,10,1,1.5,30\n"), -1},
		"an id in words":           {zipped(t, head+"2026-11-20,8,12,--,EUR,200,10,1,1.5,30\n"), -1},
	} {
		t.Run(name, func(t *testing.T) {
			var got []activation.Cost
			err := r.rows(tc.file, "EUR", func(c activation.Cost) error {
				got = append(got, c)
				return nil
			})
			if tc.rows < 0 {
				if asError(t, err).Code != "MSADS-ANSWER" {
					t.Errorf("%v", err)
				}
				return
			}
			if err != nil || len(got) != tc.rows || tc.rows > 0 && got[0] != want {
				t.Errorf("%+v %v", got, err)
			}
		})
	}
}

// TestDownloadAddress: a file is fetched from where it may be, without credentials,
// and over TLS where the API is.
func TestDownloadAddress(t *testing.T) {
	p := open(t, &far{}, nil)
	p.http = &http.Client{Transport: bare{t}}
	for address, ok := range map[string]bool{
		"https://files.example.com/r.zip?sig=1": true, "http://files.example.com/r.zip": false, "file:///etc/passwd": false, "https://user@files.example.com/": false, "https:///r": false, "%": false,
	} {
		if _, err := p.download(context.Background(), address); (err == nil) != ok {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// bare takes calls without credentials only.
type bare struct{ t *testing.T }

func (b bare) RoundTrip(req *http.Request) (*http.Response, error) {
	for _, name := range []string{"Authorization", "DeveloperToken", "CustomerId", "CustomerAccountId"} {
		if req.Header.Get(name) != "" {
			b.t.Errorf("%s is sent to another host", name)
		}
	}
	return elsewhere("PK").RoundTrip(req)
}

// FuzzReport: a file is a table of costs or an error, and a cost has a day and ids.
func FuzzReport(f *testing.F) {
	f.Add([]byte(head + "2026-11-20,8,12,70,EUR,200,10,1.234567,1.5,30\n"))
	f.Add([]byte("\ufeff" + head))
	f.Add([]byte(`"`))
	f.Fuzz(func(t *testing.T, table []byte) {
		err := reports[2].rows(zipped(t, string(table)), "EUR", func(c activation.Cost) error {
			if len(c.Date) != len("2026-11-20") || !safePath(c.Object.ID) || c.Micros < 0 {
				t.Errorf("%+v", c)
			}
			return nil
		})
		if err != nil && asError(t, err).Code != "MSADS-ANSWER" {
			t.Error(err)
		}
	})
}
