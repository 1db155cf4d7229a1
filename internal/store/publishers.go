package store

import (
	"context"
	"encoding/json"
	"fmt"

	"usher/internal/activation"
)

// configPublisher is the key of a job's configuration that names the publisher account
// that owns it; typePublishing is its type.
const (
	configPublisher = "publisher"
	typePublishing  = "publishing"
)

const publisherColumns = `p.id, p.name, p.provider, p.auth_id, p.account, p.config, p.currency, p.timezone, p.nightly_at, p.sync_job, p.post_job, p.created_at, p.updated_at, p.synced_at, p.cost_at`

func scanPublisher(r scanner) (activation.PublisherAccount, error) {
	a := activation.PublisherAccount{Waiting: map[activation.EntryStatus]int64{}}
	err := r.Scan(&a.ID, &a.Name, &a.Provider, &a.Authorization, &a.Account, object{&a.Config}, &a.Currency, &a.Timezone, &a.NightlyAt, &a.SyncJob, &a.PostJob,
		stamp{&a.CreatedAt}, stamp{&a.UpdatedAt}, stamp{&a.SyncedAt}, stamp{&a.CostAt})
	return a, err
}

// publisher returns an account and locks it until the transaction ends: whatever
// changes its entries or its structure does so alone.
func (t *tx) publisher(id activation.PublisherID) (activation.PublisherAccount, error) {
	a, err := scanPublisher(t.row(`SELECT `+publisherColumns+` FROM publishers p WHERE p.id = $1`+t.d.ForUpdate, id))
	return found(a, err, "publisher account", id)
}

// publisherFace is what the audit log keeps of an account: no values of its settings.
func publisherFace(a activation.PublisherAccount) any {
	return struct {
		Name      string                     `json:"name"`
		Provider  string                     `json:"provider"`
		Auth      activation.AuthorizationID `json:"auth_id"`
		Account   string                     `json:"account"`
		NightlyAt string                     `json:"nightly_at"`
		Config    []string                   `json:"config_keys,omitempty"`
	}{a.Name, a.Provider, a.Authorization, a.Account, a.NightlyAt, keysOf(a.Config)}
}

// nightly is when the sync job of an account runs.
func nightly(a activation.PublisherAccount) activation.Schedule {
	return activation.Schedule{Continuous: true, Frequency: "daily", TimeOfDay: a.NightlyAt, Timezone: a.Timezone}
}

// CreatePublisher stores an account and makes its two jobs of these workflows: the
// sync job daily at NightlyAt in its zone, the post job in real time. A name or
// account that another has is ErrConflict.
func (s *Store) CreatePublisher(ctx context.Context, a activation.PublisherAccount, syncWorkflow, postWorkflow, user string) (made activation.PublisherAccount, err error) {
	err = s.do(ctx, func(t *tx) error {
		made = a
		if made.ID == "" {
			made.ID = activation.NewID[activation.PublisherID]()
		}
		if made.NightlyAt == "" {
			made.NightlyAt = activation.DefaultNightlyAt
		}
		made.CreatedAt, made.UpdatedAt, made.Waiting = t.now, t.now, map[activation.EntryStatus]int64{}
		if err := t.publisherFree(made); err != nil {
			return err
		}
		job := activation.Job{
			Name: made.Name, Workflow: syncWorkflow, Provider: made.Provider, Type: typePublishing, CreatedBy: user, Schedule: nightly(made),
			Config: map[string]string{configPublisher: string(made.ID)}, Authorizations: []activation.AuthorizationID{made.Authorization},
		}
		sync, err := t.createJob(job)
		if err != nil {
			return err
		}
		job.Workflow, job.Schedule = postWorkflow, activation.Schedule{Continuous: true, Frequency: activation.Realtime}
		post, err := t.createJob(job)
		if err != nil {
			return err
		}
		made.SyncJob, made.PostJob = sync.ID, post.ID
		if _, err := t.exec(`INSERT INTO publishers (id, name, provider, auth_id, account, config, currency, timezone, nightly_at, sync_job, post_job, created_at, updated_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $12)`, made.ID, made.Name, made.Provider, made.Authorization, made.Account, encode(settingsOf(made.Config)), made.Currency, made.Timezone, made.NightlyAt,
			made.SyncJob, made.PostJob, t.micros()); err != nil {
			return err
		}
		return t.audit(activation.AuditEntry{Actor: user, Verb: "create", SubjectType: "publisher", SubjectID: string(made.ID), After: encode(publisherFace(made))})
	})
	if err != nil {
		return activation.PublisherAccount{}, fmt.Errorf("link publisher account: %w", err)
	}
	return made, nil
}

// settingsOf is a map that is never nil.
func settingsOf(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

// publisherFree refuses a name or an account that another publisher account has.
func (t *tx) publisherFree(a activation.PublisherAccount) error {
	other, err := collectOne(t, scanPublisher, `SELECT `+publisherColumns+` FROM publishers p WHERE p.id <> $1 AND (p.name = $2 OR p.provider = $3 AND p.account = $4) ORDER BY p.id LIMIT 1`, a.ID, a.Name, a.Provider, a.Account)
	switch {
	case err != nil || other == nil:
		return err
	case other.Name == a.Name:
		return conflict("a publisher account named %q exists already", a.Name)
	}
	return conflict("the account %q is linked already, as %q", a.Account, other.Name)
}

// UpdatePublisher stores name, authorization, config and NightlyAt of an account, and
// brings its jobs in step.
func (s *Store) UpdatePublisher(ctx context.Context, a activation.PublisherAccount, user string) (after activation.PublisherAccount, err error) {
	err = s.do(ctx, func(t *tx) error {
		before, err := t.publisher(a.ID)
		if err != nil {
			return err
		}
		after = before
		after.Name, after.Authorization, after.Config, after.UpdatedAt = a.Name, a.Authorization, settingsOf(a.Config), t.now
		if a.NightlyAt != "" {
			after.NightlyAt = a.NightlyAt
		}
		if err := t.publisherFree(after); err != nil {
			return err
		}
		if _, err := t.exec(`UPDATE publishers SET name = $1, auth_id = $2, config = $3, nightly_at = $4, updated_at = $5 WHERE id = $6`,
			after.Name, after.Authorization, encode(after.Config), after.NightlyAt, t.micros(), after.ID); err != nil {
			return err
		}
		if err := t.jobsInStep(before, after, user); err != nil {
			return err
		}
		if after.Waiting, err = t.waitingOf(after.ID); err != nil {
			return err
		}
		return t.audit(activation.AuditEntry{
			Actor: user, Verb: "update", SubjectType: "publisher", SubjectID: string(after.ID), Before: encode(publisherFace(before)), After: encode(publisherFace(after)),
		})
	})
	if err != nil {
		return activation.PublisherAccount{}, fmt.Errorf("update publisher account %q: %w", a.ID, err)
	}
	return after, nil
}

// jobsInStep gives the jobs of an account what has changed of it.
func (t *tx) jobsInStep(before, after activation.PublisherAccount, user string) error {
	for _, id := range []activation.JobID{after.SyncJob, after.PostJob} {
		j, err := t.job(id)
		if err != nil {
			return err
		}
		next := j
		next.Name, next.Authorizations = after.Name, []activation.AuthorizationID{after.Authorization}
		if id == after.SyncJob {
			next.Schedule = nightly(after)
		}
		if next.Name == j.Name && encode(next.Schedule) == encode(j.Schedule) && before.Authorization == after.Authorization {
			continue
		}
		if err := t.updateJob(j, next, user); err != nil {
			return err
		}
		if before.Authorization != after.Authorization {
			if err := t.wakePasses(id); err != nil {
				return err
			}
		}
	}
	return nil
}

// DeletePublisher deletes an account with structure, log and jobs; ErrConflict while
// one of its entries is processing.
func (s *Store) DeletePublisher(ctx context.Context, id activation.PublisherID, user string) error {
	err := s.do(ctx, func(t *tx) error {
		a, err := t.publisher(id)
		if err != nil {
			return err
		}
		busy, err := t.count(`SELECT count(*) FROM entries WHERE publisher_id = $1 AND status = 'processing' AND operation <> 'upload'`, id)
		if err != nil {
			return err
		}
		if busy > 0 {
			return conflict("%d entries of the account are under way to the publisher; unlink it when their outcome is known", busy)
		}
		if _, err := t.exec(`DELETE FROM publishers WHERE id = $1`, id); err != nil {
			return err
		}
		for _, job := range []activation.JobID{a.SyncJob, a.PostJob} {
			j, err := t.job(job)
			if err != nil {
				return err
			}
			if err := t.deleteJob(j, user); err != nil {
				return err
			}
		}
		return t.audit(activation.AuditEntry{Actor: user, Verb: "delete", SubjectType: "publisher", SubjectID: string(id), Before: encode(publisherFace(a))})
	})
	if err != nil {
		return fmt.Errorf("unlink publisher account %q: %w", id, err)
	}
	return nil
}

// ofPublisher is the ErrConflict that names the publisher account that owns a job, or
// nil.
func (t *tx) ofPublisher(job activation.JobID) error {
	a, err := collectOne(t, scanPublisher, `SELECT `+publisherColumns+` FROM publishers p WHERE p.sync_job = $1 OR p.post_job = $1`, job)
	if err != nil || a == nil {
		return err
	}
	return conflict("the job belongs to the publisher account %q and ends with it; unlink that account, or pause the job", a.Name)
}

// Publisher returns an account, or ErrNotFound.
func (s *Store) Publisher(ctx context.Context, id activation.PublisherID) (activation.PublisherAccount, error) {
	return s.onePublisher(ctx, `p.id = $1`, "publisher account", string(id))
}

// PublisherOfJob returns the account that owns a job, or ErrNotFound.
func (s *Store) PublisherOfJob(ctx context.Context, job activation.JobID) (activation.PublisherAccount, error) {
	return s.onePublisher(ctx, `p.sync_job = $1 OR p.post_job = $1`, "publisher account of job", string(job))
}

func (s *Store) onePublisher(ctx context.Context, which, what, id string) (a activation.PublisherAccount, err error) {
	err = s.view(ctx, func(t *tx) error {
		if a, err = scanPublisher(t.row(`SELECT `+publisherColumns+` FROM publishers p WHERE `+which, id)); err != nil {
			return err
		}
		a.Waiting, err = t.waitingOf(a.ID)
		return err
	})
	return found(a, err, what, id)
}

// Publishers lists the accounts by name.
func (s *Store) Publishers(ctx context.Context) (out []activation.PublisherAccount, err error) {
	err = s.view(ctx, func(t *tx) error {
		rows, err := t.query(`SELECT ` + publisherColumns + ` FROM publishers p ORDER BY p.name`)
		if out, err = collect(rows, err, scanPublisher); err != nil {
			return err
		}
		for i := range out {
			if out[i].Waiting, err = t.waitingOf(out[i].ID); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list publisher accounts: %w", err)
	}
	return out, nil
}

// waitingOf counts the entries of an account that have not ended, by status.
func (t *tx) waitingOf(id activation.PublisherID) (map[activation.EntryStatus]int64, error) {
	rows, err := t.query(`SELECT status, n FROM entry_counts WHERE publisher_id = $1 AND n > 0 AND status IN `+waitingStatuses, id)
	return counts[activation.EntryStatus](rows, err)
}

// SavePublisherInfo stores what the publisher says of currency and zone; the sync job
// runs by the zone.
func (s *Store) SavePublisherInfo(ctx context.Context, id activation.PublisherID, currency, timezone string) error {
	err := s.do(ctx, func(t *tx) error {
		before, err := t.publisher(id)
		if err != nil || before.Currency == currency && before.Timezone == timezone {
			return err
		}
		after := before
		after.Currency, after.Timezone = currency, timezone
		if _, err := t.exec(`UPDATE publishers SET currency = $1, timezone = $2, updated_at = $3 WHERE id = $4`, currency, timezone, t.micros(), id); err != nil {
			return err
		}
		return t.jobsInStep(before, after, systemUser)
	})
	if err != nil {
		return fmt.Errorf("save what the publisher says of account %q: %w", id, err)
	}
	return nil
}

// SaveNightly keeps how far the nightly sync of an account is.
func (s *Store) SaveNightly(ctx context.Context, p activation.Pass, id activation.PublisherID, n activation.Nightly) error {
	return s.posting(ctx, "save the nightly sync of", p, id, func(t *tx, _ activation.PublisherAccount) error {
		_, err := t.exec(`UPDATE publishers SET nightly = $1 WHERE id = $2`, encode(n), id)
		return err
	})
}

// Nightly returns how far the nightly sync of an account is.
func (s *Store) Nightly(ctx context.Context, id activation.PublisherID) (activation.Nightly, error) {
	var n activation.Nightly
	err := s.read.QueryRowContext(ctx, `SELECT p.nightly FROM publishers p WHERE p.id = $1`, id).Scan(object{&n})
	return found(n, err, "publisher account", id)
}

// posting runs fn in a transaction that has locked the account and knows that this
// attempt holds its pass; ErrFenced when it does not.
func (s *Store) posting(ctx context.Context, what string, p activation.Pass, id activation.PublisherID, fn func(t *tx, a activation.PublisherAccount) error) error {
	err := s.do(ctx, func(t *tx) error {
		a, err := t.publisher(id)
		if err != nil {
			return err
		}
		held, err := t.count(`SELECT count(*) FROM passes WHERE id = $1 AND `+heldPass, p.ID, p.Attempt)
		if err != nil || held == 0 {
			return orErr(err, activation.ErrFenced)
		}
		return fn(t, a)
	})
	if err != nil {
		return fmt.Errorf("%s publisher account %q: %w", what, id, err)
	}
	return nil
}

// sparse reads JSON text; that of an empty list or map leaves what it reads into as it
// is, for most are.
type sparse struct{ to any }

func (s sparse) Scan(src any) error {
	var text string
	switch v := src.(type) {
	case string:
		text = v
	case []byte:
		text = string(v)
	case nil:
		return nil
	default:
		return fmt.Errorf("JSON is stored as %T", src)
	}
	if text == "[]" || text == "{}" || text == "null" || text == "" {
		return nil
	}
	if flat(text, s.to) {
		return nil
	}
	return json.Unmarshal([]byte(text), s.to)
}
