//go:build !race

package delivery

// RaceEnabled: the race detector makes everything ten times as slow.
const RaceEnabled = false
