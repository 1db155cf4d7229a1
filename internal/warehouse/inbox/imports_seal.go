package inbox

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
)

// Where an import stands may be a value of a person: a cursor, a bookmark of a
// program, the name of a file. It cannot be taken out when they are forgotten, for
// the job would not know where to go on, so it is kept sealed with the job's own key
// and no file holds it as it is. It goes with the next row, a reset, or the job.

// sealedState is the first byte of what is sealed; what was stored before is JSON.
const sealedState = 1

// sealState seals what a source gave; nil stays nil.
func sealState(key, state []byte) ([]byte, error) {
	if state == nil {
		return nil, nil
	}
	aead, err := stateCipher(key)
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, aead.NonceSize())
	_, _ = rand.Read(nonce) // it never fails
	return append([]byte{sealedState}, aead.Seal(nonce, nonce, state, nil)...), nil
}

// sealOlder seals what was stored before it was sealed.
func (b *Inbox) sealOlder(ctx context.Context) error {
	return b.within(ctx, func(ctx context.Context, tx *sql.Tx) error {
		older, err := unsealed(ctx, tx)
		if err != nil {
			return err
		}
		for _, im := range older {
			sealed, err := sealState(im.Key, im.State)
			if err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, `UPDATE imports SET state = $2 WHERE job = $1`, im.Job, sealed); err != nil {
				return err
			}
		}
		return nil
	})
}

// unsealed are the imports whose state is stored as it came.
func unsealed(ctx context.Context, tx *sql.Tx) (out []Import, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT job, key, state FROM imports WHERE length(state) > 0 AND substr(state, 1, 1) <> $1`, []byte{sealedState})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var im Import
		if err := rows.Scan(&im.Job, &im.Key, &im.State); err != nil {
			return nil, err
		}
		out = append(out, im)
	}
	return out, rows.Err()
}

// openState opens what sealState made, and returns what is older as it is.
func openState(key, kept []byte) ([]byte, error) {
	if len(kept) == 0 || kept[0] != sealedState {
		return kept, nil
	}
	aead, err := stateCipher(key)
	if err != nil {
		return nil, err
	}
	sealed := kept[1:]
	if len(sealed) < aead.NonceSize() {
		return nil, errSealedState
	}
	state, err := aead.Open([]byte{}, sealed[:aead.NonceSize()], sealed[aead.NonceSize():], nil)
	if err != nil {
		return nil, errSealedState
	}
	return state, nil
}

var errSealedState = errors.New("where the import stands can't be opened with the key of its job; reset the job")

func stateCipher(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("seal where an import stands: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("seal where an import stands: %w", err)
	}
	return aead, nil
}
