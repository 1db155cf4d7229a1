//go:build race

package storetest

// randomChecks is fewer under the race detector, which makes a database in Go
// ten times slower.
const randomChecks = "25"

// manyLives is how many jobs live 60 steps each.
const manyLives = 10
