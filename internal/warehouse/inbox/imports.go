package inbox

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"usher/internal/activation"
)

// importSchema is what imports keep: where each job stands with its source, how
// far files are in of which a part is durable, and the loads whose outcome is not
// counted yet.
const importSchema = `
CREATE TABLE IF NOT EXISTS imports (
	job        TEXT PRIMARY KEY,
	seq        INTEGER NOT NULL,
	state      BLOB,
	digests    TEXT NOT NULL DEFAULT '',
	key        BLOB NOT NULL,
	pass       TEXT NOT NULL DEFAULT '',
	counts     TEXT NOT NULL DEFAULT '{}',
	pieces     INTEGER NOT NULL DEFAULT 0,
	row_count  INTEGER NOT NULL DEFAULT 0,
	last_piece TEXT NOT NULL DEFAULT '',
	updated_at INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS import_positions (
	job      TEXT NOT NULL,
	piece    TEXT NOT NULL,
	version  TEXT NOT NULL,
	position BLOB NOT NULL,
	PRIMARY KEY (job, piece)
);
CREATE TABLE IF NOT EXISTS import_loads (
	load_id TEXT PRIMARY KEY,
	job     TEXT NOT NULL,
	piece   TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS import_loads_job ON import_loads (job);`

// Import is where an import job stands with its source.
type Import struct {
	Job string
	// Seq grows with every change; a commit names the one it was made from.
	Seq int64
	// State is what the source gave last; nil = it begins at the beginning.
	State []byte
	// Digests is the path of the sorted digests of the last whole file, "" = none
	// are kept. They are made with Key, which belongs to the job alone.
	Digests string
	Key     []byte
	// Pass is the pass that the counts belong to.
	Pass   string
	Counts map[string]int64
	// Pieces and Rows are how many are in since the beginning, or the last reset.
	Pieces    int64
	Rows      int64
	LastPiece string
	UpdatedAt time.Time
}

// ImportCommit is what becomes durable in one transaction.
type ImportCommit struct {
	Job string
	// Seq is that of the Import it was made from; where another commit or a reset
	// came between, the error is ErrFenced and nothing is kept.
	Seq  int64
	Pass string
	// Key is stored where the job has none yet.
	Key   []byte
	Loads []Load
	// Counts are added to those of the pass.
	Counts map[string]int64
	// Piece and Version name what was read. Position is how far it is in; nil = to
	// its end, and then State is the state behind it.
	Piece, Version string
	Position       []byte
	State          []byte
	// Digests is the file, as NewDigests named it, that takes the place of the last
	// one; "" = that one stays.
	Digests string
}

// Import returns where a job stands. One that never imported anything has only
// its name.
func (b *Inbox) Import(ctx context.Context, job string) (Import, error) {
	im := Import{Job: job, Counts: map[string]int64{}}
	var counts string
	var updated int64
	err := b.db.QueryRowContext(ctx, `SELECT seq, state, digests, key, pass, counts, pieces, row_count, last_piece, updated_at FROM imports WHERE job = $1`, job).
		Scan(&im.Seq, &im.State, &im.Digests, &im.Key, &im.Pass, &counts, &im.Pieces, &im.Rows, &im.LastPiece, &updated)
	if errors.Is(err, sql.ErrNoRows) {
		return im, nil
	}
	if err == nil {
		err = json.Unmarshal([]byte(counts), &im.Counts)
	}
	if err == nil {
		im.State, err = openState(im.Key, im.State)
	}
	if err != nil {
		return Import{}, fmt.Errorf("read import: %w", err)
	}
	im.UpdatedAt = time.UnixMicro(updated).UTC()
	if im.Digests != "" {
		im.Digests = filepath.Join(b.imports, im.Digests)
	}
	return im, nil
}

// ImportPosition returns how far a piece of this version is in; nil = nothing of
// it is.
func (b *Inbox) ImportPosition(ctx context.Context, job, piece, version string) ([]byte, error) {
	var position []byte
	err := b.db.QueryRowContext(ctx, `SELECT position FROM import_positions WHERE job = $1 AND piece = $2 AND version = $3`, job, piece, version).Scan(&position)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("read import position: %w", err)
	}
	return position, nil
}

// CommitImport makes loads and the state of their import durable, all or nothing.
func (b *Inbox) CommitImport(ctx context.Context, c ImportCommit) error {
	if err := context.Cause(ctx); err != nil {
		return fmt.Errorf("commit import: %w", err)
	}
	var old string
	err := b.within(context.WithoutCancel(ctx), func(ctx context.Context, tx *sql.Tx) (err error) {
		old, err = b.commitImport(ctx, tx, c)
		return err
	})
	if errors.Is(err, activation.ErrFenced) {
		return fmt.Errorf("commit import: %w", err)
	}
	if err != nil {
		return diskError("commit import", err)
	}
	b.notify()
	if old != "" && old != filepath.Base(c.Digests) {
		if err := remove(filepath.Join(b.imports, old)); err != nil {
			b.log.WarnContext(ctx, "digests of an earlier file stay until the next start", "error", err)
		}
	}
	return nil
}

// commitImport returns the name of the digests that are not needed any more.
func (b *Inbox) commitImport(ctx context.Context, tx *sql.Tx, c ImportCommit) (old string, err error) {
	var im Import
	var counts string
	err = tx.QueryRowContext(ctx, `SELECT seq, state, digests, key, pass, counts, pieces, row_count, last_piece FROM imports WHERE job = $1`, c.Job).
		Scan(&im.Seq, &im.State, &im.Digests, &im.Key, &im.Pass, &counts, &im.Pieces, &im.Rows, &im.LastPiece)
	if errors.Is(err, sql.ErrNoRows) {
		err, im.Key = nil, c.Key
	}
	if err != nil {
		return "", err
	}
	if im.Seq != c.Seq {
		return "", activation.ErrFenced
	}
	if im.Counts, err = passCounts(im.Pass, counts, c.Pass); err != nil {
		return "", err
	}
	for name, n := range c.Counts {
		im.Counts[name] += n
	}
	if err := b.insertLoads(ctx, tx, c.Loads); err != nil {
		return "", err
	}
	for _, l := range c.Loads {
		if _, err := tx.ExecContext(ctx, `INSERT INTO import_loads (load_id, job, piece) VALUES ($1, $2, $3)`, l.ID, c.Job, c.Piece); err != nil {
			return "", err
		}
		im.Rows += l.Rows
	}
	if c.Position == nil {
		if im.State, err = sealState(im.Key, c.State); err != nil {
			return "", err
		}
		im.LastPiece, im.Pieces = c.Piece, im.Pieces+1
		_, err = tx.ExecContext(ctx, `DELETE FROM import_positions WHERE job = $1 AND piece = $2`, c.Job, c.Piece)
	} else {
		_, err = tx.ExecContext(ctx, `INSERT INTO import_positions (job, piece, version, position) VALUES ($1, $2, $3, $4)
			ON CONFLICT (job, piece) DO UPDATE SET version = excluded.version, position = excluded.position`, c.Job, c.Piece, c.Version, c.Position)
	}
	if err != nil {
		return "", err
	}
	digests := im.Digests
	if c.Digests != "" {
		digests, old = filepath.Base(c.Digests), im.Digests
	}
	text, err := json.Marshal(im.Counts)
	if err != nil {
		return "", err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO imports (job, seq, state, digests, key, pass, counts, pieces, row_count, last_piece, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
		ON CONFLICT (job) DO UPDATE SET seq = excluded.seq, state = excluded.state, digests = excluded.digests, pass = excluded.pass, counts = excluded.counts,
			pieces = excluded.pieces, row_count = excluded.row_count, last_piece = excluded.last_piece, updated_at = excluded.updated_at`,
		c.Job, im.Seq+1, im.State, digests, im.Key, c.Pass, string(text), im.Pieces, im.Rows, im.LastPiece, b.now().UnixMicro())
	return old, err
}

// passCounts are the counts of a pass: those that are kept where they are its,
// else none.
func passCounts(of, text, pass string) (map[string]int64, error) {
	counts := map[string]int64{}
	if of != pass || text == "" {
		return counts, nil
	}
	return counts, json.Unmarshal([]byte(text), &counts)
}

// SettleImport counts what became of the loads of a job that are merged or given
// up by now, each once, whichever pass brought them: result names what is counted
// of one. It returns the counts of the pass, how many loads still wait, and those
// that were given up.
func (b *Inbox) SettleImport(ctx context.Context, job, pass string, result func(Load) map[string]int64) (counts map[string]int64, waiting int64, failed []Load, err error) {
	err = b.within(context.WithoutCancel(ctx), func(ctx context.Context, tx *sql.Tx) error {
		var of, text string
		err := tx.QueryRowContext(ctx, `SELECT pass, counts FROM imports WHERE job = $1`, job).Scan(&of, &text)
		if errors.Is(err, sql.ErrNoRows) {
			counts = map[string]int64{}
			return nil
		}
		if err != nil {
			return err
		}
		if counts, err = passCounts(of, text, pass); err != nil {
			return err
		}
		settled, err := b.settled(ctx, tx, job)
		if err != nil {
			return err
		}
		for _, l := range settled {
			if l.Status == Failed {
				failed = append(failed, l)
			}
			for name, n := range result(l) {
				counts[name] += n
			}
			if _, err := tx.ExecContext(ctx, `DELETE FROM import_loads WHERE load_id = $1`, l.ID); err != nil {
				return err
			}
		}
		// What was discarded, or is out of the history, counts for nothing any more.
		if _, err := tx.ExecContext(ctx, `DELETE FROM import_loads WHERE job = $1 AND load_id NOT IN (SELECT id FROM loads)`, job); err != nil {
			return err
		}
		if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM import_loads WHERE job = $1`, job).Scan(&waiting); err != nil {
			return err
		}
		done, err := json.Marshal(counts)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `UPDATE imports SET pass = $2, counts = $3 WHERE job = $1`, job, pass, string(done))
		return err
	})
	if err != nil {
		return nil, 0, nil, diskError("settle import", err)
	}
	return counts, waiting, failed, nil
}

func (b *Inbox) settled(ctx context.Context, tx *sql.Tx, job string) (out []Load, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT `+columns+` FROM loads WHERE status <> 'pending' AND id IN (SELECT load_id FROM import_loads WHERE job = $1) ORDER BY n`, job)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		l, err := b.scan(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, l)
	}
	return out, rows.Err()
}

// ResetImport makes a job begin at the beginning of its source. A commit that was
// begun before is refused. Loads that are in stay.
func (b *Inbox) ResetImport(ctx context.Context, job string) error {
	var old string
	err := b.within(ctx, func(ctx context.Context, tx *sql.Tx) error {
		err := tx.QueryRowContext(ctx, `SELECT digests FROM imports WHERE job = $1`, job).Scan(&old)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `UPDATE imports SET seq = seq + 1, state = NULL, digests = '', pieces = 0, row_count = 0, last_piece = '', updated_at = $2 WHERE job = $1`, job, b.now().UnixMicro()); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `DELETE FROM import_positions WHERE job = $1`, job)
		return err
	})
	if err != nil {
		return diskError("reset import", err)
	}
	b.notify()
	if old == "" {
		return nil
	}
	if err := remove(filepath.Join(b.imports, old)); err != nil {
		return fmt.Errorf("remove digests: %w", err)
	}
	return nil
}

// ForgetImport forgets a job altogether, as when it was deleted.
func (b *Inbox) ForgetImport(ctx context.Context, job string) error {
	if err := b.ResetImport(ctx, job); err != nil {
		return err
	}
	for _, text := range []string{`DELETE FROM imports WHERE job = $1`, `DELETE FROM import_loads WHERE job = $1`} {
		if _, err := b.exec(ctx, text, job); err != nil {
			return diskError("forget import", err)
		}
	}
	return nil
}

// within runs fn in a transaction.
func (b *Inbox) within(ctx context.Context, fn func(ctx context.Context, tx *sql.Tx) error) (err error) {
	tx, err := b.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, rollback(tx))
		}
	}()
	if err := fn(ctx, tx); err != nil {
		return err
	}
	return tx.Commit()
}
