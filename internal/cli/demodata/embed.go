// Package demodata holds the files that the demo and the tests import: a part
// of Microsoft's AdventureWorks sample data (see NOTICE), byte for byte as it
// was published, because its byte order mark, carriage returns and quoted
// amounts are what real deliveries look like.
//
// It owns the files and nothing else: it neither reads nor interprets them. It
// is built for the failure of a demo that works only beside its checkout: the
// files travel in the binary.
package demodata

import "embed"

// Files are the CSV files, at the root, under the names they were published
// with, and the NOTICE that says where they come from.
//
//go:embed *.csv NOTICE
var Files embed.FS
