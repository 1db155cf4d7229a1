package cli

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"usher/internal/api/client"
	"usher/internal/ingest"
)

// loadView is a load as the API shows it.
type loadView struct {
	ID       string `json:"id"`
	Status   string `json:"status"`
	Rows     int64  `json:"rows"`
	Done     int64  `json:"done"`
	Error    string `json:"error"`
	NewCount int64  `json:"new_profiles"`
	Touched  int64  `json:"touched_profiles"`
	Dup      int64  `json:"duplicates"`
	Fixed    int64  `json:"corrected"`
}

func (a *app) importCommand() *cobra.Command {
	var stream, timestamp, headers, delimiter, appendRow string
	var dryRun, dropErrors, noWait bool
	c := &cobra.Command{
		Use: "import FILE", Short: "Load a file into a stream, all of it or nothing", Args: cobra.ExactArgs(1),
		Long: `Load a CSV, gzip CSV, JSON array or NDJSON file into a stream. The first bad row
stops the load, nothing of the file is kept, and the row is named by line and
column; --drop-errors skips such rows and counts them.`,
		Example: `  usher import customers.csv --stream customers
  usher import sales.csv.gz --stream sales --timestamp OrderDate
  usher import export.ndjson --stream events --dry-run`,
		RunE: func(cmd *cobra.Command, args []string) error {
			file, err := os.Open(args[0])
			if err != nil {
				return usageError("%s", strings.TrimPrefix(err.Error(), "open "))
			}
			defer func() { _ = file.Close() }()
			info, err := file.Stat()
			if err != nil {
				return err
			}
			if stream == "" {
				stream = stem(args[0])
			}
			q := url.Values{"filename": {filepath.Base(args[0])}}
			set := func(k, v string) {
				if v != "" {
					q.Set(k, v)
				}
			}
			set("timestamp_field", timestamp)
			set("headers", headers)
			set("delimiter", delimiter)
			set("append", appendRow)
			if dryRun {
				q.Set("dryrun", "true")
			}
			if dropErrors {
				q.Set("droperrors", "true")
			}
			bars := a.progress(cmd)
			up := bar(bars, "sent", info.Size(), decor.CountersKibiByte("% .1f / % .1f"))
			var sum ingest.Summary
			err = a.client().Upload(cmd.Context(), "/collect/bulk/"+url.PathEscape(stream)+"?"+q.Encode(), contentType(args[0]), up.ProxyReader(io.NopCloser(file)), &sum)
			if err != nil {
				up.Abort(false)
				bars.Wait()
				return err
			}
			up.SetTotal(-1, true)
			if !dryRun && !noWait && sum.MessageCount > 0 { // a bar of nothing never ends
				b := bar(bars, "in profiles", max(sum.MessageCount, 1), decor.CountersNoUnit("%d / %d"))
				if _, err = awaitLoad(cmd.Context(), a.client(), sum.LoadID, func(v loadView) { b.SetCurrent(v.Done) }); err != nil {
					b.Abort(false)
				} else {
					b.SetTotal(-1, true)
				}
			}
			bars.Wait()
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(sum)
			}
			a.say("%s messages, %s rejected", count(sum.MessageCount), count(sum.RejectedCount))
			for _, r := range sum.FirstReasons {
				a.say("  %s", r.Error())
			}
			return nil
		},
	}
	f := c.Flags()
	f.StringVar(&stream, "stream", "", "stream (default: the file's name)")
	f.StringVar(&timestamp, "timestamp", "", "column with the message's time")
	f.StringVar(&headers, "headers", "", "column names, comma separated, for a CSV without a header line")
	f.StringVar(&delimiter, "delimiter", "", "column separator of a CSV: , ; | or t for tab")
	f.StringVar(&appendRow, "append", "", "JSON object added to every row")
	f.BoolVar(&dryRun, "dry-run", false, "validate only")
	f.BoolVar(&dropErrors, "drop-errors", false, "skip bad rows and count them")
	f.BoolVar(&noWait, "no-wait", false, "do not wait until the rows are in the profiles")
	return a.jsonFlag(c)
}

// awaitLoad waits until a load is in the profiles; each tells how far it is.
func awaitLoad(ctx context.Context, c *client.Client, id string, each func(loadView)) (loadView, error) {
	for {
		var v loadView
		if _, err := c.Do(ctx, http.MethodGet, "/v2/load/"+id, nil, &v); err != nil {
			return v, err
		}
		each(v)
		switch v.Status {
		case "merged":
			return v, nil
		case "failed":
			return v, &exitError{exitFailed, fmt.Errorf("the rows are stored but could not be merged: %s", v.Error)}
		}
		select {
		case <-ctx.Done():
			return v, context.Cause(ctx)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// progress makes room for bars on standard error; silent when it is no terminal.
func (a *app) progress(cmd *cobra.Command) *mpb.Progress {
	out := a.err
	if !isTerminal(out) || a.json {
		out = io.Discard
	}
	return mpb.NewWithContext(cmd.Context(), mpb.WithOutput(out), mpb.WithWidth(40), mpb.WithRefreshRate(100*time.Millisecond))
}

func bar(p *mpb.Progress, name string, total int64, counters decor.Decorator) *mpb.Bar {
	return p.AddBar(total,
		mpb.PrependDecorators(decor.Name(name, decor.WCSyncSpaceR), counters),
		mpb.AppendDecorators(decor.Percentage(decor.WCSyncSpace), decor.OnComplete(decor.AverageETA(decor.ET_STYLE_GO, decor.WCSyncSpace), "done")),
	)
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// contentType tells the server what a file's name promises; "" lets it look.
func contentType(name string) string {
	switch strings.ToLower(filepath.Ext(strings.TrimSuffix(name, ".gz"))) {
	case ".csv", ".tsv":
		return "text/csv"
	case ".ndjson", ".jsonl":
		return "application/x-ndjson"
	case ".json":
		return "application/json"
	}
	return ""
}

// stem is the stream a file's name suggests.
func stem(name string) string {
	s := strings.ToLower(filepath.Base(name))
	s, _, _ = strings.Cut(s, ".")
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '_' {
			return r
		}
		return '_'
	}, s)
}
