//go:build !race

package alerting_test

const raceEnabled = false
