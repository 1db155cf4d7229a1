// Package dmptest connects the conformance suite to the sandbox's stand-ins of
// an SFTP server and of S3, read as a platform would. It is imported by tests
// only.
package dmptest

import (
	"fmt"
	"maps"

	"usher/internal/provider"
	"usher/internal/provider/dmp"
	"usher/internal/provider/drop/droptest"
	"usher/internal/provider/providertest"
	"usher/internal/provider/s3/s3test"
	"usher/internal/provider/sftp/sftptest"
	sandboxs3 "usher/sandbox/s3"
	sandboxsftp "usher/sandbox/sftp"
)

// audience is the suite's.
const audience = "conformance"

// Lines is one line a customer, by SFTP.
func Lines() providertest.Harness {
	return providertest.Harness{
		Definition: dmp.Definition(), Workflow: "dmp_lines", Transport: providertest.Files,
		Open: func() (providertest.Network, error) {
			n, err := sftptest.Open(sandboxsftp.Options{})
			if err != nil {
				return nil, err
			}
			return bySFTP{n.Reading(func(f droptest.Folder) (droptest.Members, error) { return f.Lines(audience, "CUSTOMER_ID") })}, nil
		},
		Person: func(i int) map[string]string {
			return map[string]string{"CUSTOMER_ID": fmt.Sprintf("customer-%05d", i)}
		},
		Skip: sftptest.Skip(),
	}
}

// LiveRamp is CSV into a bucket.
func LiveRamp() providertest.Harness {
	return providertest.Harness{
		Definition: dmp.Definition(), Workflow: "dmp_liveramp", Transport: providertest.Files,
		Open: func() (providertest.Network, error) {
			n, err := s3test.Open(sandboxs3.Options{})
			if err != nil {
				return nil, err
			}
			return byS3{n.Reading(func(f droptest.Folder) (droptest.Members, error) { return f.CSV("CUSTOMER_ID") })}, nil
		},
		Person: func(i int) map[string]string {
			return map[string]string{
				"CUSTOMER_ID": fmt.Sprintf("customer, %05d", i), "EMAIL": fmt.Sprintf("Person.%d@Example.com", i),
				"PHONE": fmt.Sprintf("+1 415 555 %04d", i), "COUNTRY": "US",
			}
		},
		Skip: s3test.Skip(),
	}
}

// bySFTP is the folder of an authorization whose transport is sftp.
type bySFTP struct{ *sftptest.Network }

// Deps are those of the folder.
func (n bySFTP) Deps() provider.Deps {
	d := n.Network.Deps()
	d.Auth = maps.Clone(d.Auth)
	d.Auth["transport"] = "sftp"
	d.Config = map[string]string{"folder": sandboxsftp.DefaultFolder}
	return d
}

// byS3 is the bucket of an authorization whose transport is s3.
type byS3 struct{ *s3test.Network }

// Deps are those of the bucket.
func (n byS3) Deps() provider.Deps {
	d := n.Network.Deps()
	d.Auth = maps.Clone(d.Auth)
	d.Auth["transport"], d.Auth["bucket"] = "s3", provider.Secret(d.Account)
	d.Account, d.Config = "", nil
	return d
}
