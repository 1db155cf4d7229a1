//go:build race

package publishing_test

// raceEnabled: the race detector makes everything ten times as slow.
const raceEnabled = true
