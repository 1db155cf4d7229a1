// Package sftp keeps audiences as files on an SFTP server: each run writes who
// came and who went. It reads files from there as well, for imports.
//
// It owns what the form, the command line and the docs page say of it; rows and
// files are package rowfile's, the server is package sftpdrop's. It decides
// nothing. It is built for whoever reads the files: a file is there whole and
// once, or it is not there; and for the file that is read while somebody writes it.
package sftp

import (
	"usher/internal/provider"
	"usher/internal/provider/drop"
	"usher/internal/provider/drop/sftpdrop"
)

const (
	workflowImport = "sftp_import"
	workflowUpload = "sftp_publisher_upload"
)

// Definition is all the program knows of the provider.
func Definition() provider.Definition {
	return provider.Definition{
		Name:            "sftp",
		Title:           "SFTP",
		Icon:            "folder-share",
		DestinationType: "File",
		Description:     "Writes audiences as files into a folder of an SFTP server: who came and who went since the last run. Reads files of people and events from there.",
		Workflows: []provider.Workflow{{
			Name: "sftp_export", Title: "Files by SFTP", Direction: provider.Export, Subject: provider.Profiles, Kind: provider.State,
			Description: "Writes a file of the people who entered an audience, and one of those who left it, at each run that has any.",
			RealTime:    true, Scheduled: true, Once: true,
			Fields: drop.RowFields(),
		}, {
			Name: workflowImport, Title: "Import by SFTP", Direction: provider.Import, Subject: provider.Profiles,
			Description: "Reads CSV, JSON and NDJSON files of a folder into a stream, each row once: one file whenever it changes, or dated files one after the other.",
			Scheduled:   true, Once: true,
			Fields: append([]provider.Field{importFolder()}, drop.FolderImportFields()...),
		}, {
			Name: workflowUpload, Title: "Campaign edits by SFTP", Direction: provider.Import, Subject: provider.Campaigns,
			Description: "Reads CSV and TSV files of edits from a folder into the Activity Log of a publisher account: each file once, as one upload.",
			Scheduled:   true, Once: true,
			Fields: append([]provider.Field{importFolder()}, drop.FolderUploadFields()...),
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
		NewSource:      NewSource,
	}
}

// importFolder is the folder of an import, which is a setting of its job.
func importFolder() provider.Field {
	f := sftpdrop.Folder()
	f.Help = "The folder files are read from. One that does not begin with a slash begins in the user's home."
	return f
}

// NewSource makes what reads the files of an import.
func NewSource(d provider.Deps) (provider.Source, error) {
	place, err := sftpdrop.New(d)
	if err != nil {
		return nil, err
	}
	name := workflowImport
	if d.Workflow == workflowUpload {
		name = workflowUpload
	}
	w, _ := Definition().Workflow(name)
	return drop.NewImport(place, w.Fields, d)
}

// New makes the client of one folder.
func New(d provider.Deps) (provider.Destination, error) {
	place, err := sftpdrop.New(d)
	if err != nil {
		return nil, err
	}
	return &drop.Export{Place: place, Layout: drop.Rows{}, Log: d.Log}, nil
}
