package server

import (
	"fmt"
	"os"
	"path/filepath"
)

// scratchDir is where sources and programs keep files of one attempt.
const scratchDir = "scratch"

// emptyScratch makes the folder of scratch files anew: what a crash left there may
// hold credentials and rows. It must be called by whoever has the data directory
// to itself.
func emptyScratch(data string) error {
	dir := filepath.Join(data, scratchDir)
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("empty the folder of scratch files: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the folder of scratch files: %w", err)
	}
	return nil
}
