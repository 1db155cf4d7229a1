package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"usher/internal/activation"
	"usher/internal/api/client"
	"usher/internal/config"
)

// finding is one thing the doctor looked at.
type finding struct {
	Check  string `json:"check"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
}

func (a *app) doctorCommand() *cobra.Command {
	var data, file string
	c := &cobra.Command{
		Use: "doctor", Short: "Check an installation: files, disk, server, credentials", Args: cobra.NoArgs,
		Long: `Look at the data directory and the running server and say what is wrong and what
to do. Exits with 3 when something is.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var flags map[string]any
			if cmd.Flags().Changed("data") {
				flags = map[string]any{"data": data}
			}
			cfg, err := config.Load(file, flags)
			if err != nil {
				return &exitError{exitUsage, err}
			}
			found := append(checkDirectory(cfg), checkDatabase(cmd.Context(), cfg)...)
			found = append(found, a.checkServer(cmd.Context())...)
			bad := 0
			rows := make([][]string, len(found))
			for i, f := range found {
				mark := "ok"
				if !f.OK {
					mark = "WRONG"
					bad++
				}
				rows[i] = []string{mark, f.Check, f.Detail}
			}
			if a.json {
				err = a.printJSON(found)
			} else {
				err = a.table([]string{"", "CHECK", "DETAIL"}, rows)
			}
			if err == nil && bad > 0 {
				err = environmentError("%d of %d checks found something wrong", bad, len(found))
			}
			return err
		},
	}
	c.Flags().StringVar(&data, "data", envOr("USHER_DATA", "usher-data"), "the server's data directory")
	c.Flags().StringVar(&file, "config", "", "YAML file with the server's settings")
	return a.jsonFlag(c)
}

// minFree is the share of the disk below which no new runs start.
const minFree = 5

func checkDirectory(cfg config.Config) []finding {
	dir := cfg.Data
	info, err := os.Stat(dir)
	if err != nil {
		return []finding{{"data directory", false, fmt.Sprintf("%s cannot be read: start the server there once, or name it with --data", dir)}}
	}
	out := []finding{{"data directory", info.IsDir(), dir}}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		out = append(out, finding{"permissions", false, fmt.Sprintf("others may look into %s (%v): chmod 700", dir, mode)})
	} else {
		out = append(out, finding{"permissions", true, "only the server's user may look in"})
	}
	files := []string{"control.sqlite", "warehouse.duckdb", "secret.key"}
	if cfg.DatabaseURL != "" {
		files = files[1:]
	}
	for _, name := range files {
		info, err := os.Stat(filepath.Join(dir, name))
		switch {
		case errors.Is(err, os.ErrNotExist) && name == "secret.key" && os.Getenv("USHER_SECRET_KEY") != "":
			out = append(out, finding{name, true, "in the environment"})
		case err != nil:
			out = append(out, finding{name, false, "is not there"})
		case name == "secret.key" && info.Mode().Perm()&0o077 != 0:
			out = append(out, finding{name, false, "others may read it: chmod 600"})
		default:
			out = append(out, finding{name, true, fmt.Sprintf("%.1f MiB", float64(info.Size())/(1<<20))})
		}
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err == nil && fs.Blocks > 0 {
		free := 100 * fs.Bavail / fs.Blocks
		out = append(out, finding{"disk", free >= minFree, fmt.Sprintf("%d %% free", free)})
	}
	return out
}

func (a *app) checkServer(ctx context.Context) []finding {
	c := a.client()
	if _, err := c.Do(ctx, http.MethodGet, "/readyz", nil, nil); err != nil {
		return []finding{{"server", false, err.Error()}}
	}
	out := []finding{{"server", true, "ready at " + c.URL}}
	var auths []activation.Authorization
	if _, err := c.Do(ctx, http.MethodGet, "/v2/auth", nil, &auths); err != nil {
		return append(out, finding{"token", false, err.Error()})
	}
	out = append(out, finding{"token", true, "accepted"})
	out = append(out, checkVault(ctx, c)...)
	for _, auth := range auths {
		out = append(out, finding{"authorization " + auth.Label, auth.Status != activation.AuthUnhealthy, strings.TrimSpace(string(auth.Status) + " " + auth.Reason)})
	}
	var jobs []client.Job
	if _, err := c.Do(ctx, http.MethodGet, "/v2/job?status=failed", nil, &jobs); err == nil {
		out = append(out, finding{"failed jobs", len(jobs) == 0, fmt.Sprint(len(jobs))})
	}
	return out
}
