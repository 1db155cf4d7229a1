package sandbox

import (
	"errors"
	"fmt"
	"strings"

	"usher/sandbox/s3"
	"usher/sandbox/sftp"
)

const (
	// ExampleName is the file of people that a sandbox has where Options.Example is
	// set: in the folder of SFTP and in the bucket of S3.
	ExampleName = "customers.csv"
	// ExamplePeople is how many people are in it.
	ExamplePeople = 20
)

// Example is that file: people who do not exist, with a score and the day on which
// they were last heard of.
func Example() []byte {
	var text strings.Builder
	text.WriteString("id,email,first_name,country,score,updated_at\n")
	names := []string{"Ann", "Ben", "Cem", "Dora", "Emil", "Fay", "Gus", "Hana", "Ivo", "Jana"}
	countries := []string{"AT", "DE", "US"}
	for i := range ExamplePeople {
		name := names[i%len(names)]
		fmt.Fprintf(&text, "%d,%s%d@example.com,%s,%s,%d,2026-01-%02d\n", i+1, strings.ToLower(name), i+1, name, countries[i%len(countries)], i*37%100, i+1)
	}
	return []byte(text.String())
}

// putExample puts the file where there is a place for it.
func (s *Sandbox) putExample() error {
	var errs []error
	if n, ok := s.Network("sftp").(*sftp.Network); ok {
		n.Put(sftp.DefaultFolder+"/"+ExampleName, Example())
	}
	if n, ok := s.Network("s3").(*s3.Network); ok {
		errs = append(errs, n.Put(s3.DefaultBucket, ExampleName, Example()))
	}
	return errors.Join(errs...)
}
