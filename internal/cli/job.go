package cli

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"usher/internal/activation"
)

// logView is one line of a job's log.
type logView struct {
	Job     activation.JobID `json:"job_id"`
	Code    string           `json:"code"`
	Level   string           `json:"level"`
	Event   string           `json:"event"`
	Message string           `json:"message"`
	At      time.Time        `json:"timestamp"`
}

func (a *app) jobCommand() *cobra.Command {
	c := &cobra.Command{Use: "job", Short: "Standing instructions: what goes where, and when"}
	var showAll bool
	list := &cobra.Command{
		Use: "list", Short: "List jobs", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var out []activation.Job
			path := "/v2/job"
			if showAll {
				path += "?show_all=true"
			}
			if _, err := a.client().Do(cmd.Context(), http.MethodGet, path, nil, &out); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(out)
			}
			rows := make([][]string, len(out))
			for i, j := range out {
				rows[i] = []string{string(j.ID), j.Name, j.Provider, j.Type, stateWord(j), when(j.LastRunAt)}
			}
			return a.table([]string{"ID", "NAME", "PROVIDER", "TYPE", "STATUS", "LAST RUN"}, rows)
		},
	}
	list.Flags().BoolVar(&showAll, "all", false, "completed and killed ones too")

	show := &cobra.Command{
		Use: "show ID", Short: "Show one job", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var out activation.Job
			if _, err := a.client().Do(cmd.Context(), http.MethodGet, "/v2/job/"+url.PathEscape(args[0]), nil, &out); err != nil {
				return err
			}
			return a.printJSON(out)
		},
	}

	var name, destination, description, every string
	var audiences, config []string
	var once bool
	create := &cobra.Command{
		Use: "create WORKFLOW", Short: "Create a job; it starts at once", Args: cobra.ExactArgs(1),
		Example: `  usher job create meta_custom_audience --name "Big spenders" --destination ID --audience big-spenders
  usher job create meta_custom_audience --name "VIPs nightly" --destination ID --audience vips --every 24h`,
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := pairs("set", config)
			if err != nil {
				return err
			}
			body := map[string]any{
				"name": name, "description": description, "destination_id": destination, "segment_ids": audiences,
				"config": cfg, "continuous_update": !once, "run_frequency": every,
			}
			var out activation.Job
			if _, err := a.client().Do(cmd.Context(), http.MethodPost, "/v2/job/"+url.PathEscape(args[0]), body, &out); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(out)
			}
			_, err = fmt.Fprintln(a.out, out.ID)
			return err
		},
	}
	f := create.Flags()
	f.StringVar(&name, "name", "", "name for people, unique per workflow")
	f.StringVar(&description, "description", "", "what it is for")
	f.StringVar(&destination, "destination", "", "id of the destination")
	f.StringSliceVar(&audiences, "audience", nil, "slug or id (repeat)")
	f.StringArrayVar(&config, "set", nil, "setting=value (repeat)")
	f.StringVar(&every, "every", "realtime", "realtime, hourly, daily, weekly or a duration such as 6h")
	f.BoolVar(&once, "once", false, "run once, then complete")
	_ = create.MarkFlagRequired("name")

	logs := &cobra.Command{
		Use: "logs ID", Short: "Show the log of a job", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var out []logView
			if _, err := a.client().Do(cmd.Context(), http.MethodGet, "/v2/job/"+url.PathEscape(args[0])+"/logs", nil, &out); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(out)
			}
			rows := make([][]string, len(out))
			for i, l := range out {
				rows[i] = []string{when(l.At), l.Level, l.Event, l.Code, l.Message}
			}
			return a.table([]string{"TIME", "LEVEL", "EVENT", "CODE", "MESSAGE"}, rows)
		},
	}
	c.AddCommand(a.jsonFlag(list), show, a.jsonFlag(create), a.jsonFlag(logs))
	for _, cmd := range []struct{ name, short string }{
		{"pause", "Stop a job until it is resumed"},
		{"resume", "Let a paused job go on"},
		{"bounce", "Start a failed job again"},
		{"kill", "End a job for good"},
	} {
		c.AddCommand(&cobra.Command{
			Use: cmd.name + " ID", Short: cmd.short, Args: cobra.ExactArgs(1),
			RunE: func(c *cobra.Command, args []string) error {
				var out activation.Job
				if _, err := a.client().Do(c.Context(), http.MethodPost, "/v2/job/"+url.PathEscape(args[0])+"/"+cmd.name, nil, &out); err != nil {
					return err
				}
				a.say("%s: %s", out.Name, stateWord(out))
				return nil
			},
		})
	}
	c.AddCommand(a.jsonFlag(a.planCommand()), &cobra.Command{
		Use: "run ID", Short: "Open a run for each target of a job now", Args: cobra.ExactArgs(1),
		Example: "  usher job run ID",
		RunE: func(cmd *cobra.Command, args []string) error {
			var out []activation.Run
			if _, err := a.client().Do(cmd.Context(), http.MethodPost, "/v2/job/"+url.PathEscape(args[0])+"/run", nil, &out); err != nil {
				return err
			}
			for _, r := range out {
				a.say("run #%d opened", r.Number)
			}
			return nil
		},
	})
	return c
}

// stateWord is a job's state as people read it.
func stateWord(j activation.Job) string {
	s := string(j.State)
	if j.State == activation.JobSleeping && j.SleepReason != "" {
		s += " (" + strings.ReplaceAll(string(j.SleepReason), "_", " ")
		if !j.SleepUntil.IsZero() {
			s += " until " + when(j.SleepUntil)
		}
		s += ")"
	}
	return s
}
