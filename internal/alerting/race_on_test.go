//go:build race

package alerting_test

// raceEnabled: the race detector makes everything ten times as slow.
const raceEnabled = true
