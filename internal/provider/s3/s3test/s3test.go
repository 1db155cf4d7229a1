// Package s3test connects the conformance suite to the sandbox's stand-in of S3.
// It is imported by tests only.
package s3test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"time"

	"usher/internal/provider"
	"usher/internal/provider/drop/droptest"
	"usher/internal/provider/providertest"
	"usher/internal/provider/s3"
	"usher/internal/provider/sftp/sftptest"
	"usher/sandbox/fault"
	sandboxs3 "usher/sandbox/s3"
)

// Skip are the cases that fit no bucket, with the reason.
func Skip() map[string]string {
	const noMembers = "a bucket knows files, not audiences: none can be gone"
	return map[string]string{
		"one row is rejected at its index":            "a bucket looks into no file",
		"one row is counted invalid without an index": "a bucket looks into no file",
		"the audience is gone":                        noMembers,
		"a bad token is not a gone audience":          noMembers,
		"an answer that comes late":                   "a file is there or not",
		"a late answer that rejects one row":          "a file is there or not",
	}
}

// Harness returns what the suite needs to judge files in a bucket.
func Harness() providertest.Harness {
	return providertest.Harness{
		Definition: s3.Definition(),
		Workflow:   "s3_export",
		Transport:  providertest.Files,
		// A side file is a call of its own, and the suite wants one that counts.
		Settings: map[string]string{"filename": "members_{RUN}_{PART}.csv", "side_file": "none"},
		Open:     func() (providertest.Network, error) { return Open(sandboxs3.Options{}) },
		Person:   sftptest.Person,
		Skip:     Skip(),
	}
}

// Network is the stand-in behind a server of its own, below a path as in the
// sandbox.
type Network struct {
	droptest.Far
	Box    *sandboxs3.Network
	plan   *fault.Plan
	server *httptest.Server
}

// Open starts one with an empty bucket.
func Open(o sandboxs3.Options) (*Network, error) {
	n := &Network{plan: fault.NewPlan(1)}
	n.Far = droptest.Far{Files: n.Folder, Read: func(f droptest.Folder) (droptest.Members, error) { return f.CSV("customer_id") }}
	var err error
	n.Box, err = sandboxs3.New(o, sandboxs3.Deps{Seed: 1, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Now: time.Now, Faults: n.plan})
	if err != nil {
		return nil, err
	}
	n.server = httptest.NewServer(http.StripPrefix("/s3", n.Box))
	return n, nil
}

// Reading makes the oracle read files by another format.
func (n *Network) Reading(read func(droptest.Folder) (droptest.Members, error)) *Network {
	n.Read = read
	return n
}

// Deps are those of the bucket.
func (n *Network) Deps() provider.Deps {
	return provider.Deps{
		Auth: map[string]provider.Secret{
			"endpoint": provider.Secret(n.server.URL + "/s3"), "access_key": sandboxs3.DefaultAccessKey, "secret_key": sandboxs3.DefaultSecretKey,
		},
		Account: sandboxs3.DefaultBucket,
		Config:  map[string]string{"prefix": "some where/über", "id_column": "customer_id", "hash_columns": "email"},
	}
}

// Hosts is the server's address.
func (n *Network) Hosts() []string { return []string{strings.TrimPrefix(n.server.URL, "http://")} }

// Fail scripts the fault, for the moment in which a file appears.
func (n *Network) Fail(f providertest.Fault) error {
	script, err := scripts.Of(f)
	if err == nil {
		_, err = n.plan.Add(script)
	}
	return err
}

var scripts = providertest.Scripts{
	Calls: fault.Fault{Network: "s3", Op: "put"},
	Own: map[providertest.FaultKind]func(providertest.Fault, *fault.Fault){
		providertest.RefuseWhole: providertest.Errors(1, "EntityTooLarge"),
	},
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
	list, err := n.Box.Objects()
	if err != nil {
		panic(err) // it is in memory
	}
	folder := droptest.Folder{}
	for _, o := range list {
		if body, ok := n.Box.Object(o.Bucket, o.Key); ok {
			folder[path.Base(o.Key)] = body
		}
	}
	return folder
}

// Writes counts the calls that change the bucket.
func (n *Network) Writes() int {
	_, writes := n.Box.Counts()
	return writes
}

// Calls counts all calls.
func (n *Network) Calls() int {
	all, _ := n.Box.Counts()
	return all
}

// Close ends the server.
func (n *Network) Close() {
	_ = n.Box.Close()
	n.server.CloseClientConnections()
	n.server.Close()
}
