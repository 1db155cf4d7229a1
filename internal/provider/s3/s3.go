// Package s3 keeps audiences as files in a bucket of S3 or of anything that
// speaks like it: each run writes who came and who went. It reads files from there
// as well, for imports.
//
// It owns what the form, the command line and the docs page say of it; rows and
// files are package rowfile's, the bucket is package s3drop's. It decides
// nothing. It is built for whoever reads the files: a file is there whole and
// once, or it is not there.
package s3

import (
	"errors"
	"strings"

	"usher/internal/activation"
	"usher/internal/provider"
	"usher/internal/provider/drop"
	"usher/internal/provider/drop/s3drop"
)

// Definition is all the program knows of the provider.
func Definition() provider.Definition {
	return provider.Definition{
		Name:            "s3",
		Title:           "S3",
		Icon:            "server-2",
		DestinationType: "File",
		Description:     "Writes audiences as files into a bucket of S3 or of what speaks like it: who came and who went since the last run. Reads files of people and events from there.",
		Workflows: []provider.Workflow{{
			Name: "s3_export", Title: "Files in a bucket", Direction: provider.Export, Subject: provider.Profiles, Kind: provider.State,
			Description: "Writes a file of the people who entered an audience, and one of those who left it, at each run that has any.",
			RealTime:    true, Scheduled: true, Once: true,
			Fields: drop.RowFields(),
		}, {
			Name: "s3_import", Title: "Import from a bucket", Direction: provider.Import, Subject: provider.Profiles,
			Description: "Reads CSV, JSON and NDJSON files of a bucket into a stream, each row once; a file that has changed is read again.",
			Scheduled:   true, Once: true,
			Fields: append(importPlace(), drop.BucketImportFields()...),
		}},
		AuthFields:        s3drop.AuthFields(true),
		DestinationFields: append([]provider.Field{s3drop.Prefix()}, drop.ColumnFields()...),
		AccountHelp:       "The name of the bucket. It must be there; Usher makes none.",
		OpenColumns:       &provider.OpenColumns{Rules: "s3/1"},
		// MaxRows is ours: a batch lies in memory while it is written.
		MaxRows: drop.MaxRows,
		// The name of a file follows from run and batch, so a batch that is sent
		// again replaces its own file.
		Replay: provider.ReplayHarmless,
		// Concurrency is ours; S3 takes thousands of requests a second.
		Concurrency:    4,
		NewDestination: New,
		NewSource:      NewSource,
	}
}

// bucketField is the setting of an import that names the bucket.
const bucketField = "bucket"

// importPlace is where an import reads, which are settings of its job.
func importPlace() []provider.Field {
	prefix := s3drop.Prefix()
	prefix.Example, prefix.Help = "exports/customers", "What the keys of files begin with, like a folder; a slash is put behind it. Files in folders below it are read too. Empty = the whole bucket."
	return []provider.Field{
		{Name: bucketField, Label: "Bucket", Type: "string", Required: true, Example: "my-exports", Help: "The name of the bucket."},
		prefix,
	}
}

// NewSource makes what reads the files of an import.
func NewSource(d provider.Deps) (provider.Source, error) {
	place, err := s3drop.New(d, d.Config[bucketField])
	var e *activation.Error
	if errors.As(err, &e) && e.Field == "account" {
		at := *e
		at.Field, at.Message = bucketField, bucketField+strings.TrimPrefix(e.Message, "account")
		return nil, &at
	}
	if err != nil {
		return nil, err
	}
	w, _ := Definition().Workflow("s3_import")
	return drop.NewImport(place, w.Fields, d)
}

// New makes the client of one bucket.
func New(d provider.Deps) (provider.Destination, error) {
	place, err := s3drop.New(d, d.Account)
	if err != nil {
		return nil, err
	}
	return &drop.Export{Place: place, Layout: drop.Rows{}, Log: d.Log}, nil
}
