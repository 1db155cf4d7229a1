package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"usher/internal/manifest"
)

type appliedView struct {
	Applied bool            `json:"applied"`
	Steps   []manifest.Step `json:"steps"`
}

func (a *app) applyCommand() *cobra.Command {
	var dir string
	var dryRun, yes bool
	apply := &cobra.Command{
		Use: "apply", Short: "Make everything as the YAML files of a folder say: plan first, then apply", Args: cobra.NoArgs,
		Long: `Read all .yaml and .yml files under a folder, show what would be created and
changed, and do it when asked to. Nothing is stored while anything is wrong, and
nothing is deleted because its file is gone. Applied again it changes nothing.`,
		Example: `  usher apply -f config/ --dry-run
  usher apply -f config/ --yes`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			files, err := readFolder(dir)
			if err != nil {
				return err
			}
			var plan appliedView
			if _, err := a.client().Do(cmd.Context(), http.MethodPost, "/v2/apply", map[string]any{"files": files, "dry_run": true}, &plan); err != nil {
				return err
			}
			if dryRun || !plan.changes() {
				return a.showSteps(plan)
			}
			if !yes {
				if err := a.showSteps(plan); err != nil {
					return err
				}
				a.say("Apply these changes? Type yes")
				answer, _ := bufio.NewReader(a.in).ReadString('\n')
				if strings.TrimSpace(answer) != "yes" {
					return errors.New("nothing was applied; give --yes where nobody can answer")
				}
			}
			var done appliedView
			if _, err := a.client().Do(cmd.Context(), http.MethodPost, "/v2/apply", map[string]any{"files": files}, &done); err != nil {
				return err
			}
			return a.showSteps(done)
		},
	}
	apply.Flags().StringVarP(&dir, "file", "f", "", "folder, or one file")
	apply.Flags().BoolVar(&dryRun, "dry-run", false, "only show the plan")
	apply.Flags().BoolVar(&yes, "yes", false, "apply without asking")
	_ = apply.MarkFlagRequired("file")
	return a.jsonFlag(apply)
}

// changes reports whether there is anything to do.
func (v appliedView) changes() bool {
	return slices.ContainsFunc(v.Steps, func(s manifest.Step) bool { return s.Action == manifest.Create || s.Action == manifest.Update })
}

func (a *app) showSteps(v appliedView) error {
	if a.json {
		return a.printJSON(v)
	}
	rows, of := [][]string{}, map[manifest.Action]int{}
	for _, s := range v.Steps {
		of[s.Action]++
		if s.Action == manifest.Unchanged && s.Note == "" {
			continue
		}
		what := strings.Join(s.Changes, ", ")
		if s.Note != "" {
			what = strings.TrimPrefix(what+"; "+s.Note, "; ")
		}
		rows = append(rows, []string{string(s.Action), s.Kind, s.Name, fmt.Sprintf("%s:%d", s.File, s.Line), what})
	}
	if len(rows) > 0 {
		if err := a.table([]string{"ACTION", "KIND", "NAME", "WHERE", "CHANGES"}, rows); err != nil {
			return err
		}
	}
	word := "to change"
	if v.Applied {
		word = "changed"
	}
	wait := ""
	if n := of[manifest.Pending]; n > 0 {
		wait = fmt.Sprintf(", %d pending", n)
	}
	a.say("%d %s, %d as declared%s", of[manifest.Create]+of[manifest.Update], word, of[manifest.Unchanged], wait)
	return nil
}

// readFolder reads the YAML files under a path, by their names below it.
func readFolder(path string) (map[string]string, error) {
	files := map[string]string{}
	info, err := os.Stat(path)
	if err != nil {
		return nil, usageError("%s: no such folder or file", path)
	}
	if !info.IsDir() {
		raw, err := os.ReadFile(path)
		files[filepath.Base(path)] = string(raw)
		return files, err
	}
	err = fs.WalkDir(os.DirFS(path), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || (!strings.HasSuffix(name, ".yaml") && !strings.HasSuffix(name, ".yml")) {
			return err
		}
		raw, err := os.ReadFile(filepath.Join(path, name))
		files[name] = string(raw)
		return err
	})
	if err == nil && len(files) == 0 {
		err = usageError("%s: there is no .yaml file under it", path)
	}
	return files, err
}

func (a *app) exportCommand() *cobra.Command {
	var dir string
	export := &cobra.Command{
		Use: "export", Short: "Write everything declared as YAML files, without secrets", Args: cobra.NoArgs,
		Long: `Write fields, streams, audiences, the next-best-action hierarchy, payload
templates, destinations, publisher accounts with what is planned for them, jobs
and priority lists as the YAML that usher apply reads. Without a folder it goes
to standard output.`,
		Example: `  usher export -o config/`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var out struct {
				Files map[string]string `json:"files"`
			}
			if _, err := a.client().Do(cmd.Context(), http.MethodGet, "/v2/export", nil, &out); err != nil {
				return err
			}
			names := slices.Sorted(maps.Keys(out.Files))
			if dir == "" {
				for i, name := range names {
					if i > 0 {
						_, _ = fmt.Fprintln(a.out, "---")
					}
					if _, err := fmt.Fprint(a.out, "# "+name+"\n"+out.Files[name]); err != nil {
						return err
					}
				}
				return nil
			}
			for _, name := range names {
				if !filepath.IsLocal(name) {
					return fmt.Errorf("the server named a file outside the folder: %q", name)
				}
				path := filepath.Join(dir, name)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // configuration for git, without secrets
					return fmt.Errorf("write %s: %w", name, err)
				}
				if err := os.WriteFile(path, []byte(out.Files[name]), 0o644); err != nil { //nolint:gosec // see above
					return fmt.Errorf("write %s: %w", name, err)
				}
			}
			a.say("%d files written to %s", len(names), dir)
			return nil
		},
	}
	export.Flags().StringVarP(&dir, "output", "o", "", "folder to write to")
	return export
}
