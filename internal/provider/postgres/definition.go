package postgres

import (
	"usher/internal/matchkey"
	"usher/internal/provider"
	"usher/internal/provider/query"
)

// The settings by name.
const (
	hostField     = "host"
	portField     = "port"
	usernameField = "username"
	passwordField = "password"
	sslModeField  = query.SSLModeField
	rootField     = query.RootField

	schemaField  = "schema"
	timeoutField = "timeout"

	tableField   = "table"
	leaversField = "leavers"
)

// What the setting leavers may be.
const (
	leaversDelete = "delete"
	leaversMark   = "mark"
)

// The workflows.
const (
	workflowAudience = "postgres_export"
	workflowEvents   = "postgres_events_export"
)

// maxRows is the most rows of one transaction. PostgreSQL has no limit; it bounds
// what is sent again when the connection is lost.
const maxRows = 10_000

// maxBytes bounds the values of one transaction, for the memory of both sides.
const maxBytes = 16 << 20

// Definition is all the program knows of PostgreSQL.
func Definition() provider.Definition {
	return provider.Definition{
		Name:            "postgres",
		Title:           "PostgreSQL",
		Icon:            "database",
		DestinationType: "File",
		Description:     "Keeps a table of an audience's people in step in a PostgreSQL database of your own, writes the raw events of a stream into one, or reads tables and queries from one.",
		Workflows:       []provider.Workflow{audienceWorkflow(), eventsWorkflow(), importWorkflow()},
		AuthFields: append([]provider.Field{
			{Name: hostField, Label: "Host", Help: "The name or address of the database server.", Type: "string", Required: true, Example: "db.example.com"},
			{Name: portField, Label: "Port", Help: "The port of the database server.", Type: "int", Default: "5432"},
			{Name: usernameField, Label: "Username", Help: "The role that Usher signs in as. An export needs USAGE and CREATE on its schema, an import USAGE and SELECT, and nothing else.", Type: "string", Required: true, Example: "usher"},
			{Name: passwordField, Label: "Password", Help: "The role's password.", Type: "string", Secret: true},
		}, query.TLSFields()...),
		DestinationFields: []provider.Field{
			{Name: schemaField, Label: "Schema", Help: "The schema of the tables.", Type: "string", Default: "public"},
			{Name: provider.IDColumnField, Label: "Id column", Help: "The column by which a person's row is found: the table's primary key. Empty = the first one of the mapping by name.", Type: "string", Example: "customer_id"},
			{Name: provider.HashColumnsField, Label: "Hashed columns", Help: "The columns, divided by commas, that hold the SHA-256 of the value (trimmed, in lower case) as hexadecimal text instead of the value.", Type: "list", Example: "email,phone"},
			{Name: timeoutField, Label: "Time limit", Help: "How long one batch may take, and how long a statement may wait for a lock. At most 10m.", Type: "duration", Default: "1m"},
		},
		AccountHelp: "The name of the database, such as `analytics`.",
		OpenColumns: &provider.OpenColumns{Rules: "postgres/1"},
		MaxRows:     maxRows,
		MaxBytes:    maxBytes,
		Replay:      provider.ReplayHarmless,
		Opens:       true,
		Lists:       true,
		Replaces:    true,
		Concurrency: 2,
		NewDestination: func(d provider.Deps) (provider.Destination, error) {
			return newPeople(d)
		},
		NewSource: newSource,
	}
}

func audienceWorkflow() provider.Workflow {
	return provider.Workflow{
		Name: workflowAudience, Title: "PostgreSQL table of an audience",
		Description: "One row per person of the audience, updated as they change; who leaves is deleted or marked.",
		Direction:   provider.Export, Subject: provider.Profiles, Kind: provider.State,
		RealTime: true, Scheduled: true, Once: true,
		Fields: []provider.Field{
			{Name: tableField, Label: "Table", Help: "The table to keep in step. Usher makes it, and takes none that it did not make. Empty = usher_ and the audience's short name.", Type: "string", Example: "vip_customers"},
			{
				Name: leaversField, Label: "Who leaves", Type: "select", Options: []string{leaversDelete, leaversMark}, Default: leaversDelete,
				Help: "delete removes the row; mark keeps the id, sets left_at and empties the other columns.",
			},
		},
	}
}

func eventsWorkflow() provider.Workflow {
	column := func(name, label, source, help string) provider.Field {
		return provider.Field{Name: name, Label: label, Help: help, Type: "column", Default: source}
	}
	w := provider.Workflow{
		Name: workflowEvents, Title: "PostgreSQL table of raw events",
		Description: "One row per message of a stream, in the order in which they came; a message that is sent again changes nothing.",
		Direction:   provider.Export, Subject: provider.RawEvents, Kind: provider.Event, Feed: provider.FeedStream,
		RealTime: true, Scheduled: true, Once: true,
		Events: eventKeys(),
		Fields: []provider.Field{
			{Name: tableField, Label: "Table", Help: "The table to write to. Usher makes it, and takes none that it did not make.", Type: "string", Required: true, Example: "web_events"},
			column(columnID, "Event id", "$id", "What names the event: the primary key."),
			column(columnTime, "Event time", "$time", "When it happened; RFC 3339, else empty."),
			column(columnReceived, "Received at", "$received", "When Usher received it; RFC 3339, else empty."),
			column(columnStream, "Stream", "$stream", "The stream it came from."),
			column(columnProfile, "Profile", "$profile", "Usher's number of the person."),
			column(columnMessage, "Message", "$message", "The message itself; JSON, else empty."),
		},
		Adjust: func(d *provider.Definition) {
			d.Lists, d.Replaces = false, false
			d.NewDestination = func(deps provider.Deps) (provider.Destination, error) { return newEvents(deps) }
		},
	}
	return w
}

// The columns of an event's row before those of its person.
const (
	columnID       = "event_id"
	columnTime     = "event_time"
	columnReceived = "received_at"
	columnStream   = "stream"
	columnProfile  = "profile"
	columnMessage  = "message"
)

// eventColumns are they with their types; the first is the primary key.
var eventColumns = []column{
	{columnID, typeText}, {columnTime, typeTime}, {columnReceived, typeTime}, {columnStream, typeText}, {columnProfile, typeText}, {columnMessage, typeJSON},
}

func eventKeys() []matchkey.Key {
	return []matchkey.Key{
		{Name: columnID, Help: "What names the event.", Identifies: true, Required: true, Exact: true, Normalize: matchkey.Plain},
		{Name: columnTime, Help: "When it happened.", Exact: true, Normalize: moment},
		{Name: columnReceived, Help: "When it was received.", Exact: true, Normalize: moment},
		{Name: columnStream, Help: "The stream.", Exact: true, Normalize: matchkey.Plain},
		{Name: columnProfile, Help: "The person.", Exact: true, Normalize: matchkey.Plain},
		{Name: columnMessage, Help: "The message.", Exact: true, Normalize: document},
	}
}
