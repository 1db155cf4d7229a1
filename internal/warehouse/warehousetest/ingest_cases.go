package warehousetest

import "testing"

// ingestCases are the examples; each has an empty warehouse.
var ingestCases = []struct {
	name string
	run  func(t *testing.T, l *Loader)
}{}
