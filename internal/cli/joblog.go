package cli

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"usher/internal/activation"
)

// followEvery is how often job logs --follow asks for more.
const followEvery = 2 * time.Second

func (a *app) jobLogs() *cobra.Command {
	var since, until, event, level string
	var follow, detail bool
	logs := &cobra.Command{
		Use: "logs [ID]", Short: "Show the log of a job, or of all jobs in the last 24 hours", Args: cobra.MaximumNArgs(1),
		Example: `  usher job logs ID --follow
  usher job logs --level warn,error --since now-7d`,
		RunE: func(cmd *cobra.Command, args []string) error {
			path := "/v2/job/logs"
			if len(args) == 1 {
				path = "/v2/job/" + url.PathEscape(args[0]) + "/logs"
			}
			q := url.Values{}
			for name, text := range map[string]string{"since": since, "until": until, "event": event, "level": level} {
				if text != "" {
					q.Set(name, text)
				}
			}
			if detail {
				q.Set("include_errors", "true")
			}
			lines, err := a.logLines(cmd.Context(), path, q)
			if err != nil {
				return err
			}
			if !follow {
				if a.json {
					return a.printJSON(lines)
				}
				rows := make([][]string, len(lines))
				for i, l := range lines {
					rows[i] = logRow(l, len(args) == 0)
				}
				header := []string{"TIME", "LEVEL", "EVENT", "CODE", "MESSAGE"}
				if len(args) == 0 {
					header = append([]string{"JOB"}, header...)
				}
				return a.table(header, rows)
			}
			return a.follow(cmd.Context(), path, q, lines, len(args) == 0)
		},
	}
	f := logs.Flags()
	f.StringVar(&since, "since", "", "from this time on: RFC 3339, or such as now-2h")
	f.StringVar(&until, "until", "", "before this time")
	f.StringVar(&event, "event", "", "only these events, such as error,failed")
	f.StringVar(&level, "level", "", "only these levels: debug, info, warn, error")
	f.BoolVar(&detail, "include-errors", false, "with what is known of the runs that went wrong")
	f.BoolVarP(&follow, "follow", "f", false, "go on with what is new, until Ctrl-C")
	return logs
}

// logLines reads all lines from q's start on, and moves the start behind them.
func (a *app) logLines(ctx context.Context, path string, q url.Values) ([]activation.LogEntry, error) {
	var lines []activation.LogEntry
	for {
		var out []activation.LogEntry
		next, err := a.client().Do(ctx, http.MethodGet, path+"?"+q.Encode(), nil, &out)
		if err != nil {
			return nil, err
		}
		lines = append(lines, out...)
		if len(out) > 0 {
			q.Set("start", strconv.FormatInt(out[len(out)-1].ID, 10))
		}
		if next == "" {
			return lines, nil
		}
	}
}

// follow prints lines, then what is new, until ctx is done, which is no error.
func (a *app) follow(ctx context.Context, path string, q url.Values, lines []activation.LogEntry, all bool) error {
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for {
		for _, l := range lines {
			var err error
			if a.json {
				err = a.printJSON(l)
			} else {
				_, err = fmt.Fprintln(a.out, strings.Join(logRow(l, all), "  "))
			}
			if err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		var err error
		if lines, err = a.logLines(ctx, path, q); err != nil {
			if ctx.Err() != nil {
				return nil // Ctrl-C is how it ends
			}
			return err
		}
	}
}

// logRow is one line of a log; detail follows the message.
func logRow(l activation.LogEntry, all bool) []string {
	message := l.Message
	if d := l.Detail; d != nil {
		if d.Error != "" && d.Error != l.Message {
			message += "; " + d.Error
		}
		for _, n := range d.Items {
			message += fmt.Sprintf("; %s items %s (%s): %s", count(n.Items), n.State, n.Code, n.Message)
		}
	}
	row := []string{when(l.At), l.Level, string(l.Event), l.Code, message}
	if all {
		row = append([]string{string(l.Job)}, row...)
	}
	return row
}

func (a *app) jobPasses() *cobra.Command {
	var limit int
	passes := &cobra.Command{
		Use: "passes ID", Short: "List the passes of a job without targets, newest first", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var out []activation.Pass
			if _, err := a.client().Do(cmd.Context(), http.MethodGet, "/v2/job/"+url.PathEscape(args[0])+"/passes?limit="+strconv.Itoa(limit), nil, &out); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(out)
			}
			rows := make([][]string, len(out))
			for i, p := range out {
				var counts []string
				for _, name := range slices.Sorted(maps.Keys(p.Counts)) {
					if n := p.Counts[name]; n != 0 {
						counts = append(counts, strings.ReplaceAll(name, "_", " ")+" "+count(n))
					}
				}
				rows[i] = []string{strconv.FormatInt(p.Number, 10), string(p.Status), when(p.StartedAt), when(p.EndedAt), when(p.ProgressAt), strings.Join(counts, ", "), p.ErrorCode}
			}
			return a.table([]string{"PASS", "STATUS", "STARTED", "ENDED", "LAST MOVED", "COUNTS", "CODE"}, rows)
		},
	}
	passes.Flags().IntVar(&limit, "limit", 50, "at most so many")
	return passes
}
