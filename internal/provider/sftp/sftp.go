// Package sftp keeps audiences as files on an SFTP server: each run writes who
// came and who went.
//
// It owns what the form, the command line and the docs page say of it; rows and
// files are package rowfile's, the server is package sftpdrop's. It decides
// nothing. It is built for whoever reads the files: a file is there whole and
// once, or it is not there.
package sftp

import (
	"usher/internal/provider"
	"usher/internal/provider/drop"
	"usher/internal/provider/drop/sftpdrop"
)

// Definition is all the program knows of the provider.
func Definition() provider.Definition {
	return provider.Definition{
		Name:            "sftp",
		Title:           "SFTP",
		Icon:            "folder-share",
		DestinationType: "File",
		Description:     "Writes audiences as files into a folder of an SFTP server: who came and who went since the last run.",
		Workflows: []provider.Workflow{{
			Name: "sftp_export", Title: "Files by SFTP", Direction: provider.Export, Subject: provider.Profiles, Kind: provider.State,
			Description: "Writes a file of the people who entered an audience, and one of those who left it, at each run that has any.",
			RealTime:    true, Scheduled: true, Once: true,
			Fields: drop.RowFields(),
		}},
		AuthFields:        sftpdrop.AuthFields(true),
		DestinationFields: append([]provider.Field{sftpdrop.Folder()}, drop.ColumnFields()...),
		OpenColumns:       &provider.OpenColumns{Rules: "sftp/1"},
		// MaxRows is ours: a batch lies in memory while it is written.
		MaxRows: drop.MaxRows,
		// The name of a file follows from run and batch, so a batch that is sent
		// again replaces its own file.
		Replay: provider.ReplayHarmless,
		// Concurrency is ours: servers often take few connections of one user.
		Concurrency:    2,
		NewDestination: New,
	}
}

// New makes the client of one folder.
func New(d provider.Deps) (provider.Destination, error) {
	place, err := sftpdrop.New(d)
	if err != nil {
		return nil, err
	}
	return &drop.Export{Place: place, Layout: drop.Rows{}, Log: d.Log}, nil
}
