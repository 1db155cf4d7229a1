package store

import (
	"bytes"
	"database/sql"
	"errors"
	"time"

	"usher/internal/activation"
)

// onceFor is how long an Idempotency-Key is honoured.
const onceFor = 24 * time.Hour

// errKeyUsed is what a key gets that made something else before.
var errKeyUsed = &activation.Error{
	Kind: activation.Invalid, Code: "BADREQ-001", Field: "Idempotency-Key",
	Message: "Idempotency-Key: it was used for another request within the last 24 hours; take a fresh one",
}

// earlier returns what this key made before, "" for nothing.
func (t *tx) earlier(once activation.Once) (string, error) {
	if once.Key == "" {
		return "", nil
	}
	if _, err := t.exec(`DELETE FROM idempotency WHERE person = $1 AND key = $2 AND created_at <= $3`, once.Person, once.Key, t.now.Add(-onceFor).UnixMicro()); err != nil {
		return "", err
	}
	var digest []byte
	var subject string
	err := t.row(`SELECT digest, subject_id FROM idempotency WHERE person = $1 AND key = $2`, once.Person, once.Key).Scan(&digest, &subject)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return "", nil
	case err != nil:
		return "", err
	case !bytes.Equal(digest, once.Digest):
		return "", errKeyUsed
	}
	return subject, nil
}

// remember keeps what a key has made.
func (t *tx) remember(once activation.Once, subject string) error {
	if once.Key == "" {
		return nil
	}
	_, err := t.exec(`INSERT INTO idempotency (person, key, digest, subject_id, created_at) VALUES ($1, $2, $3, $4, $5)`, once.Person, once.Key, once.Digest, subject, t.micros())
	return err
}
