package main

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
)

const bundled = "../../internal/cli/demodata"

func TestRun(t *testing.T) {
	tests := []struct {
		name string
		args []string
		code int
		out  string
	}{
		{"counts", []string{bundled}, exitOK, "vips               129"},
		{"help", []string{"--help"}, exitOK, ""},
		{"nothing", nil, exitUsage, ""},
		{"unknown flag", []string{"--nonsense", bundled}, exitUsage, ""},
		{"both", []string{"--members", "--change", "x", bundled}, exitUsage, ""},
		{"no such folder", []string{filepath.Join(bundled, "nowhere")}, exitFailure, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out, complaints bytes.Buffer
			if code := run(tt.args, &out, &complaints); code != tt.code {
				t.Errorf("exit code %d, want %d: %s", code, tt.code, complaints.String())
			}
			if !strings.Contains(out.String(), tt.out) {
				t.Errorf("output %q lacks %q", out.String(), tt.out)
			}
			if tt.code != exitOK && complaints.Len() == 0 {
				t.Error("no complaint")
			}
		})
	}
}

func TestChangeThenMembers(t *testing.T) {
	dir := t.TempDir()
	var out, complaints bytes.Buffer
	if code := run([]string{"--change", dir, "--seed", "9", bundled}, &out, &complaints); code != exitOK {
		t.Fatalf("exit code %d: %s", code, complaints.String())
	}
	out.Reset()
	if code := run([]string{"--members", bundled, dir}, &out, &complaints); code != exitOK {
		t.Fatalf("exit code %d: %s", code, complaints.String())
	}
	var sets map[string][]struct {
		CustomerKey string `json:"customer_key"`
		EmailSHA256 string `json:"email_sha256"`
	}
	if err := json.Unmarshal(out.Bytes(), &sets); err != nil {
		t.Fatal(err)
	}
	if len(sets) != 3 || len(sets["vips"]) == 0 || len(sets["vips"][0].EmailSHA256) != 64 {
		t.Errorf("members: %d sets, %d vips", len(sets), len(sets["vips"]))
	}
}
