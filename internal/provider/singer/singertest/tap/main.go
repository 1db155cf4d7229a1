// Command tap is a small Singer tap for tests: it prints the lines of a file as
// records, and misbehaves as the file "mode" beside it says.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

type config struct {
	Dir      string `json:"dir"`
	Password string `json:"password"`
}

func main() {
	configPath := flag.String("config", "", "")
	catalogPath := flag.String("catalog", "", "")
	statePath := flag.String("state", "", "")
	discover := flag.Bool("discover", false, "")
	flag.Parse()
	var c config
	read(*configPath, &c)
	raw, _ := os.ReadFile(filepath.Join(c.Dir, "mode"))
	mode := strings.TrimSpace(string(raw))
	fmt.Fprintf(os.Stderr, "INFO connecting with the password %s\n", c.Password)
	if mode == "down" {
		fail(c)
	}
	if *discover {
		fmt.Fprintln(os.Stdout, `{"streams":[{"tap_stream_id":"shop-people","stream":"people","schema":{"type":"object","properties":{"id":{},"name":{},"secret":{}}},"metadata":[{"breadcrumb":[],"metadata":{}},{"breadcrumb":["properties","secret"],"metadata":{"inclusion":"unsupported"}}]},{"tap_stream_id":"shop-orders","stream":"orders","schema":{},"metadata":[]}]}`)
		return
	}
	note(c, "catalog", *catalogPath)
	_ = os.WriteFile(filepath.Join(c.Dir, "env"), []byte(strings.Join(os.Environ(), "\n")), 0o600)
	_ = os.WriteFile(filepath.Join(c.Dir, "pid"), []byte(strconv.Itoa(os.Getpid())), 0o600)
	var state struct {
		Position int `json:"position"`
	}
	if *statePath != "" {
		read(*statePath, &state)
	}
	out := bufio.NewWriter(os.Stdout)
	defer func() { _ = out.Flush() }()
	switch mode {
	case "garbage":
		fmt.Fprintln(out, "Welcome to the tap!")
		return
	case "long":
		fmt.Fprintln(out, strings.Repeat("x", 5<<20))
		return
	case "hang":
		_ = out.Flush()
		child := exec.Command("sleep", "600") //nolint:noctx // what it starts must outlive it
		child.Stdout = os.Stdout
		_ = child.Start()
		_ = os.WriteFile(filepath.Join(c.Dir, "child"), []byte(strconv.Itoa(child.Process.Pid)), 0o600)
		time.Sleep(time.Hour)
	case "memory":
		big := make([]byte, 8<<30)
		for i := range big {
			big[i] = 1
		}
	}
	words, _ := os.ReadFile(filepath.Join(c.Dir, "rows"))
	lines := strings.Fields(string(words))
	fmt.Fprintln(out, `{"type":"SCHEMA","stream":"people","schema":{},"key_properties":["id"]}`)
	if len(lines) > state.Position { // another stream's are nobody's
		fmt.Fprintln(out, `{"type":"RECORD","stream":"orders","record":{"id":1}}`)
	}
	for i := state.Position; i < len(lines); i++ {
		if mode == "cut" && i == 2000 {
			_ = out.Flush()
			fmt.Fprintf(os.Stderr, "Traceback: row %s\n", lines[i])
			fail(c)
		}
		fmt.Fprintf(out, `{"type":"RECORD","stream":"people","record":{"id":%d,"name":%q,"address":{"city":"x","geo":{"lat":1.50}},"tags":["a",null,"b"],"orders":[{"n":1}],"gone":null}}`+"\n", i, lines[i])
		if i%1000 == 999 {
			fmt.Fprintf(out, `{"type":"STATE","value":{"position":%d}}`+"\n", i+1)
		}
	}
	fmt.Fprintf(out, `{"type":"STATE","value":{"position":%d}}`+"\n", len(lines))
}

func fail(c config) {
	fmt.Fprintf(os.Stderr, "psycopg2.OperationalError: password %s of ann@example.com\n", c.Password)
	os.Exit(1)
}

func read(path string, into any) {
	raw, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(raw, into)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "CRITICAL", err)
		os.Exit(2)
	}
}

func note(c config, name, path string) {
	raw, _ := os.ReadFile(path)
	_ = os.WriteFile(filepath.Join(c.Dir, name), raw, 0o600)
}
