package cli

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"usher/internal/warehouse"
)

func (a *app) fieldCommand() *cobra.Command {
	c := &cobra.Command{Use: "field", Short: "Typed profile attributes"}
	list := &cobra.Command{
		Use: "list", Short: "List fields", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var out []warehouse.Field
			if _, err := a.client().Do(cmd.Context(), http.MethodGet, "/v2/field", nil, &out); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(out)
			}
			rows := make([][]string, len(out))
			for i, f := range out {
				rank := "-"
				if f.Rank > 0 {
					rank = strconv.Itoa(f.Rank)
				}
				rows[i] = []string{f.Name, string(f.Type), string(f.Merge), rank, strconv.FormatBool(f.PII), f.Help}
			}
			return a.table([]string{"NAME", "TYPE", "MERGE", "IDENTIFIER", "PII", "DESCRIPTION"}, rows)
		},
	}
	var f warehouse.Field
	create := &cobra.Command{
		Use: "create NAME", Short: "Declare a field", Args: cobra.ExactArgs(1),
		Example: `  usher field create email --type text --pii
  usher field create customer_key --type text --identifier 1
  usher field create lifetime_value --type number --merge sum`,
		RunE: func(cmd *cobra.Command, args []string) error {
			f.Name = args[0]
			var out warehouse.Field
			_, err := a.client().Do(cmd.Context(), http.MethodPost, "/v2/field", f, &out)
			return err
		},
	}
	create.Flags().StringVar((*string)(&f.Type), "type", "text", "text, integer, number, boolean, time or set")
	create.Flags().StringVar((*string)(&f.Merge), "merge", "latest", "latest, first, sum, count, min, max or set")
	create.Flags().IntVar(&f.Rank, "identifier", 0, "rank as an identifier: 1 is the strongest, 0 = not one")
	create.Flags().BoolVar(&f.PII, "pii", false, "personal: masked unless the reader may see it")
	create.Flags().BoolVar(&f.Public, "public", false, "may be shown on a web site")
	create.Flags().StringVar(&f.Help, "description", "", "what it is")
	remove := &cobra.Command{
		Use: "delete NAME", Short: "Delete a field that nothing uses", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := a.client().Do(cmd.Context(), http.MethodDelete, "/v2/field/"+url.PathEscape(args[0]), nil, nil); err != nil {
				return err
			}
			a.say("deleted")
			return nil
		},
	}
	c.AddCommand(a.jsonFlag(list), create, remove)
	return c
}

func (a *app) mappingCommand() *cobra.Command {
	c := &cobra.Command{Use: "mapping", Short: "How a stream's messages become fields"}
	list := &cobra.Command{
		Use: "list STREAM", Short: "List the mappings of a stream", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var out []warehouse.Mapping
			if _, err := a.client().Do(cmd.Context(), http.MethodGet, "/v2/mapping/"+url.PathEscape(args[0]), nil, &out); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(out)
			}
			rows := make([][]string, len(out))
			for i, m := range out {
				rows[i] = []string{m.Field, m.Expression}
			}
			return a.table([]string{"FIELD", "EXPRESSION"}, rows)
		},
	}
	set := &cobra.Command{
		Use: "set STREAM FIELD=EXPRESSION…", Short: "Set mappings of a stream", Args: cobra.MinimumNArgs(2),
		Example: `  usher mapping set sales 'lifetime_value=number(OrderQuantity) * number(lookup("products", ProductKey, "ProductPrice"))'`,
		RunE: func(cmd *cobra.Command, args []string) error {
			set, err := pairs("mapping", args[1:])
			if err != nil {
				return err
			}
			var out struct {
				Rebuild []string `json:"rebuild"`
			}
			if _, err := a.client().Do(cmd.Context(), http.MethodPut, "/v2/mapping/"+url.PathEscape(args[0]), set, &out); err != nil {
				return err
			}
			if len(out.Rebuild) > 0 {
				a.say("messages are there already: rebuild to apply it to them (usher rebuild start), fields %s", strings.Join(out.Rebuild, ", "))
			}
			return nil
		},
	}
	c.AddCommand(a.jsonFlag(list), set, a.mappingPreview(), a.mappingDelete())
	return c
}

func (a *app) streamCommand() *cobra.Command {
	c := &cobra.Command{Use: "stream", Short: "Named flows of raw incoming records"}
	list := &cobra.Command{
		Use: "list", Short: "List streams", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var out []warehouse.StreamStat
			if _, err := a.client().Do(cmd.Context(), http.MethodGet, "/v2/stream", nil, &out); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(out)
			}
			rows := make([][]string, len(out))
			for i, s := range out {
				rows[i] = []string{s.Name, count(s.Messages), when(s.LastMessage), when(s.LastReceipt), strconv.Itoa(len(s.Columns)), strings.Join(s.Unmapped, " ")}
			}
			return a.table([]string{"STREAM", "MESSAGES", "LAST MESSAGE", "LAST RECEIVED", "COLUMNS", "UNMAPPED"}, rows)
		},
	}
	var s warehouse.Stream
	declare := &cobra.Command{
		Use: "declare NAME", Short: "Say how a stream's messages are read", Args: cobra.ExactArgs(1),
		Example: `  usher stream declare sales --timestamp OrderDate --date-order mdy --message-id OrderNumber,OrderLineItem,CustomerKey
  usher stream declare products --reference-key ProductKey`,
		RunE: func(cmd *cobra.Command, args []string) error {
			s.Name = args[0]
			_, err := a.client().Do(cmd.Context(), http.MethodPut, "/v2/stream/"+url.PathEscape(s.Name), s, nil)
			return err
		},
	}
	declare.Flags().StringVar(&s.TimestampField, "timestamp", "", "column with the message's time (default: the time of receipt)")
	declare.Flags().StringVar(&s.DateOrder, "date-order", "", "order of dates such as 5/14/1965: mdy, dmy or ymd")
	declare.Flags().StringSliceVar(&s.MessageID, "message-id", nil, "columns that together name a message")
	declare.Flags().StringVar(&s.ReferenceKey, "reference-key", "", "makes it a reference stream for lookup(), found by this column")
	declare.Flags().StringVar(&s.PhoneCountry, "phone-country", "", "country whose numbers phone() reads without a country code, such as US")
	declare.Flags().IntVar(&s.RetentionDays, "retention-days", 0, "how long raw messages are kept (default for ever)")
	var limit int
	show := &cobra.Command{
		Use: "messages NAME", Short: "Show recent messages", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var out []warehouse.Message
			if _, err := a.client().Do(cmd.Context(), http.MethodGet, "/v2/stream/"+url.PathEscape(args[0])+"/events?limit="+strconv.Itoa(limit), nil, &out); err != nil {
				return err
			}
			return a.printJSON(out)
		},
	}
	show.Flags().IntVar(&limit, "limit", 10, "how many")
	c.AddCommand(a.jsonFlag(a.streamNames()), a.showStream(), a.streamStats(), a.jsonFlag(a.streamFields()))
	c.AddCommand(a.jsonFlag(list), declare, show, a.streamDrift(), a.streamAccept())
	return c
}

func (a *app) profileCommand() *cobra.Command {
	c := &cobra.Command{Use: "profile", Short: "One person"}
	show := &cobra.Command{
		Use: "show FIELD=VALUE", Short: "Find a person by an identifier (personal values masked)", Args: cobra.ExactArgs(1),
		Example: "  usher profile show customer_key=11000",
		RunE: func(cmd *cobra.Command, args []string) error {
			field, value, ok := strings.Cut(args[0], "=")
			if !ok {
				return usageError("%q is not field=value", args[0])
			}
			var out warehouse.Profile
			if _, err := a.client().Do(cmd.Context(), http.MethodPost, "/v2/profile/lookup", map[string]string{"field": field, "value": value}, &out); err != nil {
				return err
			}
			return a.printJSON(out)
		},
	}
	number := &cobra.Command{
		Use: "count", Short: "How many people there are", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var out struct {
				Profiles int64 `json:"profiles"`
			}
			if _, err := a.client().Do(cmd.Context(), http.MethodGet, "/v2/profile/count", nil, &out); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(out)
			}
			_, err := fmt.Fprintln(a.out, out.Profiles)
			return err
		},
	}
	c.AddCommand(a.jsonFlag(show), a.jsonFlag(number), a.profileMerges())
	return c
}
