package template

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// workerName is the name under which the program is started to evaluate one
// template. It is an argument, not a variable, so that nothing inherits it.
const workerName = "usher-template-worker"

// The exit codes of a worker that reached a limit.
const (
	exitTime   = 41
	exitMemory = 42
)

// init makes any program that can evaluate templates its own worker, before it
// does anything else: tests too, which have no main of ours. It is the one init
// of the program; docs/adr/0013-templates.md says why.
func init() {
	if len(os.Args) == 1 && os.Args[0] == workerName {
		work(os.Stdin, os.Stdout)
		os.Exit(0)
	}
}

// work reads a template and then answers events until in ends.
func work(in io.Reader, out io.Writer) {
	r := bufio.NewReader(in)
	debug.SetMaxStack(256 << 20)
	go watchMemory()
	var p *program
	for {
		k, body, err := readFrame(r)
		if err != nil {
			return
		}
		// Whoever started this may be gone: the limit is kept here as well.
		limit := time.AfterFunc(MaxTime, func() { os.Exit(exitTime) })
		answer, made, wrong := kindReady, []byte(nil), (*Error)(nil)
		switch {
		case k == kindText:
			p, wrong = read(string(body))
		case k == kindEvent && p != nil:
			answer = kindOutput
			made, wrong = p.evaluate(body)
		default:
			return
		}
		limit.Stop()
		if wrong != nil {
			answer = kindError
			if made, err = json.Marshal(wrong); err != nil {
				return
			}
		}
		if writeFrame(out, answer, made) != nil {
			return
		}
	}
}

// watchMemory ends the process when it holds more than it may. It reads a
// counter that costs no pause, since a single allocation may be all of it.
func watchMemory() {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	held := func() uint64 {
		metrics.Read(sample)
		return sample[0].Value.Uint64()
	}
	begin := held()
	for range time.Tick(2 * time.Millisecond) {
		if held() > begin+maxMemoryBytes {
			os.Exit(exitMemory)
		}
	}
}
