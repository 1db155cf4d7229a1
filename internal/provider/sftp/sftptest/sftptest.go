// Package sftptest connects the conformance suite to the sandbox's stand-in of
// an SFTP server. It is imported by tests only.
package sftptest

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path"
	"strings"
	"sync"
	"time"

	"usher/internal/provider"
	"usher/internal/provider/drop/droptest"
	"usher/internal/provider/providertest"
	"usher/internal/provider/sftp"
	"usher/sandbox/fault"
	sandboxsftp "usher/sandbox/sftp"
)

// Skip are the cases that fit no server of files by SFTP, with the reason.
func Skip() map[string]string {
	const noMembers = "a server of files knows files, not audiences: none can be gone"
	return map[string]string{
		"one row is rejected at its index":            "a server of files looks into none",
		"one row is counted invalid without an index": "a server of files looks into none",
		"a web page instead of an answer":             "no page for people comes by SSH",
		"throttled for a time":                        "SFTP has no answer that asks to wait",
		"throttled without a time":                    "SFTP has no answer that asks to wait",
		"refused whole":                               "a file is refused by its folder or its size, never by what is in it",
		"the audience is gone":                        noMembers,
		"a bad token is not a gone audience":          noMembers,
		"an answer that comes late":                   "a file is there or not",
		"a late answer that rejects one row":          "a file is there or not",
	}
}

// Harness returns what the suite needs to judge files by SFTP.
func Harness() providertest.Harness {
	return providertest.Harness{
		Definition: sftp.Definition(),
		Workflow:   "sftp_export",
		Transport:  providertest.Files,
		// A side file is a rename of its own, and the suite wants one that counts.
		Settings: map[string]string{"filename": "members_{RUN}_{PART}.csv", "side_file": "none"},
		Open:     func() (providertest.Network, error) { return Open(sandboxsftp.Options{}) },
		Person:   Person,
		Skip:     Skip(),
	}
}

// Person is somebody with values that need quoting.
func Person(i int) map[string]string {
	return map[string]string{
		"customer_id": fmt.Sprintf("customer-%05d", i),
		"email":       fmt.Sprintf("Person.%d@Example.com", i),
		"name":        fmt.Sprintf("O\"Last, name %d", i),
	}
}

// Network is the stand-in on a port of its own.
type Network struct {
	droptest.Far
	Box  *sandboxsftp.Network
	plan *fault.Plan
	addr string
	end  context.CancelFunc
	done sync.WaitGroup
}

// Open starts one with an empty folder.
func Open(o sandboxsftp.Options) (*Network, error) {
	n := &Network{plan: fault.NewPlan(1)}
	n.Far = droptest.Far{Files: n.Folder, Read: func(f droptest.Folder) (droptest.Members, error) { return f.CSV("customer_id") }}
	var err error
	n.Box, err = sandboxsftp.New(o, sandboxsftp.Deps{Seed: 1, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Now: time.Now, Faults: n.plan})
	if err != nil {
		return nil, err
	}
	var ctx context.Context
	ctx, n.end = context.WithCancel(context.Background())
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		n.end()
		return nil, fmt.Errorf("listen: %w", err)
	}
	n.addr = ln.Addr().String()
	n.done.Go(func() { _ = n.Box.Serve(ctx, ln) })
	return n, nil
}

// Reading makes the oracle read files by another format.
func (n *Network) Reading(read func(droptest.Folder) (droptest.Members, error)) *Network {
	n.Read = read
	return n
}

// Deps are those of the folder.
func (n *Network) Deps() provider.Deps {
	host, port, _ := net.SplitHostPort(n.addr)
	return provider.Deps{
		Auth: map[string]provider.Secret{
			"host": provider.Secret(host), "port": provider.Secret(port), "username": sandboxsftp.DefaultUser, "password": sandboxsftp.DefaultPassword,
			"host_key": sandboxsftp.Fingerprint,
		},
		Config: map[string]string{"folder": sandboxsftp.DefaultFolder, "id_column": "customer_id", "hash_columns": "email"},
	}
}

// Hosts is the server's address.
func (n *Network) Hosts() []string { return []string{n.addr} }

// Fail scripts the fault, for the moment in which a file appears.
func (n *Network) Fail(f providertest.Fault) error {
	script := fault.Fault{Network: "sftp", Op: "rename", Applied: true}
	switch f.Kind {
	case providertest.NoAnswer:
		script.Kind = fault.Timeout
	case providertest.Cut:
		script.Kind = fault.Cut
	case providertest.Broken:
		script.Kind = fault.Status
	case providertest.BadToken:
		script = fault.Fault{Network: "sftp", Op: "auth", Kind: fault.Token, Times: -1}
	default:
		return fmt.Errorf("sftp does not fail by %q", f.Kind)
	}
	_, err := n.plan.Add(script)
	return err
}

// Script adds a fault of the sandbox's own.
func (n *Network) Script(f fault.Fault) {
	if _, err := n.plan.Add(f); err != nil {
		panic(err) // the test wrote it wrong
	}
}

// Heal removes all faults.
func (n *Network) Heal() { n.plan.Reset() }

// Folder are the files that are there.
func (n *Network) Folder() droptest.Folder {
	folder := droptest.Folder{}
	for _, f := range n.Box.Files() {
		if body, ok := n.Box.File(f.Path); ok {
			folder[path.Base(f.Path)] = body
		}
	}
	return folder
}

// Writes counts the changes that a reader sees: files that got their name, or
// lost it, or were opened under one that is not temporary.
func (n *Network) Writes() int {
	writes := 0
	for _, c := range n.Box.Calls() {
		if c.Op == "rename" || c.Op == "remove" || c.Op == "mkdir" || c.Op == "open" && !strings.HasSuffix(c.Path, ".tmp") {
			writes++
		}
	}
	return writes
}

// Calls counts all operations.
func (n *Network) Calls() int { return n.Box.Counters().Calls }

// Close ends the server and waits for it.
func (n *Network) Close() {
	_ = n.Box.Close()
	n.end()
	n.done.Wait()
}
