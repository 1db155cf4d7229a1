//go:build race

package activation_test

// modelSteps is fewer under the race detector, which has nothing to find here.
const modelSteps = 100_000
