package storetest

import "testing"

// Run runs the suite against a database.
func Run(t *testing.T, env Env) {
	cases := []struct {
		name string
		run  func(*world)
	}{
		{"a run from open to done", runToDone},
		{"only one run is open", oneOpenRun},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, env)
			c.run(w)
			w.sound()
		})
	}
}
