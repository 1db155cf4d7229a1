// Package config is the one struct of server settings and how it is read:
// defaults, then a YAML file, then environment (USHER_…), then flags. It owns
// names, defaults and validation, reads nothing else, and keeps no secrets but
// the address of the database: the others are sealed in the store. It is built
// for the misspelt setting: a name that is not known, or a value out of range,
// stops the start with all of them named.
package config

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/v2"
)

// Config is how one server process runs.
type Config struct {
	// Listen is the address of the HTTP API and the console. Default
	// 127.0.0.1:8080: the server is not reachable from outside unless told so.
	Listen string `koanf:"listen"`
	// Data is the directory that holds everything: control database, warehouse,
	// inbox, spool and the sealing key. Default ./usher-data.
	Data string `koanf:"data"`
	// MemoryMB bounds the warehouse's buffers, in MiB. 0 = 2,048 or a quarter of
	// the machine's memory, the smaller. Allow the process 1.3 times as much.
	MemoryMB int `koanf:"memory_mb"`
	// Threads is how many cores one warehouse query may use. 0 = all.
	Threads int `koanf:"threads"`
	// LogLevel is debug, info, warn or error. Default info.
	LogLevel string `koanf:"log_level"`
	// LogFormat is text or json. Default text.
	LogFormat string `koanf:"log_format"`
	// AllowHosts are host:port pairs inside the private network that providers
	// may call all the same (a sandbox, an internal gateway). Default none:
	// outgoing calls to loopback and private addresses are refused.
	AllowHosts []string `koanf:"allow_hosts"`
	// PublicURL is the address of the console as people reach it, such as
	// https://usher.example.com; links in alerts begin with it. Default none.
	PublicURL string `koanf:"public_url"`
	// TrustedProxies are addresses or networks (10.0.0.5, 10.0.0.0/8) of the
	// proxies in front of the server. What they say in X-Forwarded-For is whose
	// failed sign-ins are counted, and X-Forwarded-Proto whether cookies are
	// marked Secure. Default none: nobody's word is taken.
	TrustedProxies []string `koanf:"trusted_proxies"`
	// SiteOrigins are the origins (https://shop.example.com) of web pages that may
	// ask for a visitor's public audiences from a browser; * = all. Default none.
	SiteOrigins []string `koanf:"site_origins"`
	// SitePerMinute is how many such questions one address may ask in a minute.
	// Default 600; 0 = as many as it likes.
	SitePerMinute int `koanf:"site_per_minute"`
	// GuardPercent is the share of a target's people that may be removed within
	// 24 h without approval. Default 20; 100 switches the guard off.
	GuardPercent int `koanf:"guard_percent"`
	// MaxBatch lowers the rows of one queue item. 0 = as many as the network takes.
	MaxBatch int `koanf:"max_batch"`
	// JobRetention is how long a failed, paused, completed or killed job is kept,
	// with its runs and logs, after it entered that state. Default 2160h (90 days).
	JobRetention time.Duration `koanf:"job_retention"`
	// ReconcileAt is the time of day, in UTC, from which every remote audience is
	// compared with its ledger each night. Default 03:00; off = never.
	ReconcileAt string `koanf:"reconcile_at"`
	// CustomerField is the identifier field that decisions and paid responses name
	// customers by. Default the strongest identifier that is declared.
	CustomerField string `koanf:"customer_field"`
	// MaxRecordBytes, MaxBulkMB, MaxRealtimeMB and MaxColumns bound what one upload
	// may bring: a row, a body decompressed, a real-time body, its columns. Defaults
	// 16384 bytes, 1024 MiB, 10 MB, 1000.
	MaxRecordBytes int `koanf:"max_record_bytes"`
	MaxBulkMB      int `koanf:"max_bulk_mb"`
	MaxRealtimeMB  int `koanf:"max_realtime_mb"`
	MaxColumns     int `koanf:"max_columns"`
	// MaxAhead is how far in the future a message time may lie. Default 24h.
	MaxAhead time.Duration `koanf:"max_ahead"`
	// MaxWaitingRows is how many real-time messages may wait to be merged before
	// more are answered 429. Default 1,000,000.
	MaxWaitingRows int64 `koanf:"max_waiting_rows"`
	// Programs is the folder of the programs that singer imports may start.
	// Default none: nothing may be started.
	Programs string `koanf:"programs"`
	// CompactAt is the time of day, in UTC, at which files are rewritten without
	// what was deleted. Default 02:00; off = only for people who are forgotten.
	CompactAt string `koanf:"compact_at"`
	// DatabaseURL is the PostgreSQL that holds the control plane, such as
	// postgres://usher:password@host:5432/usher. Default none: it is a file in Data.
	// There is no flag for it, since others on the machine can see flags.
	DatabaseURL Secret `koanf:"database_url"`
}

// Default returns the settings of a server nobody configured.
func Default() Config {
	return Config{
		Listen:       "127.0.0.1:8080",
		Data:         "usher-data",
		LogLevel:     "info",
		LogFormat:    "text",
		GuardPercent: 20, SitePerMinute: 600,
		JobRetention: 90 * 24 * time.Hour, ReconcileAt: "03:00", CompactAt: "02:00",
		MaxRecordBytes: 16 << 10, MaxBulkMB: 1024, MaxRealtimeMB: 10, MaxColumns: 1000, MaxAhead: 24 * time.Hour, MaxWaitingRows: 1_000_000,
	}
}

// Load reads the file at path (if not empty), then the environment, then
// flags, which hold only what the user typed. Names it does not know are an
// error, as are values of the wrong kind.
func Load(path string, flags map[string]any) (Config, error) {
	k := koanf.New(".")
	if path != "" {
		if err := k.Load(file.Provider(path), yaml.Parser()); err != nil {
			return Config{}, fmt.Errorf("read config file %q: %w", path, err)
		}
	}
	vars := env.Provider(".", env.Opt{Prefix: "USHER_", TransformFunc: fromEnv})
	if err := k.Load(vars, nil); err != nil {
		return Config{}, fmt.Errorf("read environment: %w", err)
	}
	if err := k.Load(confmap.Provider(flags, "."), nil); err != nil {
		return Config{}, fmt.Errorf("read flags: %w", err)
	}
	known := names()
	for _, name := range k.Keys() {
		if _, ok := known[name]; !ok {
			return Config{}, fmt.Errorf("setting %q is not known", name)
		}
	}
	c := Default()
	if err := k.Unmarshal("", &c); err != nil {
		return Config{}, fmt.Errorf("read settings: %w", err)
	}
	return c, c.Validate()
}

// names are the settings there are.
func names() map[string]struct{} {
	out := map[string]struct{}{}
	for _, n := range []string{"listen", "data", "memory_mb", "threads", "log_level", "log_format", "allow_hosts", "public_url", "trusted_proxies", "site_origins", "site_per_minute", "guard_percent", "max_batch", "job_retention", "reconcile_at", "customer_field", "max_record_bytes", "max_bulk_mb", "max_realtime_mb", "max_columns", "max_ahead", "max_waiting_rows", "programs", "compact_at", "database_url"} {
		out[n] = struct{}{}
	}
	return out
}

// fromEnv maps USHER_LOG_LEVEL to log_level and leaves alone what is not a
// server setting (USHER_URL and USHER_TOKEN belong to the client).
func fromEnv(key, value string) (string, any) {
	name := strings.ToLower(strings.TrimPrefix(key, "USHER_"))
	if _, ok := names()[name]; !ok {
		return "", nil
	}
	if name == "allow_hosts" || name == "trusted_proxies" || name == "site_origins" {
		return name, strings.Split(value, ",")
	}
	return name, value
}

// Validate names every setting that is wrong, all at once.
func (c Config) Validate() error {
	var errs []error
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		errs = append(errs, fmt.Errorf("listen: %q is not host:port", c.Listen))
	}
	if c.Data == "" {
		errs = append(errs, errors.New("data: a directory is needed"))
	}
	if c.MemoryMB < 0 || (c.MemoryMB > 0 && c.MemoryMB < 128) {
		errs = append(errs, fmt.Errorf("memory_mb: %d is less than 128", c.MemoryMB))
	}
	if c.Threads < 0 {
		errs = append(errs, fmt.Errorf("threads: %d is negative", c.Threads))
	}
	if _, err := c.level(); err != nil {
		errs = append(errs, fmt.Errorf("log_level: %q is not debug, info, warn or error", c.LogLevel))
	}
	if c.LogFormat != "text" && c.LogFormat != "json" {
		errs = append(errs, fmt.Errorf("log_format: %q is not text or json", c.LogFormat))
	}
	if c.GuardPercent < 1 || c.GuardPercent > 100 {
		errs = append(errs, fmt.Errorf("guard_percent: %d is not between 1 and 100", c.GuardPercent))
	}
	if c.SitePerMinute < 0 {
		errs = append(errs, fmt.Errorf("site_per_minute: %d is negative", c.SitePerMinute))
	}
	for _, o := range c.SiteOrigins {
		if u, err := url.Parse(o); o != "*" && (err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || o != u.Scheme+"://"+u.Host) {
			errs = append(errs, fmt.Errorf("site_origins: %q is no origin such as https://shop.example.com", o))
		}
	}
	if c.MaxBatch < 0 {
		errs = append(errs, fmt.Errorf("max_batch: %d is negative", c.MaxBatch))
	}
	if c.JobRetention < 24*time.Hour {
		errs = append(errs, fmt.Errorf("job_retention: %s is less than 24h", c.JobRetention))
	}
	errs = append(errs, c.uploads()...)
	for _, at := range []func() (time.Duration, error){c.Night, c.Compaction} {
		if _, err := at(); err != nil {
			errs = append(errs, err)
		}
	}
	if p := c.Programs; p != "" {
		if info, err := os.Stat(p); err != nil || !info.IsDir() {
			errs = append(errs, fmt.Errorf("programs: %q is not a folder", p))
		}
	}
	if u := string(c.DatabaseURL); u != "" && !strings.HasPrefix(u, "postgres://") && !strings.HasPrefix(u, "postgresql://") {
		errs = append(errs, errors.New("database_url: it must begin with postgres://, as in postgres://user:password@host:5432/name"))
	}
	if u, err := url.Parse(c.PublicURL); c.PublicURL != "" && (err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https")) {
		errs = append(errs, errors.New("public_url: it must be an address such as https://usher.example.com"))
	}
	for _, h := range c.AllowHosts {
		if _, _, err := net.SplitHostPort(h); err != nil {
			errs = append(errs, fmt.Errorf("allow_hosts: %q is not host:port", h))
		}
	}
	if _, err := c.Proxies(); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// uploads names what is wrong with the bounds of uploads.
func (c Config) uploads() (errs []error) {
	for _, bound := range []struct {
		name             string
		value, low, high int64
	}{
		{"max_record_bytes", int64(c.MaxRecordBytes), 1 << 10, 1 << 20},
		{"max_bulk_mb", int64(c.MaxBulkMB), 1, 64 << 10},
		{"max_realtime_mb", int64(c.MaxRealtimeMB), 1, 100},
		{"max_columns", int64(c.MaxColumns), 1, 10_000},
		{"max_waiting_rows", c.MaxWaitingRows, 1000, 1 << 40},
	} {
		if bound.value < bound.low || bound.value > bound.high {
			errs = append(errs, fmt.Errorf("%s: %d is not between %d and %d", bound.name, bound.value, bound.low, bound.high))
		}
	}
	if c.MaxAhead < 0 {
		errs = append(errs, fmt.Errorf("max_ahead: %s is negative", c.MaxAhead))
	}
	return errs
}

// Night is how long after midnight, UTC, the comparisons of a night begin: above
// 0, and negative where there are none.
func (c Config) Night() (time.Duration, error) { return timeOfDay("reconcile_at", c.ReconcileAt) }

// Compaction is the same of the nightly rewriting of files.
func (c Config) Compaction() (time.Duration, error) { return timeOfDay("compact_at", c.CompactAt) }

func timeOfDay(name, text string) (time.Duration, error) {
	if text == "off" {
		return -1, nil
	}
	t, err := time.Parse("15:04", text)
	if err != nil {
		return 0, fmt.Errorf("%s: %q is not a time of day such as 03:00, nor off", name, text)
	}
	return cmp.Or(time.Duration(t.Hour())*time.Hour+time.Duration(t.Minute())*time.Minute, 24*time.Hour), nil
}

// Proxies are the trusted proxies as networks.
func (c Config) Proxies() ([]netip.Prefix, error) {
	var out []netip.Prefix
	var errs []error
	for _, text := range c.TrustedProxies {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			var one netip.Addr
			if one, err = netip.ParseAddr(text); err == nil {
				p = netip.PrefixFrom(one, one.BitLen())
			}
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("trusted_proxies: %q is no address or network", text))
			continue
		}
		out = append(out, p.Masked())
	}
	return out, errors.Join(errs...)
}

func (c Config) level() (slog.Level, error) {
	var l slog.Level
	err := l.UnmarshalText([]byte(c.LogLevel))
	return l, err
}

// Logger returns the logger the settings ask for, writing to standard error.
func (c Config) Logger() *slog.Logger {
	l, err := c.level()
	if err != nil {
		l = slog.LevelInfo
	}
	opt := &slog.HandlerOptions{Level: l}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(os.Stderr, opt))
	}
	return slog.New(slog.NewTextHandler(os.Stderr, opt))
}
