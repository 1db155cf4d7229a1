package cli

import (
	"bufio"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"usher/internal/activation"
)

// valueOf returns a value that was given by a flag, or reads one line of standard
// input.
func valueOf(flag string) (string, error) {
	if flag != "" {
		return flag, nil
	}
	line, err := bufio.NewReader(io.LimitReader(os.Stdin, 4096)).ReadString('\n')
	if err != nil && line == "" {
		return "", usageError("give the value on standard input, or by --value")
	}
	return strings.TrimSpace(line), nil
}

func (a *app) forgetCommand() *cobra.Command {
	c := &cobra.Command{Use: "forget", Short: "Erase people, and the receipts of it"}
	var field, value string
	person := &cobra.Command{
		Use: "person", Short: "Erase a person everywhere and keep them from coming back", Args: cobra.NoArgs,
		Long: `Erase a person everywhere, by an identifier, and keep them from coming back. It is
complete when every network that held them accepted the remove and the files are
rewritten; usher forget show tells. The value is read from standard input unless
--value gives it, which leaves it in the history of the shell.`,
		Example: "  echo ann@example.com | usher forget person --field email",
		RunE: func(cmd *cobra.Command, _ []string) error {
			v, err := valueOf(value)
			if err != nil {
				return err
			}
			var out activation.Forget
			body := map[string]any{"identifier": map[string]string{"field": field, "value": v}}
			if _, err := a.client().Do(cmd.Context(), http.MethodPost, "/v2/forget", body, &out); err != nil {
				return err
			}
			return a.forgets([]activation.Forget{out})
		},
	}
	person.Flags().StringVar(&field, "field", "email", "identifier field")
	person.Flags().StringVar(&value, "value", "", "the value (better on standard input)")
	var limit int
	list := &cobra.Command{
		Use: "list", Short: "Forgets, newest first", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var out []activation.Forget
			if _, err := a.client().Do(cmd.Context(), http.MethodGet, "/v2/forget?limit="+strconv.Itoa(limit), nil, &out); err != nil {
				return err
			}
			return a.forgets(out)
		},
	}
	list.Flags().IntVar(&limit, "limit", 50, "how many")
	show := &cobra.Command{
		Use: "show ID", Short: "A forget and, once it is complete, its receipt", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var out activation.Forget
			if _, err := a.client().Do(cmd.Context(), http.MethodGet, "/v2/forget/"+url.PathEscape(args[0]), nil, &out); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(out)
			}
			if err := a.forgets([]activation.Forget{out}); err != nil {
				return err
			}
			rows := make([][]string, len(out.Targets))
			for i, t := range out.Targets {
				rows[i] = []string{t.Destination, t.Audience, string(t.Status), runNumber(t.Run), t.Code, when(t.ClosedAt)}
			}
			if len(rows) == 0 {
				return nil
			}
			return a.table([]string{"DESTINATION", "AUDIENCE", "STATUS", "RUN", "CODE", "CLOSED"}, rows)
		},
	}
	compact := &cobra.Command{
		Use: "compact", Short: "Rewrite the files now so that nothing deleted can be read in them", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := a.client().Do(cmd.Context(), http.MethodPost, "/v2/compaction", nil, nil)
			return err
		},
	}
	c.AddCommand(a.jsonFlag(person), a.jsonFlag(list), a.jsonFlag(show), compact)
	return c
}

func runNumber(n int64) string {
	if n == 0 {
		return ""
	}
	return "#" + strconv.FormatInt(n, 10)
}

func (a *app) forgets(all []activation.Forget) error {
	if a.json {
		return a.printJSON(all)
	}
	rows := make([][]string, len(all))
	for i, f := range all {
		rows[i] = []string{string(f.ID), string(f.Status), string(f.Stage), f.Field, count(f.Counts["messages"]), strconv.Itoa(len(f.Targets)), f.AskedBy, when(f.RequestedAt), when(f.CompletedAt), f.ErrorText}
	}
	return a.table([]string{"ID", "STATUS", "STAGE", "BY", "MESSAGES", "TARGETS", "ASKED BY", "REQUESTED", "COMPLETE", ""}, rows)
}
