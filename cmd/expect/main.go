// Command expect prints who should be in which audience of the AdventureWorks
// shop, worked out without the product. It judges; it is no part of what it
// judges. It is built for the failure of trusting the product's own counts.
//
//	go run ./cmd/expect DIR [DIR…]              counts after all deliveries
//	go run ./cmd/expect --members DIR [DIR…]    the members as JSON
//	go run ./cmd/expect --change OUT DIR [DIR…] writes a later delivery into OUT
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"

	"usher/sandbox/expect"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// Exit codes.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
)

// run is the whole program.
func run(args []string, out, complaints io.Writer) int {
	flags := flag.NewFlagSet("expect", flag.ContinueOnError)
	flags.SetOutput(complaints)
	flags.Usage = func() {
		fmt.Fprintln(complaints, "usage: expect [--members | --change OUT [--percent 1] [--seed 1]] DIR [DIR…]")
		flags.PrintDefaults()
	}
	members := flags.Bool("members", false, "print the members as JSON")
	into := flags.String("change", "", "write a later delivery into this folder")
	percent := flags.Float64("percent", 1, "with --change: percentage of customers that change")
	seed := flags.Uint64("seed", 1, "with --change: decides who changes")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return exitOK
	} else if err != nil {
		return exitUsage
	}
	if flags.NArg() == 0 || *members && *into != "" {
		flags.Usage()
		return exitUsage
	}
	deliveries := make([]fs.FS, flags.NArg())
	for i, dir := range flags.Args() {
		deliveries[i] = os.DirFS(dir)
	}
	var err error
	switch {
	case *into != "":
		err = change(out, expect.Change{Percent: *percent, Seed: *seed}, *into, deliveries)
	case *members:
		err = printMembers(out, deliveries)
	default:
		err = printCounts(out, deliveries)
	}
	if err != nil {
		fmt.Fprintln(complaints, "expect:", err)
		return exitFailure
	}
	return exitOK
}

func printCounts(out io.Writer, deliveries []fs.FS) error {
	customers, err := expect.Customers(deliveries...)
	if err != nil {
		return err
	}
	sets, err := expect.Members(deliveries...)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%-14s %7d\n", "customers", customers)
	for _, name := range slices.Sorted(maps.Keys(sets)) {
		fmt.Fprintf(out, "%-14s %7d\n", name, len(sets[name]))
	}
	return nil
}

func printMembers(out io.Writer, deliveries []fs.FS) error {
	sets, err := expect.Members(deliveries...)
	if err != nil {
		return err
	}
	enc := json.NewEncoder(out)
	enc.SetIndent("", "  ")
	return enc.Encode(sets)
}

func change(out io.Writer, c expect.Change, dir string, deliveries []fs.FS) error {
	changed, err := c.Write(dir, deliveries...)
	if err != nil {
		return err
	}
	for _, kind := range slices.Sorted(maps.Keys(changed)) {
		fmt.Fprintf(out, "%-14s %7d\n", kind, len(changed[kind]))
	}
	return nil
}
