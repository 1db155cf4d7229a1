package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"

	"github.com/spf13/cobra"

	"usher/internal/activation"
	"usher/internal/catalog"
)

func (a *app) templateCommand() *cobra.Command {
	c := &cobra.Command{Use: "template", Short: "Payload templates of webhooks"}
	c.AddCommand(a.jsonFlag(a.listTemplates()), a.jsonFlag(a.showTemplate()), a.jsonFlag(a.createTemplate()), a.editTemplate(), a.deleteTemplate(), a.testTemplate())
	return c
}

func templatePath(id string) string { return "/v2/template/" + url.PathEscape(id) }

func (a *app) listTemplates() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List payload templates", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var out []activation.Template
			if _, err := a.client().Do(cmd.Context(), http.MethodGet, "/v2/template", nil, &out); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(out)
			}
			rows := make([][]string, len(out))
			for i, t := range out {
				rows[i] = []string{t.ID, t.Name, t.Description, when(t.UpdatedAt)}
			}
			return a.table([]string{"ID", "NAME", "DESCRIPTION", "CHANGED"}, rows)
		},
	}
}

func (a *app) showTemplate() *cobra.Command {
	return &cobra.Command{
		Use: "show ID|NAME", Short: "Print the text of a payload template", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var out activation.Template
			if _, err := a.client().Do(cmd.Context(), http.MethodGet, templatePath(args[0]), nil, &out); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(out)
			}
			_, err := fmt.Fprintln(a.out, out.Text)
			return err
		},
	}
}

// textOf reads a file, or standard input for "-".
func (a *app) textOf(path string) (string, error) {
	if path == "-" {
		raw, err := io.ReadAll(a.in)
		return string(raw), err
	}
	raw, err := os.ReadFile(path) //nolint:gosec // the file is the caller's own
	return string(raw), err
}

func (a *app) createTemplate() *cobra.Command {
	var description, file string
	c := &cobra.Command{
		Use: "create NAME", Short: "Make a payload template of a Jsonnet file", Args: cobra.ExactArgs(1),
		Example: `  usher template create crm-contact --file contact.jsonnet`,
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := a.textOf(file)
			if err != nil {
				return err
			}
			var out activation.Template
			body := map[string]string{"name": args[0], "description": description, "text": text}
			if _, err := a.client().Do(cmd.Context(), http.MethodPost, "/v2/template", body, &out); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(out)
			}
			_, err = fmt.Fprintln(a.out, out.ID)
			return err
		},
	}
	c.Flags().StringVar(&description, "description", "", "what it is for")
	c.Flags().StringVar(&file, "file", "-", "the file with the text; - is standard input")
	return c
}

func (a *app) editTemplate() *cobra.Command {
	var name, description, file string
	c := &cobra.Command{
		Use: "edit ID|NAME", Short: "Change a payload template; what is left out stays", Args: cobra.ExactArgs(1),
		Example: `  usher template edit crm-contact --file contact.jsonnet`,
		RunE: func(cmd *cobra.Command, args []string) error {
			body := map[string]string{}
			if cmd.Flags().Changed("name") {
				body["name"] = name
			}
			if cmd.Flags().Changed("description") {
				body["description"] = description
			}
			if file != "" {
				text, err := a.textOf(file)
				if err != nil {
					return err
				}
				body["text"] = text
			}
			_, err := a.client().Do(cmd.Context(), http.MethodPut, templatePath(args[0]), body, nil)
			return err
		},
	}
	c.Flags().StringVar(&name, "name", "", "another name")
	c.Flags().StringVar(&description, "description", "", "what it is for")
	c.Flags().StringVar(&file, "file", "", "the file with another text; - is standard input")
	return c
}

func (a *app) deleteTemplate() *cobra.Command {
	return &cobra.Command{
		Use: "delete ID|NAME", Short: "Delete a payload template that no job uses", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			_, err := a.client().Do(cmd.Context(), http.MethodDelete, templatePath(args[0]), nil, nil)
			return err
		},
	}
}

func (a *app) testTemplate() *cobra.Command {
	var event, destination string
	c := &cobra.Command{
		Use: "test ID|NAME", Short: "Print what a template makes of an event, and post it where asked", Args: cobra.ExactArgs(1),
		Long: `Print the payload that a template makes of one event: of Usher's own sample, or of
the event in a file. With --send it is posted to a webhook destination as well.`,
		Example: `  usher template test crm-contact --event event.json --send DESTINATION`,
		RunE: func(cmd *cobra.Command, args []string) error {
			body := map[string]any{}
			if event != "" {
				text, err := a.textOf(event)
				if err != nil {
					return err
				}
				body["event"] = json.RawMessage(text)
			}
			if destination != "" {
				body["destination_id"] = destination
			}
			var out catalog.Trial
			if _, err := a.client().Do(cmd.Context(), http.MethodPost, templatePath(args[0])+"/test", body, &out); err != nil {
				return err
			}
			var pretty bytes.Buffer
			if err := json.Indent(&pretty, out.Payload, "", "  "); err != nil {
				return err
			}
			if out.Sent {
				a.say("posted; the receiver answered " + out.Answer)
			}
			_, err := fmt.Fprintln(a.out, pretty.String())
			return err
		},
	}
	c.Flags().StringVar(&event, "event", "", "the file with an event as JSON; - is standard input, none is a sample")
	c.Flags().StringVar(&destination, "send", "", "id of the webhook destination to post the payload to")
	return c
}
