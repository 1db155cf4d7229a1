package access

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"

	"usher/internal/activation"
)

// cheap is a cost for tests.
var cheap = Cost{MemoryKiB: 64, Passes: 1, Lanes: 1}

func TestCheckPassword(t *testing.T) {
	const login = "someone.long@example.com"
	for _, c := range []struct{ name, password, want string }{
		{"long enough", "twelve chars", ""},
		{"one short", "eleven char", "at least 12"},
		{"empty", "", "at least 12"},
		{"characters count, not bytes", "ééééééééééé", "at least 12"},
		{"twelve characters of two bytes", "éééééééééééé", ""},
		{"composed before it is counted", strings.Repeat("e\u0301", 11), "at least 12"},
		{"no rule of composition", "aaaaaaaaaaaa", ""},
		{"spaces are characters", "            ", ""},
		{"the longest", strings.Repeat("x", 256), ""},
		{"too long", strings.Repeat("x", 257), "256 bytes"},
		{"too long in bytes", strings.Repeat("é", 129), "256 bytes"},
		{"the login", login, "must not be the login"},
		{"the login in capitals", strings.ToUpper(login), "must not be the login"},
		{"the login before the @", "someone.long", "must not be the login"},
		{"with the login in it", login + "!", ""},
		{"no text", "twelve chars\xff", "UTF-8"},
	} {
		err := CheckPassword(c.password, login)
		if c.want == "" {
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		var e *activation.Error
		if !errors.As(err, &e) || e.Kind != activation.Invalid || e.Field != "password" || e.Code != "PASSWORD" || !strings.Contains(e.Message, c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		} else if len(c.password) > 3 && c.password != login && strings.Contains(e.Message, c.password) {
			t.Errorf("%s: the message gives the password back", c.name)
		}
	}
}

// TestKnownDigest checks against a hash of another program: the reference
// implementation's (argon2 "somesalt" -id -t 2 -m 16 -p 1, password "password").
func TestKnownDigest(t *testing.T) {
	const stored = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
	h := newHasher(cheap)
	if ok, stale, err := h.fits(t.Context(), "password", stored); !ok || stale || err != nil {
		t.Errorf("the right password: %v %v %v", ok, stale, err)
	}
	if ok, _, err := h.fits(t.Context(), "Password", stored); ok || err != nil {
		t.Errorf("a wrong password: %v %v", ok, err)
	}
}

func TestHash(t *testing.T) {
	h := newHasher(cheap)
	one, err := h.hash(t.Context(), "correct horse battery")
	if err != nil {
		t.Fatal(err)
	}
	two, err := h.hash(t.Context(), "correct horse battery")
	if err != nil || one == two || !strings.HasPrefix(one, "$argon2id$v=19$m=64,t=1,p=1$") || strings.Contains(one, "horse") {
		t.Fatalf("two hashes of one password: %v", err)
	}
	for _, c := range []struct {
		password string
		want     bool
	}{{"correct horse battery", true}, {"correct horse battery ", false}, {"", false}} {
		if ok, stale, err := h.fits(t.Context(), c.password, one); ok != c.want || stale || err != nil {
			t.Errorf("%d characters: %v %v %v", len(c.password), ok, stale, err)
		}
	}
	// However the keyboard composes a letter, it is the same password.
	accented, err := h.hash(t.Context(), "caf\u00e9 au lait !")
	if err != nil {
		t.Fatal(err)
	}
	if ok, _, err := h.fits(t.Context(), "cafe\u0301 au lait !", accented); !ok || err != nil {
		t.Errorf("decomposed: %v %v", ok, err)
	}
	if ok, _, err := h.fits(t.Context(), "", ""); ok || err != nil {
		t.Errorf("nobody's password: %v %v", ok, err)
	}
	dearer := newHasher(Cost{MemoryKiB: 64, Passes: 2, Lanes: 1})
	if ok, stale, err := dearer.fits(t.Context(), "correct horse battery", one); !ok || !stale || err != nil {
		t.Errorf("stored at less than today's cost: %v %v %v", ok, stale, err)
	}
	if newHasher(Cost{}).cost != (Cost{MemoryKiB: 19456, Passes: 2, Lanes: 1}) {
		t.Error("the default cost is not OWASP's")
	}
}

// TestHashingIsBounded: more than the room never hash at once, those who wait
// leave with their request, and a crowd is sent away.
func TestHashingIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHasher(cheap)
		for range atOnce {
			h.turn <- struct{}{}
		}
		ctx, stop := context.WithCancel(t.Context())
		gone := make(chan error, cap(h.queue)+1)
		for range cap(h.queue) {
			go func() { _, err := h.hash(ctx, "x"); gone <- err }()
		}
		synctest.Wait()
		if len(gone) != 0 {
			t.Fatal("somebody did not wait")
		}
		if _, err := h.hash(t.Context(), "x"); activation.KindOf(err) != activation.Unavailable {
			t.Fatalf("one too many: %v", err)
		}
		stop()
		for range cap(h.queue) {
			if err := <-gone; !errors.Is(err, context.Canceled) {
				t.Fatalf("who left: %v", err)
			}
		}
		<-h.turn
		if _, err := h.hash(t.Context(), "x"); err != nil {
			t.Fatalf("with room again: %v", err)
		}
	})
}

// TestDigestRoundTrip: what is written is read, and nothing else is.
func TestDigestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := digest{
			cost: Cost{rapid.Uint32Range(1, maxMemoryKiB).Draw(t, "m"), rapid.Uint32Range(1, maxPasses).Draw(t, "t"), rapid.Uint8Range(1, 255).Draw(t, "p")},
			salt: rapid.SliceOfN(rapid.Byte(), 8, 64).Draw(t, "salt"), key: rapid.SliceOfN(rapid.Byte(), 16, 64).Draw(t, "key"),
		}
		got, err := parseDigest(d.String())
		if err != nil || got.String() != d.String() || got.cost != d.cost {
			t.Fatalf("%s is read as %s, %v", d, got, err)
		}
	})
	ones := bytes.Repeat([]byte{0xff}, 32) // cut anywhere, bits are left over
	good := digest{cost: cheap, salt: ones[:16], key: ones}.String()
	for _, bad := range []string{
		"", "$", "password", strings.Replace(good, "argon2id", "argon2i", 1), strings.Replace(good, "v=19", "v=16", 1), strings.Replace(good, "m=64", "m=0", 1),
		strings.Replace(good, "m=64", "m=4294967296", 1), strings.Replace(good, "m=64", "m=1048577", 1), strings.Replace(good, "t=1", "t=101", 1), strings.Replace(good, "p=1", "p=256", 1),
		strings.Replace(good, "m=64", "m=+64", 1), strings.Replace(good, "m=64", "m=064", 1), strings.Replace(good, "m=64,t=1", "t=1,m=64", 1), good + "$", good + "=", good[:len(good)-1], " " + good,
	} {
		if _, err := parseDigest(bad); !errors.Is(err, errDigest) {
			t.Errorf("%q is taken", bad)
		}
	}
}

func FuzzParseDigest(f *testing.F) {
	f.Add(digest{cost: cheap, salt: random(16), key: random(32)}.String())
	f.Add("$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc")
	f.Add("$argon2id$v=19$m=,t=,p=$$")
	f.Fuzz(func(t *testing.T, text string) {
		d, err := parseDigest(text)
		if err != nil {
			return
		}
		if d.String() != text {
			t.Errorf("%q is written as %q", text, d)
		}
		if d.cost.MemoryKiB == 0 || d.cost.MemoryKiB > maxMemoryKiB || d.cost.Passes == 0 || d.cost.Passes > maxPasses || d.cost.Lanes == 0 {
			t.Errorf("%q costs %+v", text, d.cost)
		}
	})
}
