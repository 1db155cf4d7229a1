package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

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
	configFlags(c.Flags())
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
func configFlags(f *pflag.FlagSet) {
	d := config.Default()
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
	f.Int("max-record-bytes", d.MaxRecordBytes, "most bytes of one row or object that is sent in")
	f.Int("max-bulk-mb", d.MaxBulkMB, "most MiB of one bulk upload or imported file, decompressed")
	f.Int("max-realtime-mb", d.MaxRealtimeMB, "most MB of one real-time request")
	f.Int("max-columns", d.MaxColumns, "most columns of one upload")
	f.Duration("max-ahead", d.MaxAhead, "how far in the future a message time may lie")
	f.Int64("max-waiting-rows", d.MaxWaitingRows, "real-time messages that may wait to be merged before more are answered 429")
	f.String("programs", d.Programs, "folder of the programs that singer imports may start (default none)")
	f.String("compact-at", d.CompactAt, "time of day, in UTC, at which files are rewritten without what was deleted; off = only for people who are forgotten")
}

// repeated are the flags that may be given several times, and their settings.
var repeated = map[string]string{"allow-host": "allow_hosts", "trusted-proxy": "trusted_proxies", "site-origin": "site_origins"}

// loadConfig reads file, environment and the flags that were typed.
func loadConfig(cmd *cobra.Command, file string) (config.Config, error) {
	flags := map[string]any{}
	f := cmd.Flags()
	own := pflag.NewFlagSet("settings", pflag.ContinueOnError)
	configFlags(own)
	var err error
	own.VisitAll(func(known *pflag.Flag) {
		typed := f.Lookup(known.Name)
		if typed == nil || !typed.Changed {
			return
		}
		if name, several := repeated[known.Name]; several {
			list, failed := f.GetStringSlice(known.Name)
			flags[name], err = list, errors.Join(err, failed)
			return
		}
		flags[strings.ReplaceAll(known.Name, "-", "_")] = typed.Value.String()
	})
	if err != nil {
		return config.Config{}, err
	}
	return config.Load(file, flags)
}
