package cli

import (
	"context"
	"time"

	"usher/internal/config"
	"usher/internal/store/postgres"
)

// checkDatabase looks which control database the settings name and whether it
// answers. Nothing it says holds the password.
func checkDatabase(ctx context.Context, cfg config.Config) []finding {
	url := string(cfg.DatabaseURL)
	if url == "" {
		return []finding{{"database", true, "SQLite in the data directory"}}
	}
	what, err := postgres.Describe(url)
	if err != nil {
		return []finding{{"database", false, err.Error()}}
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	version, err := postgres.Check(ctx, url)
	if err != nil {
		return []finding{{"database", false, what + ": " + err.Error()}}
	}
	return []finding{{"database", true, what + ", version " + version}}
}
