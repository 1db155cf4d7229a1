// Package warehousetest is the suite that every data plane passes.
//
// It judges a warehouse from outside, through its interfaces only, and against
// models in plain Go (maps and slices) that share no code with it. It is built
// for the failure that a fast warehouse is most prone to: profiles that depend
// on how the data arrived: in which order, in which slices, how often, before
// or after a crash.
package warehousetest
