package schedule_test

import (
	"archive/zip"
	"errors"
	"io/fs"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/schedule"
)

// TestZones loads every zone of the list, and compares the list with the
// database that Go carries, which is the one built into the program.
func TestZones(t *testing.T) {
	zones := schedule.Zones()
	if len(zones) < 500 || !slices.IsSorted(zones) {
		t.Fatalf("%d zones, sorted: %t", len(zones), slices.IsSorted(zones))
	}
	at := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	for _, zone := range zones {
		s := normal(t, daily(strings.ToLower(zone), "12:00"))
		if s.Timezone != zone {
			t.Errorf("%s is %s", zone, s.Timezone)
		}
		if next := schedule.Next(s, at); next.In(load(t, zone)).Hour() != 12 {
			t.Errorf("%s: next is %s", zone, next)
		}
	}
	z, err := zip.OpenReader(filepath.Join(runtime.GOROOT(), "lib", "time", "zoneinfo.zip")) //nolint:staticcheck // the tool chain that built the test is the one meant
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("no zoneinfo.zip in this Go")
	}
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	var theirs []string
	for _, f := range z.File {
		if !strings.HasSuffix(f.Name, "/") && f.Name != "Factory" {
			theirs = append(theirs, f.Name)
		}
	}
	slices.Sort(theirs)
	if !slices.Equal(zones, theirs) {
		t.Errorf("zones.txt is not the list of zoneinfo.zip: write it anew")
	}
}

// TestMachineZones refuses what only some machines know.
func TestMachineZones(t *testing.T) {
	for _, zone := range []string{"Local", "posixrules", "localtime", "posix/Europe/Berlin", "Factory", "Europe", "Europe/", "/etc/localtime"} {
		if _, problems := schedule.Normalize(activation.Schedule{Timezone: zone}); len(problems) != 1 {
			t.Errorf("%s is taken", zone)
		}
		if !schedule.Next(daily(zone, "12:00"), time.Now()).IsZero() {
			t.Errorf("%s has a next time", zone)
		}
	}
}
