package provider

// The settings that every enrichment has, read by package enrich.
const (
	SegmentsField      = "segment_ids"
	UserFieldsField    = "user_fields"
	BatchRequestsField = "batch_requests"
	BatchSizeField     = "batch_size"
	WorkersField       = "worker_count"
	RefreshDaysField   = "refresh_days"
)

const (
	// MaxAsked bounds how many people one call may ask about.
	MaxAsked = 1000
	// MaxAskers bounds how many calls of a job may be under way.
	MaxAskers = 20
)

// EnrichmentFields are the settings that every enrichment has.
func EnrichmentFields() []Field {
	return []Field{
		{Name: StreamField, Label: "Stream", Type: "string", Required: true, Example: "scores", Help: "Where replies go, as messages with the person's identifiers; a stream that is not there is made. Map its columns to fields."},
		{Name: SegmentsField, Label: "Audiences", Type: "list", Example: "vip", Help: "Whose members are asked about: ids or short names, divided by commas. Empty = everybody who has an identifier."},
		{Name: UserFieldsField, Label: "Fields", Type: "list", Example: "email, country", Help: "The fields of the profile that are sent, divided by commas. Empty = its identifiers."},
		{Name: RefreshDaysField, Label: "Ask again after days", Type: "int", Default: "0", Help: "How many days after an answer a person is asked about again. 0 = never."},
		{Name: BatchRequestsField, Label: "Several people a request", Type: "bool", Default: "false", Help: "Ask about several people with each request, instead of one."},
		{Name: BatchSizeField, Label: "People a request", Type: "int", Default: "10", Help: "The most people of one request, where several are asked about; 1 to 1000."},
		{Name: WorkersField, Label: "Requests at once", Type: "int", Default: "5", Help: "How many requests are under way at a time, 1 to 20."},
	}
}
