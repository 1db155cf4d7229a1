package sftpdrop_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"

	"usher/internal/provider"
	"usher/internal/provider/drop/sftpdrop/sshdtest"
	"usher/internal/provider/sftp"
	"usher/internal/provider/sourcetest"
)

// importFolder is a folder of a real server, behind a proxy that cuts.
type importFolder struct {
	server *sshdtest.Server
	proxy  *sourcetest.Proxy
	dir    string
	files  int
}

func (w *importFolder) Hosts() []string { return []string{w.proxy.Addr()} }

func (w *importFolder) Deps() provider.Deps {
	d := w.server.Deps(nil)
	host, port, _ := net.SplitHostPort(w.proxy.Addr())
	d.Auth["host"], d.Auth["port"] = provider.Secret(host), provider.Secret(port)
	d.Config = map[string]string{"folder": w.dir, "prefix": `people_\d+`, "settle": "0s"}
	return d
}

// Add writes a file under another name and renames it, as people do.
func (w *importFolder) Add(words []string) error {
	w.files++
	body := []byte("email,name\n")
	for _, word := range words {
		body = fmt.Appendf(body, "%s@example.com,\"A, B\"\n", word)
	}
	path := filepath.Join(w.dir, fmt.Sprintf("people_%04d.csv", w.files))
	if err := os.WriteFile(path+".part", body, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".part", path)
}

func (w *importFolder) Missing() map[string]string {
	return map[string]string{"folder": filepath.Join(w.dir, "none")}
}

func (w *importFolder) Fail(f sourcetest.Fault) error {
	switch f {
	case sourcetest.Cut:
		w.proxy.CutAfter(60_000)
	case sourcetest.Down:
		w.proxy.CutAfter(0)
	default:
		return fmt.Errorf("sshd does not fail by %q", f)
	}
	return nil
}

func (w *importFolder) Heal() { w.proxy.CutAfter(-1) }

func (w *importFolder) Close() {
	w.proxy.Close()
	_ = os.RemoveAll(w.dir)
}

// TestImportsFromOpenSSH is the suite of sources against the server that most
// people have.
func TestImportsFromOpenSSH(t *testing.T) {
	s := sshdtest.Start(t)
	sourcetest.Run(t, sourcetest.Harness{
		Definition: sftp.Definition(), Workflow: "sftp_import",
		Open: func() (sourcetest.World, error) {
			dir, err := os.MkdirTemp(s.Folder, "in") //nolint:usetesting // it must be in the folder of the server
			if err != nil {
				return nil, err
			}
			proxy, err := sourcetest.NewProxy(s.Address)
			return &importFolder{server: s, proxy: proxy, dir: dir}, err
		},
		Skip: map[string]string{"credentials that are refused": "TestOpenSSH has it, with each kind of them"},
	})
}
