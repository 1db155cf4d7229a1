package publishing

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"usher/internal/activation"
	"usher/internal/pass"
	"usher/internal/provider"
)

// CodeSettings is for a setting of an account, a strategy or a question that is wrong.
const CodeSettings = "PUB-SETTINGS"

// maxAccountName is how many characters the name of an account may have.
const maxAccountName = 200

// Accounts returns all publisher accounts.
func (d *Desk) Accounts(ctx context.Context) ([]activation.PublisherAccount, error) {
	return d.cfg.Store.Publishers(ctx)
}

// Account returns one publisher account.
func (d *Desk) Account(ctx context.Context, id activation.PublisherID) (activation.PublisherAccount, error) {
	return d.cfg.Store.Publisher(ctx, id)
}

// Link stores an account once the publisher opens it, makes its two jobs and begins to
// read structure and costs. The same account or name twice is ErrConflict.
func (d *Desk) Link(ctx context.Context, spec AccountSpec, user string) (activation.PublisherAccount, error) {
	account, pub, err := d.checked(ctx, spec)
	if err != nil {
		return activation.PublisherAccount{}, err
	}
	if err := d.free(ctx, account); err != nil {
		return activation.PublisherAccount{}, err
	}
	if account, err = d.opened(ctx, account); err != nil {
		return activation.PublisherAccount{}, err
	}
	account, err = d.cfg.Store.CreatePublisher(ctx, account, pub.Sync, pub.Post, user)
	if err != nil {
		return account, err
	}
	d.cfg.Wake(pass.Kind, string(account.SyncJob))
	if _, err := d.read(ctx, account, user, ReadStructure, ReadCosts); err != nil { // the first night reads them too
		d.cfg.Log.ErrorContext(ctx, "begin to read a new publisher account", "publisher_id", string(account.ID), "error", err)
	}
	d.cfg.Changed()
	return account, nil
}

// Update stores name, authorization, settings and the time of the nightly sync; the
// publisher's own account stays the same. Other credentials or settings are tried
// before they are stored.
func (d *Desk) Update(ctx context.Context, id activation.PublisherID, spec AccountSpec, user string) (activation.PublisherAccount, error) {
	before, err := d.cfg.Store.Publisher(ctx, id)
	if err != nil {
		return before, err
	}
	var fixed activation.Problems
	if spec.Provider != before.Provider {
		fixed.Add(CodeSettings, "provider", "can't be changed: link another account")
	}
	if strings.TrimSpace(spec.Account) != before.Account {
		fixed.Add(CodeSettings, "account", "can't be changed: link another account")
	}
	if err := fixed.Err(); err != nil {
		return before, err
	}
	account, _, err := d.checked(ctx, spec)
	if err != nil {
		return before, err
	}
	account.ID, account.Currency, account.Timezone = before.ID, before.Currency, before.Timezone
	if err := d.free(ctx, account); err != nil {
		return before, err
	}
	if account.Authorization != before.Authorization || !maps.Equal(account.Config, before.Config) {
		if account, err = d.opened(ctx, account); err != nil {
			return before, err
		}
	}
	after, err := d.cfg.Store.UpdatePublisher(ctx, account, user)
	if err != nil {
		return before, err
	}
	if account.Currency != before.Currency || account.Timezone != before.Timezone {
		if err := d.cfg.Store.SavePublisherInfo(ctx, id, account.Currency, account.Timezone); err != nil {
			return before, err
		}
		after.Currency, after.Timezone = account.Currency, account.Timezone
	}
	d.cfg.Changed()
	return after, nil
}

// Unlink deletes an account with its structure, log and jobs. Nothing changes at the
// publisher.
func (d *Desk) Unlink(ctx context.Context, id activation.PublisherID, user string) error {
	err := d.cfg.Store.DeletePublisher(ctx, id, user)
	if err == nil {
		d.cfg.Changed()
	}
	return err
}

// CheckAccount asks the publisher for the account with the credentials it has, and
// keeps what it says of currency and zone.
func (d *Desk) CheckAccount(ctx context.Context, id activation.PublisherID) (provider.PublisherInfo, error) {
	account, err := d.cfg.Store.Publisher(ctx, id)
	if err != nil {
		return provider.PublisherInfo{}, err
	}
	info, err := d.ask(ctx, account)
	if err != nil {
		return info, err
	}
	if info.Currency != account.Currency || info.Timezone != account.Timezone {
		err = d.cfg.Store.SavePublisherInfo(ctx, id, info.Currency, info.Timezone)
	}
	return info, err
}

// Sync asks for the structure or the costs of an account to be read now, in front of
// whatever else people want of it.
func (d *Desk) Sync(ctx context.Context, id activation.PublisherID, what, user string) (activation.Entry, error) {
	account, err := d.cfg.Store.Publisher(ctx, id)
	if err != nil {
		return activation.Entry{}, err
	}
	if readingWords[what] == "" {
		return activation.Entry{}, &activation.Error{Kind: activation.Invalid, Code: CodeSettings, Field: "what", Message: "what: must be " + ReadStructure + " or " + ReadCosts}
	}
	made, err := d.read(ctx, account, user, what)
	if err != nil {
		return activation.Entry{}, err
	}
	d.cfg.Changed()
	return made[0], nil
}

// readingWords say what an entry reads.
var readingWords = map[string]string{ReadStructure: "Read the structure from the publisher", ReadCosts: "Read the costs from the publisher"}

// read queues readings of an account.
func (d *Desk) read(ctx context.Context, account activation.PublisherAccount, user string, what ...string) ([]activation.Entry, error) {
	entries := make([]activation.Entry, len(what))
	for i, w := range what {
		entries[i] = activation.Entry{
			Publisher: account.ID, Status: activation.EntryQueued, Origin: activation.OriginUser, By: user, Source: "api", Operation: activation.OpSync,
			ObjectName: account.Name, Text: readingWords[w], Detail: map[string]string{DetailWhat: w}, ReleasedAt: d.cfg.Now(),
		}
	}
	made, err := d.cfg.Store.WriteEntries(ctx, account.ID, nil, entries, activation.EntryWrite{Audit: "sync"})
	if err == nil {
		d.cfg.Wake(pass.Kind, string(account.PostJob))
	}
	return made, err
}

// checked is an account as somebody declares it, or an error that names every wrong
// field.
func (d *Desk) checked(ctx context.Context, spec AccountSpec) (activation.PublisherAccount, *provider.Publishing, error) {
	a := activation.PublisherAccount{
		Name: strings.TrimSpace(spec.Name), Provider: spec.Provider, Authorization: spec.Authorization, Account: strings.TrimSpace(spec.Account),
		NightlyAt: strings.TrimSpace(spec.NightlyAt), Config: map[string]string{},
	}
	if a.NightlyAt == "" {
		a.NightlyAt = activation.DefaultNightlyAt
	}
	var p activation.Problems
	switch n := utf8.RuneCountInString(a.Name); {
	case n == 0:
		p.Add(CodeSettings, "name", "is needed: what people call the account")
	case n > maxAccountName || strings.ContainsFunc(a.Name, unicode.IsControl):
		p.Add(CodeSettings, "name", "must be a line of at most %d characters", maxAccountName)
	}
	if t, err := time.Parse("15:04", a.NightlyAt); err != nil || t.Format("15:04") != a.NightlyAt {
		p.Add(CodeSettings, "nightly_at", "must be a time of day such as %s, in the account's zone", activation.DefaultNightlyAt)
	}
	pub, ok := d.publishing(a.Provider)
	if !ok {
		var names []string
		for _, def := range d.cfg.Providers {
			if def.Publishing != nil {
				names = append(names, def.Name)
			}
		}
		p.Add(CodeSettings, "provider", "must be a publisher: one of %s", strings.Join(names, ", "))
		return a, nil, p.Err()
	}
	if a.Account == "" || strings.ContainsFunc(a.Account, unicode.IsSpace) || len(a.Account) > maxAccountName {
		p.Add(CodeSettings, "account", "is needed, without spaces: %s", pub.AccountHelp)
	}
	if err := d.checkAuthorization(ctx, a, &p); err != nil {
		return a, nil, err
	}
	checkSettings(&p, pub.Fields, spec.Config, a.Config)
	return a, pub, p.Err()
}

func (d *Desk) checkAuthorization(ctx context.Context, a activation.PublisherAccount, p *activation.Problems) error {
	if a.Authorization == "" {
		p.Add(CodeSettings, "auth_id", "is needed: an authorization of %s", a.Provider)
		return nil
	}
	auth, err := d.cfg.Authorization(ctx, a.Authorization)
	switch {
	case errors.Is(err, activation.ErrNotFound):
		p.Add(CodeSettings, "auth_id", "there is no such authorization")
	case err != nil:
		return err
	case auth.Provider != a.Provider:
		p.Add(CodeSettings, "auth_id", "is an authorization of %s; one of %s is needed", auth.Provider, a.Provider)
	}
	return nil
}

// checkSettings compares what is given with what is declared. No given value is put
// into a problem.
func checkSettings(p *activation.Problems, declared []provider.Field, given, to map[string]string) {
	for _, f := range declared {
		v := provider.Setting(declared, given, f.Name)
		if v == "" {
			if f.Required {
				p.Add(CodeSettings, "config."+f.Name, "is needed: %s", f.Help)
			}
			continue
		}
		if wrong := wrongSetting(f, v); wrong != "" {
			p.Add(CodeSettings, "config."+f.Name, "%s", wrong)
			continue
		}
		to[f.Name] = v
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if !slices.ContainsFunc(declared, func(f provider.Field) bool { return f.Name == name }) {
			p.Add(CodeSettings, "config."+name, "is not a setting of the publisher")
		}
	}
}

func wrongSetting(f provider.Field, v string) string {
	switch f.Type {
	case "bool":
		if _, err := strconv.ParseBool(v); err != nil {
			return "must be true or false"
		}
	case "int":
		if _, err := strconv.ParseInt(v, 10, 64); err != nil {
			return "must be a whole number"
		}
	case "duration":
		if _, err := time.ParseDuration(v); err != nil {
			return "must be a duration such as 90s or 6h"
		}
	case "url":
		if u, err := url.Parse(v); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return "must be an address such as https://example.com"
		}
	case "select":
		if !slices.Contains(f.Options, v) {
			return "must be one of " + strings.Join(f.Options, ", ")
		}
	}
	return ""
}

// free refuses a name or an account that another has, before the publisher is asked.
// The store refuses it again, where two are linked at once.
func (d *Desk) free(ctx context.Context, a activation.PublisherAccount) error {
	all, err := d.cfg.Store.Publishers(ctx)
	if err != nil {
		return err
	}
	for _, other := range all {
		switch {
		case other.ID == a.ID:
		case other.Name == a.Name:
			return doubled("name", fmt.Sprintf("a publisher account named %q exists already", a.Name))
		case other.Provider == a.Provider && other.Account == a.Account:
			return doubled("account", fmt.Sprintf("the account %q is linked already, as %q", a.Account, other.Name))
		}
	}
	return nil
}

func doubled(field, message string) error {
	return &activation.Error{Kind: activation.Invalid, Code: "CONFLICT", Field: field, Message: message, Err: activation.ErrConflict}
}

// opened is the account with what the publisher says of it.
func (d *Desk) opened(ctx context.Context, a activation.PublisherAccount) (activation.PublisherAccount, error) {
	info, err := d.ask(ctx, a)
	a.Currency, a.Timezone = info.Currency, info.Timezone
	return a, err
}

func (d *Desk) ask(ctx context.Context, a activation.PublisherAccount) (provider.PublisherInfo, error) {
	client, _, err := d.cfg.Connect(ctx, a)
	if err != nil {
		return provider.PublisherInfo{}, err
	}
	info, err := client.Check(ctx)
	if err != nil {
		return info, err
	}
	if _, err := time.LoadLocation(info.Timezone); err != nil || info.Timezone == "" || len(info.Currency) != 3 {
		return info, &activation.Error{Kind: activation.Unavailable, Code: CodeSettings, Message: "the publisher does not say in which currency and time zone the account is"}
	}
	return info, nil
}
