package cli

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"usher/internal/activation"
	"usher/internal/api/client"
)

func (a *app) jobCommand() *cobra.Command {
	c := &cobra.Command{Use: "job", Short: "Standing instructions: what goes where, and when"}
	c.AddCommand(a.jsonFlag(a.jobList()), a.jobShow(), a.jsonFlag(a.jobCreate()), a.jsonFlag(a.jobEdit()), a.jobDelete(), a.jsonFlag(a.jobLogs()), a.jsonFlag(a.jobPasses()), a.jobPreview(), a.jobPosition(), a.jobReset(),
		a.jsonFlag(a.planCommand()), a.jobRun(), a.jobPause())
	for _, cmd := range []struct{ name, short string }{
		{"resume", "Let a paused job go on"},
		{"bounce", "Start a failed job again"},
		{"kill", "End a job for good"},
	} {
		c.AddCommand(&cobra.Command{
			Use: cmd.name + " ID", Short: cmd.short, Args: cobra.ExactArgs(1),
			RunE: func(c *cobra.Command, args []string) error {
				return a.tellJob(c.Context(), args[0], cmd.name)
			},
		})
	}
	return c
}

// tellJob tells a job something and says how it stands then.
func (a *app) tellJob(ctx context.Context, id, command string) error {
	var out client.Job
	if _, err := a.client().Do(ctx, http.MethodPost, "/v2/job/"+url.PathEscape(id)+"/"+command, nil, &out); err != nil {
		return err
	}
	a.say("%s: %s", out.Name, stateWord(out))
	return nil
}

func (a *app) jobList() *cobra.Command {
	q := url.Values{}
	list := &cobra.Command{Use: "list", Short: "List jobs, newest first", Args: cobra.NoArgs}
	f := list.Flags()
	var all, completed, deleted, hidden bool
	f.BoolVar(&all, "all", false, "completed, killed and hidden ones too")
	f.BoolVar(&completed, "completed", false, "completed ones too")
	f.BoolVar(&deleted, "deleted", false, "deleted ones too")
	f.BoolVar(&hidden, "hidden", false, "hidden ones too")
	texts := map[string]*string{}
	for _, t := range [][3]string{
		{"status", "status", "comma-separated states; fault = sleeping because of an error"},
		{"workflow", "workflow", "of this workflow"},
		{"provider", "provider", "of this provider"},
		{"type", "type", "export, import, enrichment or alert"},
		{"auth", "auth_ids", "that use any of these authorizations"},
		{"destination", "destination_id", "of this destination"},
		{"audience", "segment_id", "of this audience"},
		{"tag", "tag", "with this tag"},
		{"name", "q", "whose name has this in it"},
	} {
		texts[t[1]] = f.String(t[0], "", t[2])
	}
	list.RunE = func(cmd *cobra.Command, _ []string) error {
		for key, on := range map[string]bool{"show_all": all, "show_completed": completed, "show_deleted": deleted, "show_hidden": hidden} {
			if on {
				q.Set(key, "true")
			}
		}
		for key, text := range texts {
			if *text != "" {
				q.Set(key, *text)
			}
		}
		jobs := []client.Job{}
		for {
			var out []client.Job
			next, err := a.client().Do(cmd.Context(), http.MethodGet, "/v2/job?"+q.Encode(), nil, &out)
			if err != nil {
				return err
			}
			jobs = append(jobs, out...)
			if next == "" {
				break
			}
			q.Set("start", next)
		}
		if a.json {
			return a.printJSON(jobs)
		}
		rows := make([][]string, len(jobs))
		for i, j := range jobs {
			rows[i] = []string{string(j.ID), j.Name, j.Provider, j.Type, stateWord(j), when(j.LastRun), when(j.NextRun)}
		}
		return a.table([]string{"ID", "NAME", "PROVIDER", "TYPE", "STATUS", "LAST RUN", "NEXT RUN"}, rows)
	}
	return list
}

func (a *app) jobShow() *cobra.Command {
	var runtime bool
	show := &cobra.Command{
		Use: "show ID", Short: "Show one job", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var out client.Job
			path := "/v2/job/" + url.PathEscape(args[0])
			if runtime {
				path += "?show_state=true"
			}
			if _, err := a.client().Do(cmd.Context(), http.MethodGet, path, nil, &out); err != nil {
				return err
			}
			return a.printJSON(out)
		},
	}
	show.Flags().BoolVar(&runtime, "state", false, "with its runtime detail")
	return show
}

func (a *app) jobCreate() *cobra.Command {
	var given jobFlags
	var key string
	create := &cobra.Command{
		Use: "create WORKFLOW", Short: "Create a job; it starts at once, or at its time of day", Args: cobra.ExactArgs(1),
		Example: `  usher job create meta-custom-audience --name "Big spenders" --destination ID --audience big-spenders
  usher job create meta-custom-audience --name "VIPs nightly" --destination ID --audience vips --every daily --at 02:30 --timezone Europe/Berlin`,
		RunE: func(cmd *cobra.Command, args []string) error {
			body, err := given.body(cmd)
			if err != nil {
				return err
			}
			header := http.Header{}
			if key != "" {
				header.Set("Idempotency-Key", key)
			}
			var out client.Job
			if _, err := a.client().Send(cmd.Context(), http.MethodPost, "/v2/job/"+url.PathEscape(args[0]), header, body, &out); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(out)
			}
			_, err = fmt.Fprintln(a.out, out.ID)
			return err
		},
	}
	given.register(create)
	create.Flags().StringVar(&key, "idempotency-key", "", "a repetition with the same key within 24 hours creates nothing")
	_ = create.MarkFlagRequired("name")
	return create
}

func (a *app) jobEdit() *cobra.Command {
	var given jobFlags
	edit := &cobra.Command{
		Use: "edit ID", Short: "Change a job; what is left out stays", Args: cobra.ExactArgs(1),
		Example: `  usher job edit ID --every weekly --on monday --at 06:00`,
		RunE: func(cmd *cobra.Command, args []string) error {
			body, err := given.body(cmd)
			if err != nil {
				return err
			}
			if len(body) == 0 {
				return usageError("say what to change; usher job edit --help lists it")
			}
			var out client.Job
			if _, err := a.client().Do(cmd.Context(), http.MethodPut, "/v2/job/"+url.PathEscape(args[0]), body, &out); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(out)
			}
			a.say("%s: %s", out.Name, out.Schedule)
			return nil
		},
	}
	given.register(edit)
	return edit
}

func (a *app) jobDelete() *cobra.Command {
	return &cobra.Command{
		Use: "delete ID", Short: "End a job for good and hide it; its name is free again", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			_, err := a.client().Do(cmd.Context(), http.MethodDelete, "/v2/job/"+url.PathEscape(args[0]), nil, nil)
			if err == nil {
				a.say("deleted")
			}
			return err
		},
	}
}

func (a *app) jobPause() *cobra.Command {
	var d string
	pause := &cobra.Command{
		Use: "pause ID", Short: "Stop a job, until it is resumed or for a while", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			command := "pause"
			if d != "" {
				command += "?for=" + url.QueryEscape(d)
			}
			return a.tellJob(cmd.Context(), args[0], command)
		},
	}
	pause.Flags().StringVar(&d, "for", "", "such as 1h; it resumes by itself then")
	return pause
}

func (a *app) jobRun() *cobra.Command {
	return &cobra.Command{
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
	}
}

// stateWord is a job's state as people read it.
func stateWord(j client.Job) string {
	s := string(j.Status)
	if j.Status == activation.JobSleeping && j.SleepReason != "" {
		s += " (" + strings.ReplaceAll(string(j.SleepReason), "_", " ")
		if !j.SleepUntil.IsZero() {
			s += " until " + when(j.SleepUntil)
		}
		s += ")"
	}
	return s
}
