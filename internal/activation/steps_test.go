//go:build !race

package activation_test

// modelSteps is how many steps TestModel lives.
const modelSteps = 1_000_000
