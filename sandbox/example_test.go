package sandbox

import (
	"bytes"
	"encoding/csv"
	"testing"

	"usher/sandbox/s3"
	"usher/sandbox/sftp"
)

// TestExample: the file is where imports look, and has the people it says.
func TestExample(t *testing.T) {
	s := New(Options{Example: true})
	defer func() { _ = s.Close() }()
	box, _ := s.Network("sftp").(*sftp.Network)
	bucket, _ := s.Network("s3").(*s3.Network)
	byName, there := box.File(sftp.DefaultFolder + "/" + ExampleName)
	byKey, inBucket := bucket.Object(s3.DefaultBucket, ExampleName)
	if !there || !inBucket || !bytes.Equal(byName, byKey) {
		t.Fatalf("by SFTP %t, in the bucket %t", there, inBucket)
	}
	rows, err := csv.NewReader(bytes.NewReader(byName)).ReadAll()
	if err != nil || len(rows) != ExamplePeople+1 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	seen := map[string]bool{}
	for _, row := range rows[1:] {
		seen[row[1]] = true
	}
	if len(seen) != ExamplePeople {
		t.Errorf("%d addresses of %d people", len(seen), ExamplePeople)
	}
	plain := New(Options{})
	defer func() { _ = plain.Close() }()
	if empty, _ := plain.Network("sftp").(*sftp.Network); len(empty.Files()) != 0 {
		t.Error("a sandbox that was not asked has files")
	}
}
