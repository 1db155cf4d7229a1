package template

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"time"
)

// Session evaluates one template in a process of its own. Its methods may be
// called by any goroutine; events are evaluated one after another. Close it.
type Session struct {
	text string

	mu     sync.Mutex
	worker *worker // nil = none runs
	closed bool
}

// errClosed is what a session says that was closed.
var errClosed = errors.New("the template's session is closed")

// Open starts the process of a template and reads its text. A text that cannot
// be read is a static *Error.
func Open(ctx context.Context, text string) (*Session, error) {
	if len(text) > MaxTextBytes {
		return nil, &Error{Static: true, Message: fmt.Sprintf("the template is longer than %d bytes", MaxTextBytes)}
	}
	s := &Session{text: text}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s, s.start(ctx)
}

// Check reads the text of a template and returns what is wrong with it.
func Check(ctx context.Context, text string) error {
	s, err := Open(ctx, text)
	if err != nil {
		return err
	}
	s.Close()
	return nil
}

// Render makes the output of one event, which is JSON. What the template does
// wrong is an *Error; any other error says nothing about it.
func (s *Session) Render(ctx context.Context, event []byte) ([]byte, error) {
	code, err := normal(event)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errClosed
	}
	if s.worker == nil { // the last event ended it
		if err := s.start(ctx); err != nil {
			return nil, err
		}
	}
	return s.ask(ctx, MaxTime+graceTime, kindEvent, code, kindOutput)
}

// Close ends the process and waits until it is gone. It may be called twice.
func (s *Session) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.end()
}

// normal writes an event so that Jsonnet reads it as JSON does: without a key
// that is there twice, and valid UTF-8.
func normal(event []byte) ([]byte, error) {
	if len(event) > MaxEventBytes {
		return nil, &Error{Message: fmt.Sprintf("the event is longer than %d bytes", MaxEventBytes)}
	}
	var v any
	d := json.NewDecoder(bytes.NewReader(event))
	d.UseNumber()
	if err := d.Decode(&v); err != nil || d.More() {
		return nil, &Error{Message: "the event is not one JSON value"}
	}
	out, err := json.Marshal(v)
	if err != nil || len(out) > MaxEventBytes {
		return nil, &Error{Message: "the event cannot be written as JSON"}
	}
	return out, nil
}

func (s *Session) start(ctx context.Context) error {
	w, err := startWorker()
	if err != nil {
		return fmt.Errorf("start the process of a template: %w", err)
	}
	s.worker = w
	_, err = s.ask(ctx, startTime, kindText, []byte(s.text), kindReady)
	if err != nil {
		s.end()
	}
	return err
}

func (s *Session) end() {
	if s.worker != nil {
		s.worker.kill() // it waits for an event and holds nothing
		s.worker.end()
		s.worker = nil
	}
}

// ask sends one frame and waits for the answer. A process that does not answer
// in time, or not as it should, is ended.
func (s *Session) ask(ctx context.Context, limit time.Duration, k kind, body []byte, want kind) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	w := s.worker
	timer := time.AfterFunc(limit, w.kill)
	stop := context.AfterFunc(ctx, w.kill)
	got, answer, err := w.exchange(k, body)
	late := !timer.Stop()
	if cancelled := !stop(); err == nil && (late || cancelled) {
		s.end() // it answered and was killed at the same moment
	}
	switch {
	case err == nil && got == want:
		return answer, nil
	case err == nil && got == kindError:
		e := &Error{}
		if json.Unmarshal(answer, e) == nil {
			return nil, e
		}
	}
	code := w.code()
	s.worker = nil
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case k == kindText && late:
		return nil, errors.New("the process of a template did not begin in time")
	case code == exitTime, late:
		return nil, &Error{Static: k == kindText, Message: fmt.Sprintf("the evaluation takes longer than %s", MaxTime)}
	case code == exitMemory, code == 2: // 2 is Go's own end: no memory, no stack
		return nil, &Error{Static: k == kindText, Message: fmt.Sprintf("the evaluation needs more than %d MB of memory, or nests too deep", maxMemoryBytes>>20)}
	}
	return nil, fmt.Errorf("the process of a template ended with code %d", code)
}

// worker is the process.
type worker struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// startWorker starts this program again, by a name that makes it a worker. It
// inherits no environment: nothing in there is a template's business.
func startWorker() (*worker, error) {
	path, err := os.Executable()
	if err != nil {
		return nil, err
	}
	if runtime.GOOS == "linux" {
		path = "/proc/self/exe" // the file that runs, even if another was put in its place
	}
	cmd := &exec.Cmd{Path: path, Args: []string{workerName}, Env: []string{"GOMAXPROCS=2", "GOTRACEBACK=none"}, Dir: "/"}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &worker{cmd: cmd, in: in, out: bufio.NewReader(out)}, nil
}

// kill ends the process now; whoever waits for its answer gets an error.
func (w *worker) kill() { _ = w.cmd.Process.Kill() }

// code waits for a process that ends by itself, and returns its exit code.
func (w *worker) code() int {
	timer := time.AfterFunc(2*graceTime, w.kill)
	defer timer.Stop()
	return w.end()
}

// end waits until the process is gone and returns its exit code. It may be
// called twice.
func (w *worker) end() int {
	if w.cmd.ProcessState == nil {
		_ = w.in.Close()
		_ = w.cmd.Wait() // the code says it
	}
	return w.cmd.ProcessState.ExitCode()
}

// exchange writes one frame and reads one.
func (w *worker) exchange(k kind, body []byte) (kind, []byte, error) {
	if err := writeFrame(w.in, k, body); err != nil {
		return 0, nil, err
	}
	return readFrame(w.out)
}
