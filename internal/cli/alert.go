package cli

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"

	"usher/internal/activation"
)

// set puts a value into a query unless it is empty.
func set(query url.Values, name, value string) {
	if value != "" {
		query.Set(name, value)
	}
}

// shownAlert is an alert as the API shows it.
type shownAlert struct {
	activation.Alert
	Shown string `json:"shown"`
}

func (a *app) alertCommand() *cobra.Command {
	c := &cobra.Command{Use: "alert", Short: "What alert jobs told of, and whether it is still so"}
	var job, state string
	list := &cobra.Command{
		Use: "list", Short: "List alerts, what fires first", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var out []shownAlert
			query := url.Values{}
			set(query, "job", job)
			set(query, "state", state)
			if _, err := a.client().Do(cmd.Context(), http.MethodGet, "/v2/alert?"+query.Encode(), nil, &out); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(out)
			}
			rows := make([][]string, len(out))
			for i, v := range out {
				rows[i] = []string{v.Shown, string(v.Type), string(v.Source), v.SubjectName, when(v.Since), string(v.Job), v.SubjectID, v.Message}
			}
			return a.table([]string{"STATE", "TYPE", "SOURCE", "NAME", "SINCE", "ALERT JOB", "SUBJECT", "MESSAGE"}, rows)
		},
	}
	list.Flags().StringVar(&job, "job", "", "only those of an alert job")
	list.Flags().StringVar(&state, "state", "", "firing, acknowledged, silenced or resolved")
	var length string
	silence := a.alertChange("silence", "Tell nothing about a subject for a while", func() string {
		if length == "" {
			return ""
		}
		return "?for=" + url.QueryEscape(length)
	})
	silence.Flags().StringVar(&length, "for", "", "how long, such as 4h, which is the default")
	test := &cobra.Command{
		Use: "test JOB", Short: "Send a test notice of an alert job", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var out activation.Notice
			if _, err := a.client().Do(cmd.Context(), http.MethodPost, "/v2/alert/"+url.PathEscape(args[0])+"/test", nil, &out); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(out)
			}
			_, err := fmt.Fprintf(a.out, "sent: %s\n", out.Answer)
			return err
		},
	}
	none := func() string { return "" }
	c.AddCommand(
		a.jsonFlag(list), a.jsonFlag(test), a.jsonFlag(silence),
		a.jsonFlag(a.alertChange("acknowledge", "Say that somebody knows: nothing more is told until it is resolved", none)),
		a.jsonFlag(a.alertChange("unsilence", "End a silence and an acknowledgement", none)),
	)
	return c
}

// alertChange is a command that changes one alert.
func (a *app) alertChange(verb, short string, query func() string) *cobra.Command {
	return &cobra.Command{
		Use: verb + " JOB SOURCE SUBJECT", Short: short, Args: cobra.ExactArgs(3),
		Long:    short + ". JOB is the alert job, SOURCE and SUBJECT are what it told of, as alert list shows them.",
		Example: "  usher alert " + verb + " 0123456789abcdef0123456789abcdef work 89abcdef0123456789abcdef01234567",
		RunE: func(cmd *cobra.Command, args []string) error {
			var out shownAlert
			path := "/v2/alert/" + url.PathEscape(args[0]) + "/" + url.PathEscape(args[1]) + "/" + url.PathEscape(args[2]) + "/" + verb + query()
			if _, err := a.client().Do(cmd.Context(), http.MethodPost, path, nil, &out); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(out)
			}
			_, err := fmt.Fprintln(a.out, out.Shown)
			return err
		},
	}
}

func (a *app) noticeCommand() *cobra.Command {
	c := &cobra.Command{Use: "notice", Short: "The notices of alert jobs, from their making to their arrival"}
	var job, state, start string
	var limit int
	list := &cobra.Command{
		Use: "list", Short: "List notices with attempts and answers, newest first", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var out []activation.Notice
			query := url.Values{"limit": {strconv.Itoa(limit)}}
			set(query, "job", job)
			set(query, "state", state)
			set(query, "start", start)
			next, err := a.client().Do(cmd.Context(), http.MethodGet, "/v2/notice?"+query.Encode(), nil, &out)
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(out)
			}
			rows := make([][]string, len(out))
			for i, n := range out {
				said := n.Answer
				if n.ErrorCode != "" {
					said = n.ErrorCode + ": " + n.ErrorText
				}
				rows[i] = []string{when(n.CreatedAt), string(n.State), string(n.Event.Type), n.Event.SubjectName, strconv.Itoa(n.Attempts), when(n.SentAt), said}
			}
			if err := a.table([]string{"MADE", "STATE", "TYPE", "NAME", "ATTEMPTS", "SENT", "ANSWER"}, rows); err != nil || next == "" {
				return err
			}
			_, err = fmt.Fprintf(a.err, "there are more: --start %s\n", next)
			return err
		},
	}
	list.Flags().StringVar(&job, "job", "", "only those of an alert job")
	list.Flags().StringVar(&state, "state", "", "pending, sending, sent, failed, unknown or silenced")
	list.Flags().StringVar(&start, "start", "", "where the page before ended")
	list.Flags().IntVar(&limit, "limit", 50, "at most so many")
	c.AddCommand(a.jsonFlag(list))
	return c
}
