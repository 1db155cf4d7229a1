package config

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestLoadOrder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "usher.yaml")
	if err := os.WriteFile(path, []byte("listen: 127.0.0.1:1\nguard_percent: 30\nlog_level: warn\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("USHER_LOG_LEVEL", "debug")
	t.Setenv("USHER_ALLOW_HOSTS", "127.0.0.1:9,127.0.0.1:10")
	t.Setenv("USHER_JOB_RETENTION", "720h")
	t.Setenv("USHER_TOKEN", "belongs to the client")
	c, err := Load(path, map[string]any{"listen": "127.0.0.1:2"})
	if err != nil {
		t.Fatal(err)
	}
	if c.Listen != "127.0.0.1:2" || c.GuardPercent != 30 || c.LogLevel != "debug" || len(c.AllowHosts) != 2 || c.JobRetention != 720*time.Hour || c.Data != "usher-data" {
		t.Fatalf("flag over environment over file over default: got %+v", c)
	}
}

func TestLoadRefuses(t *testing.T) {
	for _, tt := range []struct{ name, yaml, want string }{
		{"unknown setting", "lissten: x", `setting "lissten" is not known`},
		{"every wrong one", "listen: nowhere\nlog_level: loud\nguard_percent: 0", "listen:"},
		{"every wrong one, second", "listen: nowhere\nlog_level: loud\nguard_percent: 0", "log_level:"},
		{"every wrong one, third", "listen: nowhere\nlog_level: loud\nguard_percent: 0", "guard_percent:"},
		{"wrong kind", "threads: many", "threads"},
		{"no address", "public_url: usher", "public_url: it must be an address"},
		{"no time of day", "reconcile_at: 25:00", `reconcile_at: "25:00" is not a time of day such as 03:00, nor off`},
		{"jobs kept too shortly", "job_retention: 2h", "job_retention: 2h0m0s is less than 24h"},
		{"too little memory", "memory_mb: 5", "memory_mb"},
		{"another database", "database_url: mysql://u:hunter2@h/x", "database_url: it must begin with postgres://"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "usher.yaml")
			if err := os.WriteFile(path, []byte(tt.yaml), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := Load(path, nil); err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "hunter2") {
				t.Fatalf("got %v, want an error with %q", err, tt.want)
			}
		})
	}
}

// TestSecretIsNotShown: no way of writing settings down shows a secret.
func TestSecretIsNotShown(t *testing.T) {
	t.Setenv("USHER_DATABASE_URL", "postgres://u:hunter2@h/x")
	c, err := Load("", nil)
	if err != nil {
		t.Fatal(err)
	}
	if string(c.DatabaseURL) != "postgres://u:hunter2@h/x" {
		t.Fatal("the setting was not read")
	}
	var log strings.Builder
	for _, h := range []slog.Handler{slog.NewTextHandler(&log, nil), slog.NewJSONHandler(&log, nil)} {
		slog.New(h).Info("settings", slog.Any("all", c), slog.Any("one", c.DatabaseURL), slog.Any("pointer", &c))
	}
	raw, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, said := range []string{
		fmt.Sprint(c), fmt.Sprintf("%+v", c), fmt.Sprintf("%#v", c), fmt.Sprintf("%s %q %v", c.DatabaseURL, c.DatabaseURL, &c), string(raw), log.String(),
	} {
		if strings.Contains(said, "hunter2") {
			t.Errorf("shown in %s", said)
		}
	}
}
