package dmp

import (
	"log/slog"
	"slices"

	"usher/internal/activation"
	"usher/internal/provider"
	"usher/internal/provider/drop"
	"usher/internal/provider/drop/s3drop"
	"usher/internal/provider/drop/sftpdrop"
	"usher/internal/provider/rowfile"
)

// The settings of our own.
const (
	transportField   = "transport"
	bucketField      = "bucket"
	audienceField    = "audience"
	audienceKeyField = "audience_key"
)

// The transports.
const (
	bySFTP = "sftp"
	byS3   = "s3"
)

// The workflows.
const (
	workflowLines    = "dmp_lines"
	workflowLiveRamp = "dmp_liveramp"
)

// The codes of what is wrong with settings and rows.
const (
	codeSettings = "DMP-SETTINGS"
	codeID       = "DMP-ID"
)

// Definition is all the program knows of the provider.
func Definition() provider.Definition {
	return provider.Definition{
		Name:            "dmp",
		Title:           "DMP",
		Icon:            "stack-2",
		DestinationType: "DMP",
		Description:     "Sends audiences to a data management platform as files, by SFTP or into a bucket of S3: one line a customer, or CSV as LiveRamp takes it.",
		Workflows:       []provider.Workflow{lines(), liveRamp()},
		AuthFields: slices.Concat(
			[]provider.Field{{
				Name: transportField, Label: "Transport", Type: "select", Default: bySFTP, Options: []string{bySFTP, byS3},
				Help: "How files get to the platform: sftp needs host, user name, host key and a password or private key; s3 needs endpoint, bucket, access key and secret key.",
			}},
			sftpdrop.AuthFields(false), s3drop.AuthFields(false),
			[]provider.Field{{Name: bucketField, Label: "Bucket", Type: "string", Example: "platform-intake", Help: "The name of the bucket, for s3."}},
		),
		DestinationFields: []provider.Field{
			sftpdrop.Folder(), s3drop.Prefix(),
			{
				Name: provider.CountryField, Label: "Default country", Type: "string", Example: "US",
				Help: "The country, as a two-letter code, of phone numbers without a country code where the person's own country is not known.",
			},
		},
		RuleSet: RuleSet(),
		// MaxRows is ours: a batch lies in memory while it is written.
		MaxRows: drop.MaxRows,
		// The name of a file follows from run and batch, so a batch that is sent
		// again replaces its own file.
		Replay: provider.ReplayHarmless,
		// Concurrency is ours: servers often take few connections of one user.
		Concurrency:    2,
		NewDestination: newDestination(func(*slog.Logger) drop.Layout { return lineLayout{} }),
	}
}

func lines() provider.Workflow {
	return provider.Workflow{
		Name: workflowLines, Title: "One line a customer", Direction: provider.Export, Subject: provider.Profiles, Kind: provider.State,
		Description: "Writes a line for each customer who entered or left an audience: the customer's id, and add= or remove= with the audience.",
		RealTime:    true, Scheduled: true, Once: true,
		Fields: slices.Concat(rowfile.NameFields(), []provider.Field{
			{Name: audienceField, Label: "Name of the audience", Type: "string", Example: "vip", Help: "What the platform calls the audience: no spaces, commas or equals signs. Empty = its short name here."},
			field(rowfile.CompressField), field(rowfile.MaxBytesField), drop.SideFileField(drop.NoSide),
		}),
	}
}

func liveRamp() provider.Workflow {
	return provider.Workflow{
		Name: workflowLiveRamp, Title: "LiveRamp CSV", Direction: provider.Export, Subject: provider.Profiles, Kind: provider.State,
		Description: "Writes CSV as LiveRamp's file intake takes it: the audience key first and then hashed identifiers; who left is in files of their own.",
		RealTime:    true, Scheduled: true, Once: true,
		Fields: slices.Concat(rowfile.NameFields(), []provider.Field{
			{Name: audienceKeyField, Label: "Name of the audience key", Type: "string", Default: customerKey, Example: "customer_id", Help: "The header of the first column, by which LiveRamp tells customers apart: letters, digits and underscores. It must stay the same between files."},
			field(rowfile.DelimiterField), field(rowfile.CompressField), drop.SideFileField(drop.NoSide),
		}),
		Adjust: func(d *provider.Definition) {
			d.NewDestination = newDestination(func(log *slog.Logger) drop.Layout { return liveRampLayout{log: log} })
		},
	}
}

// field is a setting that files of all sorts have.
func field(name string) provider.Field {
	all := rowfile.Fields()
	return all[slices.IndexFunc(all, func(f provider.Field) bool { return f.Name == name })]
}

// newDestination returns what makes the client of one folder or bucket.
func newDestination(layout func(*slog.Logger) drop.Layout) func(provider.Deps) (provider.Destination, error) {
	return func(d provider.Deps) (provider.Destination, error) {
		p, err := place(d)
		if err != nil {
			return nil, err
		}
		return &drop.Export{Place: p, Layout: layout(d.Log), Log: d.Log}, nil
	}
}

func place(d provider.Deps) (drop.Place, error) {
	switch d.Auth[transportField].Reveal() {
	case "", bySFTP:
		return sftpdrop.New(d)
	case byS3:
		return s3drop.New(d, d.Auth[bucketField].Reveal())
	}
	return nil, wrong(transportField, "must be sftp or s3")
}

func wrong(field, message string) error {
	return &activation.Error{Kind: activation.Invalid, Code: codeSettings, Field: field, Message: field + ": " + message}
}
