//go:build !race

package storetest

// randomChecks is how many random sequences of 30 commands a plain test run
// tries; -rapid.checks asks for more.
const randomChecks = "100"

// manyLives is how many jobs live 60 steps each.
const manyLives = 50
