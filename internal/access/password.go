package access

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"

	"usher/internal/activation"
)

// The length of a password: so many characters at least, and so many bytes at
// most. There is no rule of what must be in it: length is what makes guessing
// costly.
const (
	MinPassword      = 12
	MaxPasswordBytes = 256
)

// CheckPassword says what is wrong with a password for this login, without
// giving it back; nil when nothing is.
func CheckPassword(password, login string) error {
	wrong := func(text string) error {
		return &activation.Error{Kind: activation.Invalid, Code: codePassword, Field: "password", Message: "password: " + text}
	}
	password = norm.NFC.String(password)
	local, _, _ := strings.Cut(login, "@")
	switch {
	case !utf8.ValidString(password):
		return wrong("must be UTF-8 text")
	case utf8.RuneCountInString(password) < MinPassword:
		return wrong(fmt.Sprintf("must have at least %d characters", MinPassword))
	case len(password) > MaxPasswordBytes:
		return wrong(fmt.Sprintf("must not be longer than %d bytes", MaxPasswordBytes))
	case strings.EqualFold(password, login), strings.EqualFold(password, local):
		return wrong("must not be the login")
	}
	return nil
}

// codePassword is the code of a password that is not good enough.
const codePassword = "PASSWORD"

// Cost is what hashing one password costs.
type Cost struct {
	// MemoryKiB is the memory in KiB, Passes how often it is gone over, Lanes
	// how many parts of it may be worked on at once.
	MemoryKiB, Passes uint32
	Lanes             uint8
}

// DefaultCost is the least that OWASP asks of Argon2id
// (cheatsheetseries.owasp.org, Password Storage, read 2026-11-22).
var DefaultCost = Cost{MemoryKiB: 19 << 10, Passes: 2, Lanes: 1}

// below reports whether any part of c is less than that of other.
func (c Cost) below(other Cost) bool {
	return c.MemoryKiB < other.MemoryKiB || c.Passes < other.Passes || c.Lanes < other.Lanes
}

// The lengths of what is made here, in bytes, and bounds on what is read: a
// hash that was tampered with must not take the server's memory or its day.
const (
	saltBytes    = 16
	keyBytes     = 32
	maxMemoryKiB = 1 << 20
	maxPasses    = 100
)

// digest is a hashed password as the PHC string format has it:
// $argon2id$v=19$m=19456,t=2,p=1$salt$hash, both in unpadded base64.
type digest struct {
	cost      Cost
	salt, key []byte
}

// String is the digest as it is stored.
func (d digest) String() string {
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, d.cost.MemoryKiB, d.cost.Passes, d.cost.Lanes,
		base64.RawStdEncoding.EncodeToString(d.salt), base64.RawStdEncoding.EncodeToString(d.key))
}

// errDigest says no more: what is stored is as good as a secret.
var errDigest = errors.New("the stored hash of a password cannot be read")

// parseDigest reads a stored digest. It takes no other form than String makes.
func parseDigest(text string) (digest, error) {
	parts := strings.Split(text, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != "v="+strconv.Itoa(argon2.Version) {
		return digest{}, errDigest
	}
	var d digest
	settings := strings.Split(parts[3], ",")
	if len(settings) != 3 {
		return digest{}, errDigest
	}
	m, okM := number(settings[0], "m=", maxMemoryKiB)
	t, okT := number(settings[1], "t=", maxPasses)
	p, okP := number(settings[2], "p=", math.MaxUint8)
	if !okM || !okT || !okP {
		return digest{}, errDigest
	}
	d.cost = Cost{MemoryKiB: m, Passes: t, Lanes: uint8(p)} //nolint:gosec // number bounds it
	var err1, err2 error
	d.salt, err1 = base64.RawStdEncoding.Strict().DecodeString(parts[4])
	d.key, err2 = base64.RawStdEncoding.Strict().DecodeString(parts[5])
	if err1 != nil || err2 != nil || len(d.salt) < 8 || len(d.salt) > 64 || len(d.key) < 16 || len(d.key) > 64 || d.String() != text {
		return digest{}, errDigest
	}
	return d, nil
}

// number reads a whole number from 1 to most after a prefix.
func number(text, prefix string, most uint32) (uint32, bool) {
	rest, ok := strings.CutPrefix(text, prefix)
	n, err := strconv.ParseUint(rest, 10, 32)
	return uint32(n), ok && err == nil && n >= 1 && n <= uint64(most) //nolint:gosec // ParseUint bounds it
}

// atOnce is how many passwords are hashed at the same time. Each takes the
// memory of its cost: a crowd at the sign-in waits and does not fill the machine.
const atOnce = 2

// waiting is how many more may wait for their turn; the others are sent away.
const waiting = 64

// hasher hashes passwords, few at a time.
type hasher struct {
	cost        Cost
	turn, queue chan struct{}
	// nobody is what is compared for those who are not there, so that they take
	// as long as those who are.
	nobody digest
}

func newHasher(cost Cost) *hasher {
	if cost == (Cost{}) {
		cost = DefaultCost
	}
	h := &hasher{cost: cost, turn: make(chan struct{}, atOnce), queue: make(chan struct{}, atOnce+waiting)}
	h.nobody = digest{cost: cost, salt: random(saltBytes), key: random(keyBytes)}
	return h
}

// hash returns a password as it is stored.
func (h *hasher) hash(ctx context.Context, password string) (string, error) {
	d := digest{cost: h.cost, salt: random(saltBytes)}
	key, err := h.key(ctx, password, d, keyBytes)
	if err != nil {
		return "", err
	}
	d.key = key
	return d.String(), nil
}

// fits reports whether a password is the stored one, and whether it was stored
// at less than today's cost and must be hashed again. A stored "" is nobody's:
// that takes as long, and fits nothing.
func (h *hasher) fits(ctx context.Context, password, stored string) (ok, stale bool, err error) {
	d := h.nobody
	if stored != "" {
		if d, err = parseDigest(stored); err != nil {
			return false, false, err
		}
	}
	key, err := h.key(ctx, password, d, uint32(len(d.key))) //nolint:gosec // parseDigest bounds it
	if err != nil {
		return false, false, err
	}
	same := subtle.ConstantTimeCompare(key, d.key) == 1
	return same && stored != "", d.cost.below(h.cost), nil
}

// key does the work when its turn comes.
func (h *hasher) key(ctx context.Context, password string, d digest, size uint32) ([]byte, error) {
	select {
	case h.queue <- struct{}{}:
		defer func() { <-h.queue }()
	default:
		return nil, &activation.Error{Kind: activation.Unavailable, Code: codeSignIn, Message: "too many people sign in at this moment; try again"}
	}
	select {
	case h.turn <- struct{}{}:
		defer func() { <-h.turn }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	return argon2.IDKey([]byte(norm.NFC.String(password)), d.salt, d.cost.Passes, d.cost.MemoryKiB, d.cost.Lanes, size), nil
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails: crypto/rand panics inside instead
	return b
}
