// Package s3 keeps audiences as files in a bucket of S3 or of anything that
// speaks like it: each run writes who came and who went.
//
// It owns what the form, the command line and the docs page say of it; rows and
// files are package rowfile's, the bucket is package s3drop's. It decides
// nothing. It is built for whoever reads the files: a file is there whole and
// once, or it is not there.
package s3

import (
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
		Description:     "Writes audiences as files into a bucket of S3 or of what speaks like it: who came and who went since the last run.",
		Workflows: []provider.Workflow{{
			Name: "s3_export", Title: "Files in a bucket", Direction: provider.Export, Subject: provider.Profiles, Kind: provider.State,
			Description: "Writes a file of the people who entered an audience, and one of those who left it, at each run that has any.",
			RealTime:    true, Scheduled: true, Once: true,
			Fields: drop.RowFields(),
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
	}
}

// New makes the client of one bucket.
func New(d provider.Deps) (provider.Destination, error) {
	place, err := s3drop.New(d, d.Account)
	if err != nil {
		return nil, err
	}
	return &drop.Export{Place: place, Layout: drop.Rows{}, Log: d.Log}, nil
}
