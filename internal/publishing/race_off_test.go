//go:build !race

package publishing_test

const raceEnabled = false
