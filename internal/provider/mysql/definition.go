package mysql

import (
	"usher/internal/provider"
	"usher/internal/provider/query"
)

// The settings of an authorization.
const (
	hostField     = "host"
	portField     = "port"
	userField     = "username"
	passwordField = "password"
	databaseField = "database"
)

// Definition is all the program knows of MySQL imports.
func Definition() provider.Definition {
	return provider.Definition{
		Name:        "mysql",
		Title:       "MySQL",
		Icon:        "database",
		Description: "Reads tables and queries from a MySQL or MariaDB server of your own.",
		Workflows: []provider.Workflow{{
			Name: "mysql_import", Title: "MySQL query", Direction: provider.Import, Subject: provider.RawEvents,
			Description: "Reads a table or the rows of a query into a stream: what is new since the last pass by a cursor column, or everything each time.",
			Scheduled:   true, Once: true,
			Fields: query.Fields(),
		}},
		AuthFields: append([]provider.Field{
			{Name: hostField, Label: "Host", Help: "The name or address of the database server.", Type: "string", Required: true, Example: "db.example.com"},
			{Name: portField, Label: "Port", Help: "The port of the database server.", Type: "int", Default: "3306"},
			{Name: userField, Label: "Username", Help: "The user that Usher signs in as. It needs SELECT on what is read, and nothing else.", Type: "string", Required: true, Example: "usher"},
			{Name: passwordField, Label: "Password", Help: "The user's password.", Type: "string", Secret: true},
			{Name: databaseField, Label: "Database", Help: "The database to read from.", Type: "string", Required: true, Example: "shop"},
		}, query.TLSFields()...),
		Concurrency: 2,
		NewSource:   newSource,
	}
}
