package webhook

import (
	"time"

	"usher/internal/matchkey"
	"usher/internal/provider"
	"usher/internal/provider/hook"
)

// The credentials' fields beside the address and the signing secret.
const (
	headersField = "headers"
	paramsField  = "url_parameters"
	legacyField  = "legacy_secret"
	scopesField  = "scopes"
)

// The settings of a job.
const (
	methodField  = "http_method"
	templateID   = "template_id"
	segsField    = "include_segs"
	columnsField = "user_fields"
	batchField   = "batch_requests"
	sizeField    = "batch_size"
	flushField   = "batch_flush_duration"
	workersField = "worker_count"
	noRetryField = "do_not_retry"
	timeoutField = "timeout"
)

// The keys of an event, each fed by the setting of its name.
const (
	keyID         = "event_id"
	keyTime       = "event_time"
	keyPerson     = "person"
	keyEvent      = "event"
	keyAudience   = "audience"
	keyAudienceID = "audience_id"
	keyAudiences  = "audiences"
	keyStream     = "stream_name"
	keyMessage    = "message"
)

const (
	// minSecretBytes and maxSecretBytes bound a signing secret (specification,
	// "Signature scheme": between 24 and 64 bytes).
	minSecretBytes = 24
	maxSecretBytes = 64
	// maxRows is the most events of one queue item; how many a request has, the
	// job says.
	maxRows = 1000
	// maxBatch and maxWorkers bound what a job may ask for, as in the contract of
	// webhook jobs.
	maxBatch   = 1000
	maxWorkers = 20
	// maxFlush bounds batch_flush_duration, and maxTimeout one request; the
	// outbound client waits no longer.
	maxFlush   = 300 * time.Second
	maxTimeout = 60 * time.Second
	// replayWindow is how long receivers are asked to remember webhook-ids.
	replayWindow = 24 * time.Hour
)

// Definition is all the program knows of the provider.
func Definition() provider.Definition {
	return provider.Definition{
		Name: "webhook", Title: "Webhook", Icon: "webhook", DestinationType: "Webhook",
		Description: "Posts JSON to any program of yours, signed by Standard Webhooks: people who enter or leave audiences, the messages of a stream, what happens in Usher itself, and people to be asked about, whose replies it stores.",
		Workflows: []provider.Workflow{
			{
				Name: "webhook_triggers", Title: "Webhook triggers", Direction: provider.Export, Subject: provider.Profiles, Kind: provider.Event, Feed: provider.FeedAudience,
				Description: "Posts a person's fields when they enter or leave an audience; those who are in it when the job begins arrive as entering.",
				RealTime:    true, Scheduled: true, Once: true,
				Events: triggerKeys, Fields: append(columnFields(triggerKeys), triggerFields()...),
				Adjust: func(d *provider.Definition) { d.NewDestination = newTriggers },
			},
			{
				Name: "webhook_events", Title: "Webhook stream events", Direction: provider.Export, Subject: provider.RawEvents, Kind: provider.Event, Feed: provider.FeedStream,
				Description: "Posts each message of a stream once, with the fields of its person.",
				RealTime:    true, Scheduled: true,
				Events: streamKeys, Fields: append(columnFields(streamKeys), requestFields()...),
				Adjust: func(d *provider.Definition) { d.NewDestination = newStream },
			},
			{
				Name: "alert_webhook", Title: "Alert by webhook", Direction: provider.Alerting, Subject: provider.SystemEvents, RealTime: true,
				Description: "Posts a signed notice when something happens that somebody should know of.",
				Fields:      provider.AlertFields(),
			},
			enrichmentWorkflow(),
		},
		AuthFields: authFields(),
		DestinationFields: []provider.Field{
			{
				Name: provider.IDColumnField, Label: "Column of the person", Type: "string", Example: "customer_id",
				Help: "The column by which the receiver finds a person. People without it are left out. Empty = the first column by name.",
			},
			{
				Name: provider.HashColumnsField, Label: "Hashed columns", Type: "list", Example: "email, phone",
				Help: "Columns that leave as the SHA-256 of their value, trimmed and in lower case, divided by commas.",
			},
		},
		OpenColumns: &provider.OpenColumns{Rules: "webhook/1"},
		MaxRows:     maxRows,
		// Every repetition has the webhook-id of the first try, and receivers of
		// Standard Webhooks drop what they had (specification, "webhook-id: … the
		// unique identifier … idempotency key").
		Replay: provider.ReplayDeduplicated, ReplayWindow: replayWindow,
		Concurrency:    4,
		NewDestination: newTriggers,
		NewAlert:       New,
		NewEnricher:    newEnricher,
	}
}

func authFields() []provider.Field {
	return []provider.Field{
		hook.URLOf("Where everything is posted to; https unless the host is among the allowed ones."),
		{
			Name: secretField, Label: "Signing secret", Type: "string", Secret: true,
			Help: "What requests are signed with: whsec_ and then 24 to 64 random bytes in base64. Without it they are not signed, and the receiver cannot tell who sent them. To change it, give the new and the old one divided by a space until the receiver knows the new one.",
		},
		{
			Name: headersField, Label: "Headers", Type: "text", Secret: true,
			Help: `Headers that are sent with every request, one "Name: value" a line, or as a JSON object of texts.`,
		},
		{
			Name: paramsField, Label: "URL parameters", Type: "string", Secret: true,
			Help: "Parameters that are added to the address, as in name=value&other=value.",
		},
		{
			Name: provider.TokenURLField, Label: "Token address", Type: "url", Example: "https://login.example.com/oauth2/token",
			Help: "Where access tokens are asked for by OAuth 2 client credentials. With it every request carries a token, and client id and secret are needed.",
		},
		{Name: provider.ClientIDField, Label: "Client id", Type: "string", Help: "The id of the client at the token address."},
		{Name: provider.ClientSecretField, Label: "Client secret", Type: "string", Secret: true, Help: "The secret of the client at the token address."},
		{Name: scopesField, Label: "Scopes", Type: "list", Example: "events.write", Help: "What tokens are asked for, divided by commas. Empty = whatever the client has."},
		{
			Name: legacyField, Label: "Legacy signature", Type: "string", Secret: true,
			Help: "A secret with which the body is signed by HMAC-SHA1 as well, in hexadecimal in the header X-Signature, for receivers that know no other. New receivers should check the signing secret.",
		},
	}
}

var triggerKeys = []matchkey.Key{
	{Name: keyID, Required: true, Exact: true, Normalize: matchkey.Plain, Help: "What names the event."},
	{Name: keyTime, Exact: true, Normalize: matchkey.Plain, Help: "When it happened."},
	{Name: keyPerson, Exact: true, Normalize: matchkey.Plain, Help: "Whose events stay in order."},
	{Name: keyEvent, Required: true, Exact: true, Normalize: matchkey.Plain, Help: "Enter or exit."},
	{Name: keyAudience, Exact: true, Normalize: matchkey.Plain, Help: "The slug of the audience."},
	{Name: keyAudienceID, Exact: true, Normalize: matchkey.Plain, Help: "The id of the audience."},
	{Name: keyAudiences, Exact: true, Normalize: matchkey.Plain, Help: "All audiences of the person, as a JSON list of slugs."},
}

var streamKeys = []matchkey.Key{
	{Name: keyID, Required: true, Identifies: true, Exact: true, Normalize: matchkey.Plain, Help: "What names the event."},
	{Name: keyTime, Exact: true, Normalize: matchkey.Plain, Help: "When it happened."},
	{Name: keyPerson, Exact: true, Normalize: matchkey.Plain, Help: "Whose events stay in order."},
	{Name: keyStream, Exact: true, Normalize: matchkey.Plain, Help: "The name of the stream."},
	{Name: keyMessage, Exact: true, Normalize: matchkey.Plain, Help: "The whole message as a JSON object."},
}

// sources is what feeds each key unless a job says otherwise.
var sources = map[string]string{
	keyID: "$id", keyTime: "$time", keyPerson: "$profile", keyEvent: "$event", keyAudience: "$audience", keyAudienceID: "$audience_id",
	keyAudiences: "$audiences", keyStream: "$stream", keyMessage: "$message",
}

// columnFields are the settings that feed the keys of an event.
func columnFields(keys []matchkey.Key) []provider.Field {
	labels := map[string]string{
		keyID: "Event id", keyTime: "Time", keyPerson: "Person", keyEvent: "Enter or exit", keyAudience: "Audience", keyAudienceID: "Audience id",
		keyAudiences: "All audiences", keyStream: "Stream", keyMessage: "Message",
	}
	out := make([]provider.Field, len(keys))
	for i, k := range keys {
		out[i] = provider.Field{Name: k.Name, Label: labels[k.Name], Type: "column", Default: sources[k.Name], Help: k.Help + " Rarely anything else than the default."}
	}
	return out
}

func triggerFields() []provider.Field {
	return append([]provider.Field{
		{
			Name: provider.AudienceEventsField, Label: "Events", Type: "select", Options: []string{provider.EntersOnly, provider.ExitsOnly},
			Help: "Send people who enter only, or people who leave only. Empty = both.",
		},
		{
			Name: segsField, Label: "All audiences of the person", Type: "bool", Default: "false",
			Help: "Add data.segments: the slugs of all audiences that the person is in.",
		},
	}, requestFields()...)
}

func requestFields() []provider.Field {
	return []provider.Field{
		{Name: columnsField, Label: "Columns", Type: "list", Example: "email, first_name", Help: "The columns of the destination that are sent, divided by commas. Empty = all."},
		{Name: templateID, Label: "Template", Type: "template", Help: "The payload template that makes the body of each event. Empty = the payload as it is documented."},
		{Name: methodField, Label: "Method", Type: "select", Default: "POST", Options: []string{"POST", "PUT", "PATCH"}, Help: "The HTTP method of the requests."},
		{Name: batchField, Label: "Several events a request", Type: "bool", Default: "false", Help: "Send a JSON list of events in each request, instead of one event."},
		{Name: sizeField, Label: "Events a request", Type: "int", Default: "10", Help: "The most events of one request, where several are sent; 1 to 1000."},
		{Name: flushField, Label: "Longest wait", Type: "duration", Default: "5s", Help: "Accepted for jobs made elsewhere, at most 300s. What a run has is sent at once, so nothing waits for a request to fill up."},
		{Name: workersField, Label: "Requests at once", Type: "int", Default: "5", Help: "How many requests are under way at a time, 1 to 20. Events of one person stay in order."},
		{
			Name: noRetryField, Label: "Do not retry", Type: "list", Example: "400, 404, 422",
			Help: "The HTTP statuses by which the receiver refuses an event for good, divided by commas. Empty = 400 to 499 but 401, 403, 407, 408, 409, 410, 425 and 429.",
		},
		{Name: timeoutField, Label: "Time limit", Type: "duration", Default: "10s", Help: "How long an answer is waited for, at most 60s."},
	}
}
