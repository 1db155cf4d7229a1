// Command usher is the audience activation server and everything that talks to
// it. It owns what belongs to a whole process: signals, the exit code, and that
// files are for their owner alone.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // schedules know every time zone, whatever the machine has

	"usher/internal/cli"
)

func main() {
	// Databases and spill files hold people; not every library asks for 0600.
	syscall.Umask(0o077)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	code := cli.Main(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
