package server

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// TestScratchIsEmptied: the folder is there after each start, for nobody else to
// read, and nothing is in it that a crash left.
func TestScratchIsEmptied(t *testing.T) {
	data := t.TempDir()
	left := filepath.Join(data, scratchDir, "singer-1", "config.json")
	for range 2 {
		if err := emptyScratch(data); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(left); !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("what a crash left is there: %v", err)
		}
		info, err := os.Stat(filepath.Join(data, scratchDir))
		if err != nil || info.Mode().Perm() != 0o700 {
			t.Fatalf("the folder: %v, %v", info, err)
		}
		if err := errors.Join(os.Mkdir(filepath.Dir(left), 0o700), os.WriteFile(left, []byte("secret"), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
}
