package singer

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"regexp"
	"sync"
	"syscall"
	"time"

	"usher/internal/activation"
)

const (
	// leaveWithin is how long a tap that was told to end may keep its pipes open.
	leaveWithin = 2 * time.Second
	// maxCatalogBytes bounds what --discover may print.
	maxCatalogBytes = 32 << 20
)

// process is a running tap. It is used by one goroutine at a time.
type process struct {
	cmd    *exec.Cmd
	out    *bufio.Reader
	ctx    context.Context //nolint:containedctx // the life of the process
	cancel context.CancelCauseFunc
	log    *slog.Logger
	words  *words
	done   sync.Once
	err    error
}

// start runs the program in dir. It lives until ctx is done, for at most limit.
func (s *source) start(ctx context.Context, dir string, args ...string) (*process, error) {
	life, cancel := context.WithCancelCause(ctx)
	ended, stop := context.WithTimeoutCause(life, s.limit, errTimeLimit)
	p := &process{ctx: ended, log: s.log.With("program", s.program), words: &words{}}
	p.cancel = func(cause error) { cancel(cause); stop() }
	p.cmd = exec.CommandContext(ended, s.path, args...) //nolint:gosec // a file of the folder of programs, no shell
	p.cmd.Dir, p.cmd.Stdin, p.cmd.Stderr = dir, nil, p.words
	p.cmd.Env = []string{"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=" + dir, "TMPDIR=" + dir, "LANG=C.UTF-8", "TZ=UTC"}
	// A group of its own: whatever it starts ends with it.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.cmd.Cancel = func() error { return syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) }
	p.cmd.WaitDelay = leaveWithin
	out, err := p.cmd.StdoutPipe()
	if err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		p.cancel(errClosed)
		if ctx.Err() != nil {
			return nil, stopped(ctx)
		}
		e := invalid(codeProgram, programField, "the program can't be started: it must be a program or a script for this machine")
		return nil, e
	}
	if err := bound(p.cmd.Process.Pid, s.memory); err != nil && !errors.Is(err, syscall.ESRCH) {
		p.end(errClosed)
		return nil, internal("the memory of the tap can't be bounded", err)
	}
	// What it started may keep the pipe open in a group of its own.
	context.AfterFunc(ended, func() { _ = out.Close() })
	p.out = bufio.NewReaderSize(out, 64<<10)
	return p, nil
}

// end ends the process and waits for it. It may be called twice.
func (p *process) end(cause error) {
	p.cancel(cause)
	_ = p.wait()
}

// wait waits for the end of the process, which has printed everything, and says
// how it ended.
func (p *process) wait() error {
	p.done.Do(func() {
		err := p.cmd.Wait()
		// What it left behind ends too; the group is there as long as they are.
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		lines, exception := p.words.told()
		p.log.DebugContext(p.ctx, "tap ended", "code", p.cmd.ProcessState.ExitCode(), "log_lines", lines)
		if err == nil {
			p.cancel(errClosed)
			return
		}
		if p.ctx.Err() != nil {
			p.err = stopped(p.ctx)
			return
		}
		message := fmt.Sprintf("the tap ended with the exit code %d", p.cmd.ProcessState.ExitCode())
		if state, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && state.Signaled() {
			message = "the tap was ended by the signal " + state.Signal().String()
		}
		if exception != "" {
			message += " (" + exception + ")"
		}
		p.err = &activation.Error{Kind: activation.Unavailable, Code: codeExit, Message: message}
		p.cancel(errClosed)
	})
	return p.err
}

// line returns the next line, without its end, or io.EOF. It is valid until the
// next call.
func (p *process) line(buf []byte) ([]byte, error) {
	buf = buf[:0]
	for {
		part, err := p.out.ReadSlice('\n')
		buf = append(buf, part...)
		switch {
		case len(buf) > maxLineBytes:
			return nil, invalid(codeOutput, "", fmt.Sprintf("the tap prints a line of more than %d bytes", maxLineBytes))
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err == nil || len(buf) > 0 && errors.Is(err, io.EOF):
			return bytes.TrimSuffix(buf, []byte("\n")), nil
		}
		return nil, io.EOF // how it ended, wait says
	}
}

// words counts what a tap prints as a log, by level. Its text is thrown away: it
// may hold credentials and rows.
type words struct {
	mu        sync.Mutex
	head      []byte
	lines     map[string]int
	exception string
}

var (
	levels = regexp.MustCompile(`\b(CRITICAL|FATAL|ERROR|WARNING|WARN|INFO|DEBUG)\b`)
	// exceptions are how Python names what was raised, at the beginning of a line;
	// the name is the program's, what follows may be anything.
	exceptions = regexp.MustCompile(`^((?:[A-Za-z_][A-Za-z0-9_]{0,40}\.){0,4}[A-Za-z_][A-Za-z0-9_]{0,40}(?:Error|Exception))(?::|$)`)
)

// Write takes what is printed.
func (w *words) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range p {
		if c == '\n' {
			w.count()
			continue
		}
		if len(w.head) < 200 {
			w.head = append(w.head, c)
		}
	}
	return len(p), nil
}

// count takes the line in hand, of which only the beginning was kept.
func (w *words) count() {
	level := "other"
	if m := levels.Find(w.head); m != nil {
		level = string(m)
	}
	if m := exceptions.FindSubmatch(w.head); m != nil {
		w.exception = string(m[1])
	}
	if w.lines == nil {
		w.lines = map[string]int{}
	}
	w.lines[level]++
	w.head = w.head[:0]
}

// told says how many lines of each level there were, and what was raised last.
func (w *words) told() (lines, exception string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.head) > 0 {
		w.count()
	}
	return fmt.Sprint(w.lines), w.exception
}

// output runs the program to its end and returns what it prints.
func (s *source) output(ctx context.Context, dir string, args ...string) ([]byte, error) {
	p, err := s.start(ctx, dir, args...)
	if err != nil {
		return nil, err
	}
	defer p.end(errClosed)
	text, err := io.ReadAll(io.LimitReader(p.out, maxCatalogBytes+1))
	if len(text) > maxCatalogBytes {
		return nil, invalid(codeOutput, "", "the tap prints a catalog of more than 32 MB")
	}
	if failed := p.wait(); failed != nil {
		return nil, failed
	}
	if err != nil && !errors.Is(err, os.ErrClosed) {
		return nil, internal("what the tap prints can't be read", err)
	}
	return text, nil
}
