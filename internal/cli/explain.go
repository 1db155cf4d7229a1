package cli

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"usher/internal/explain"
)

func (a *app) explainCommand() *cobra.Command {
	var field, value string
	c := &cobra.Command{
		Use: "explain TARGET", Short: "Why a person was or was not sent to a target, step by step", Args: cobra.ExactArgs(1),
		Long: `Why a person was or was not sent to a target, step by step from message to
receipt; an arrow marks the first cause. The value is read from standard input unless --value gives it, which
leaves it in the history of the shell. The look-up is audited, the value is not.`,
		Example: "  echo ann@example.com | usher explain TARGET --field email",
		RunE: func(cmd *cobra.Command, args []string) error {
			value, err := valueOf(value)
			if err != nil {
				return err
			}
			var out explain.Answer
			body := map[string]any{"identifier": map[string]string{"field": field, "value": value}, "target_id": args[0]}
			if _, err := a.client().Do(cmd.Context(), http.MethodPost, "/v2/explain", body, &out); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(out)
			}
			a.say("%s", out.Summary)
			rows := make([][]string, len(out.Steps))
			for i, s := range out.Steps {
				rows[i] = explained(s)
			}
			return a.table([]string{"", "", "STEP", "WHAT"}, rows)
		},
	}
	c.Flags().StringVar(&field, "field", "email", "identifier field")
	c.Flags().StringVar(&value, "value", "", "the value (better on standard input)")
	return c
}

// explained is a step as a row, in which what is long comes last.
func explained(s explain.Step) []string {
	mark := ""
	if s.Cause {
		mark = "->"
	}
	var also []string
	if s.Run != nil && !strings.Contains(s.Text, "#"+strconv.FormatInt(*s.Run, 10)) {
		also = append(also, "run #"+strconv.FormatInt(*s.Run, 10))
	}
	if s.Code != "" && !strings.Contains(s.Text, s.Code) {
		also = append(also, s.Code)
	}
	text := s.Text
	if len(also) > 0 {
		text += " (" + strings.Join(also, ", ") + ")"
	}
	return []string{mark, string(s.Status), s.Name, text}
}
