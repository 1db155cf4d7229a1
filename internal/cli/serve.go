package cli

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"usher/internal/config"
	"usher/internal/server"
)

func (a *app) serveCommand() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use: "serve", Short: "Run the server", Args: cobra.NoArgs,
		Long: `Run the server: API, console, imports and deliveries. It keeps everything in one
directory and listens on loopback unless told otherwise. Every setting can also
come from a file (--config) or the environment (USHER_LISTEN and so on).

With USHER_DATABASE_URL the control database is a PostgreSQL, and several servers
may run over one data directory: one works, the others take over when it stops.`,
		Example: `  usher serve --data /var/lib/usher
  usher serve --config usher.yaml --listen 10.0.0.5:8080`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig(cmd, file)
			if err != nil {
				return &exitError{exitUsage, err}
			}
			log := cfg.Logger()
			start := time.Now()
			p, err := server.Open(cmd.Context(), cfg, log, server.Options{Version: Version, Announce: func(s *server.Server) {
				a.say("Usher %s serves %s", Version, s.URL())
				if link := s.SetUpURL(); link != "" {
					a.say("Make the first account within 15 minutes at %s", link)
				}
				log.InfoContext(cmd.Context(), "started", slog.String("url", s.URL()), slog.Duration("took", time.Since(start)))
			}})
			if err != nil {
				return &exitError{exitEnvironment, err}
			}
			return runServer(cmd.Context(), p, log)
		},
	}
	c.Flags().StringVar(&file, "config", "", "YAML file with settings")
	configFlags(c)
	return c
}

// runServer runs s until ctx ends and closes it.
func runServer(ctx context.Context, s interface {
	Run(ctx context.Context) error
	Close() error
}, log *slog.Logger,
) error {
	err := s.Run(ctx)
	if cerr := s.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	log.InfoContext(context.WithoutCancel(ctx), "stopped")
	return nil
}

// configFlags declares one flag per setting.
func configFlags(c *cobra.Command) {
	d := config.Default()
	f := c.Flags()
	f.String("listen", d.Listen, "address of the API and the console")
	f.String("data", d.Data, "directory with everything the server keeps")
	f.Int("memory-mb", d.MemoryMB, "bound on the warehouse's buffers in MiB; 0 = 2,048 or a quarter of the memory, the smaller")
	f.Int("threads", d.Threads, "cores one warehouse query may use; 0 = all")
	f.String("log-level", d.LogLevel, "debug, info, warn or error")
	f.String("log-format", d.LogFormat, "text or json")
	f.StringSlice("allow-host", d.AllowHosts, "private host:port that providers may call, such as a sandbox (repeat)")
	f.String("public-url", d.PublicURL, "address of the console as people reach it; links in alerts begin with it")
	f.StringSlice("trusted-proxy", d.TrustedProxies, "address or network of a proxy in front of the server, whose X-Forwarded-For and -Proto are believed (repeat)")
	f.StringSlice("site-origin", d.SiteOrigins, "origin of web pages that may ask for public audiences from a browser, such as https://shop.example.com (repeat)")
	f.Int("site-per-minute", d.SitePerMinute, "questions of web pages that one address may ask in a minute; 0 = as many as it likes")
	f.Int("guard-percent", d.GuardPercent, "share of a target's people that may be removed within 24 h without approval; 100 = off")
	f.Duration("job-retention", d.JobRetention, "how long jobs that do not go on are kept, with their runs and logs")
	f.String("reconcile-at", d.ReconcileAt, "time of day, in UTC, from which remote audiences are compared with their ledgers; off = never")
	f.String("customer-field", d.CustomerField, "identifier field that decisions and paid responses name customers by (default the strongest)")
	f.Int("max-batch", d.MaxBatch, "rows of one queue item; 0 = as many as the network takes")
}

// loadConfig reads file, environment and the flags that were typed.
func loadConfig(cmd *cobra.Command, file string) (config.Config, error) {
	flags := map[string]any{}
	f := cmd.Flags()
	for flag, name := range map[string]string{"listen": "listen", "data": "data", "log-level": "log_level", "log-format": "log_format", "public-url": "public_url", "reconcile-at": "reconcile_at", "customer-field": "customer_field"} {
		if f.Changed(flag) {
			v, err := f.GetString(flag)
			if err != nil {
				return config.Config{}, err
			}
			flags[name] = v
		}
	}
	if f.Changed("job-retention") {
		v, err := f.GetDuration("job-retention")
		if err != nil {
			return config.Config{}, err
		}
		flags["job_retention"] = v
	}
	for flag, name := range map[string]string{"memory-mb": "memory_mb", "threads": "threads", "guard-percent": "guard_percent", "max-batch": "max_batch", "site-per-minute": "site_per_minute"} {
		if f.Changed(flag) {
			v, err := f.GetInt(flag)
			if err != nil {
				return config.Config{}, err
			}
			flags[name] = v
		}
	}
	for flag, name := range map[string]string{"allow-host": "allow_hosts", "trusted-proxy": "trusted_proxies", "site-origin": "site_origins"} {
		if f.Changed(flag) {
			v, err := f.GetStringSlice(flag)
			if err != nil {
				return config.Config{}, err
			}
			flags[name] = v
		}
	}
	return config.Load(file, flags)
}
