package singer

import (
	"usher/internal/provider"
)

// The settings.
const (
	configField  = "config"
	programField = "program"
	tapField     = "tap_stream"
	catalogField = "catalog"
	methodField  = "replication_method"
	keyField     = "replication_key"
	timeField    = "time_limit"
	memoryField  = "memory_limit_mb"
)

// Definition is all the program knows of Singer taps.
func Definition() provider.Definition {
	return provider.Definition{
		Name: "singer", Title: "Singer", Icon: "download",
		Description: "Runs a program that speaks the Singer protocol (a tap) and takes in what it prints.",
		Workflows: []provider.Workflow{{
			Name: "singer_import", Title: "Singer tap", Direction: provider.Import, Subject: provider.RawEvents,
			Description: "Runs a tap, takes in the records of one of its streams, and keeps its state, so that the next run goes on there.",
			Scheduled:   true, Once: true,
			Fields: append([]provider.Field{
				{Name: programField, Label: "Program", Type: "string", Required: true, Example: "tap-postgres", Help: "The file name of the tap in the folder of programs that the server was started with; no path and no arguments."},
				{Name: tapField, Label: "Stream of the tap", Type: "string", Required: true, Example: "public-customers", Help: "The one stream that is read, by its tap_stream_id or its name in the catalog."},
				{Name: catalogField, Label: "Catalog", Type: "text", Help: "The catalog that the tap is given, as JSON. Empty = the one that the tap makes itself (--discover), with the stream and all its fields selected."},
				{Name: methodField, Label: "Replication", Type: "select", Options: []string{"FULL_TABLE", "INCREMENTAL", "LOG_BASED"}, Help: "How the tap is told to read the stream. Empty = as the catalog says."},
				{Name: keyField, Label: "Replication key", Type: "string", Example: "updated_at", Help: "The field by which the tap goes on, where it reads INCREMENTAL. Empty = as the catalog says."},
				{Name: timeField, Label: "Time limit", Type: "duration", Default: "6h", Help: "How long one run of the tap may take, 1s to 24h."},
				{Name: memoryField, Label: "Memory limit", Type: "int", Default: "2048", Help: "How many MB of addresses each process of the tap may use, 64 to 65536. Linux only."},
			}, provider.ImportFields()...),
		}},
		AuthFields: []provider.Field{
			{Name: configField, Label: "Configuration", Type: "text", Required: true, Secret: true, Help: "What the tap is given as its configuration (--config): a JSON object such as {\"host\":\"db.example.com\"}. The tap's own page says what is in it."},
		},
		Concurrency: 1,
		NewSource:   newSource,
	}
}
