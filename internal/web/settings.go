package web

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"usher/internal/activation"
	"usher/internal/vault"
)

// Vault keeps the keys of stored credentials.
type Vault interface {
	KeyID() string
	KeyIDs() []string
	Given() bool
	Rotate(ctx context.Context, s vault.Sealed) (vault.Rotation, error)
}

// Facts are what the settings page says about the server; nothing of it can be
// changed there.
type Facts struct {
	// Node names this process, as leases and logs do.
	Node string
	// Database is the kind of the control database, such as SQLite.
	Database string
	// Data is the data directory, whose use is shown.
	Data string
	// WarehouseLease is the lease of whoever works, "" where a lock of the data
	// directory does that.
	WarehouseLease string
	StartedAt      time.Time
	// JobRetention is how long jobs that ended are kept; GuardPercent the share
	// of people above which removals ask.
	JobRetention time.Duration
	GuardPercent int
	// AllowHosts are the private addresses that providers may call.
	AllowHosts []string
}

func (c *Console) registerSettings(mux *http.ServeMux) {
	c.page(mux, "/settings", "", c.settings)
	c.action(mux, "/settings/keys", activation.RoleAdmin, c.rotateKeys)
	c.page(mux, "/audit", "", c.adminsOnly(c.audit))
}

type settingsPage struct {
	Facts   []pair
	Started time.Time
	Lease   string
	Disk    []fileUse
	Total   string
	Keep    []setting
	Links   []settingLink
	Keys    *keysBlock
	CSRF    string
}

// setting is one value of the configuration, with its name there.
type setting struct{ Label, Value, Name, Help string }

type settingLink struct {
	link
	Icon, Help string
}

type fileUse struct{ Name, Size string }

// keysBlock is which keys seal the stored credentials.
type keysBlock struct {
	Rows   []keyRow
	Given  bool
	Rotate button
}

type keyRow struct {
	ID             string
	Chip           chip
	Authorizations int
}

func (c *Console) settings(v visit) (view, error) {
	ctx := v.Context()
	f := c.Facts
	p := settingsPage{CSRF: v.who.CSRF, Started: f.StartedAt, Facts: []pair{{"Version", c.Version}, {"Node", f.Node}, {"Control database", f.Database}}}
	leases, err := c.Store.Leases(ctx)
	if err != nil {
		return view{}, err
	}
	p.Lease = f.Node + ", by the lock of the data directory"
	for _, l := range leases {
		if f.WarehouseLease != "" && l.Name == f.WarehouseLease {
			p.Lease = l.Node + ", until " + utc(l.Until) + " unless renewed"
		}
	}
	if p.Disk, p.Total, err = diskUse(f.Data); err != nil {
		return view{}, err
	}
	guard := "Off"
	if f.GuardPercent < 100 {
		guard = "More than " + strconv.Itoa(f.GuardPercent) + "% of a target's people within 24 h"
	}
	p.Keep = []setting{
		{"Jobs that ended", dur(f.JobRetention), "job_retention", "Failed, paused, completed and terminated jobs, with their runs and logs. A notice comes a week before."},
		{"Removals ask first", guard, "guard_percent", "A run that would remove more waits for an approval, for 7 days."},
		{"Private addresses", orText(joinComma(f.AllowHosts), "None"), "allow_hosts", "What providers may call inside the private network."},
	}
	p.Links = settingLinks(v)
	if v.who.May(activation.RoleAdmin) {
		if p.Keys, err = c.keysBlock(v); err != nil {
			return view{}, err
		}
	}
	return view{Template: "settings", Title: "Settings", Section: "/settings", Body: p}, nil
}

// settingLinks lead to what else is set up, as far as the role goes.
func settingLinks(v visit) []settingLink {
	var out []settingLink
	if v.who.May(activation.RoleAdmin) {
		out = append(out, settingLink{link{"/people", "People"}, "user", "Who may sign in, and what they may do."})
	}
	out = append(out, settingLink{link{"/tokens", "API tokens"}, "code", "For programs that call the API."})
	if v.who.May(activation.RoleOperator) {
		out = append(out, settingLink{link{"/configuration", "Configuration as code"}, "brackets-contain", "Download everything declared as YAML, or apply files."})
	}
	if v.who.May(activation.RoleAdmin) {
		out = append(out, settingLink{link{"/audit", "Audit log"}, "list-check", "Who did what to which thing."})
	}
	return append(out, settingLink{link{"/search", "Search and keyboard"}, "search", "The shortcuts, and switching them off in this browser."})
}

func (c *Console) keysBlock(v visit) (*keysBlock, error) {
	all, err := c.Store.Authorizations(v.Context())
	if err != nil {
		return nil, err
	}
	needed := map[string]int{}
	for _, a := range all {
		needed[a.KeyID]++
	}
	out := &keysBlock{Given: c.Vault.Given(), Rotate: v.press("/settings/keys", "Change the key", "rotate-clockwise-2").needs(v, activation.RoleAdmin)}
	now := c.Vault.KeyID()
	for _, id := range c.Vault.KeyIDs() {
		row := keyRow{id, chip{"off", "check", "Opens what is older", false}, needed[id]}
		if id == now {
			row.Chip = chip{"ok", "shield-lock", "Seals now", false}
		}
		out.Rows = append(out.Rows, row)
		delete(needed, id)
	}
	for id, n := range needed {
		out.Rows = append(out.Rows, keyRow{id, chip{"bad", "alert-triangle", "Missing", false}, n})
	}
	slices.SortFunc(out.Rows, func(a, b keyRow) int { return cmp.Or(order(b.ID == now)-order(a.ID == now), cmp.Compare(a.ID, b.ID)) })
	return out, nil
}

func order(first bool) int {
	if first {
		return 1
	}
	return 0
}

func (c *Console) rotateKeys(v visit) (view, error) {
	const to = "/settings"
	done, err := c.Vault.Rotate(v.Context(), c.Store)
	if err != nil {
		return refused(to, err)
	}
	if err := c.Store.AddAudit(v.Context(), activation.AuditEntry{Actor: v.who.Name, Verb: "rotate", SubjectType: "vault", SubjectID: done.KeyID}); err != nil {
		return view{}, err
	}
	return view{To: to, Said: flash{"ok", "The key " + done.KeyID + " seals now; " + many(int64(done.Resealed), "authorization") + " sealed anew."}}, nil
}

// diskUse is how large each entry of a directory is, largest first. What goes
// away while it is counted counts nothing.
func diskUse(dir string) ([]fileUse, string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, sizeText(0), nil
	}
	if err != nil {
		return nil, "", err
	}
	type sized struct {
		name  string
		bytes int64
	}
	var all []sized
	var total int64
	for _, e := range entries {
		one := sized{name: e.Name()}
		err := filepath.WalkDir(filepath.Join(dir, e.Name()), func(_ string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil || d.IsDir() {
				return err
			}
			info, err := d.Info()
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err == nil {
				one.bytes += info.Size()
			}
			return err
		})
		if err != nil {
			return nil, "", err
		}
		total += one.bytes
		all = append(all, one)
	}
	slices.SortFunc(all, func(a, b sized) int { return cmp.Or(cmp.Compare(b.bytes, a.bytes), cmp.Compare(a.name, b.name)) })
	var out []fileUse
	for _, one := range all {
		out = append(out, fileUse{one.name, sizeText(one.bytes)})
	}
	return out, sizeText(total), nil
}

// sizeText is a number of bytes for people.
func sizeText(n int64) string {
	units := []string{"bytes", "KiB", "MiB", "GiB", "TiB"}
	value, unit := float64(n), 0
	for value >= 1024 && unit < len(units)-1 {
		value /= 1024
		unit++
	}
	if unit == 0 {
		return num(n) + " bytes"
	}
	return strconv.FormatFloat(value, 'f', 1, 64) + " " + units[unit]
}
