package s3drop_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/outbound"
	"usher/internal/provider"
	"usher/internal/provider/drop"
	"usher/internal/provider/drop/s3drop"
	"usher/internal/provider/s3/s3test"
	"usher/sandbox/fault"
	"usher/sandbox/s3"
)

func deps(n *s3test.Network, change map[string]string) provider.Deps {
	d := n.Deps()
	d.Config = map[string]string{}
	for name, v := range change {
		switch name {
		case "prefix":
			d.Config[name] = v
		case "account":
			d.Account = v
		default:
			d.Auth[name] = provider.Secret(v)
		}
	}
	d.Log, d.Now = slog.New(slog.DiscardHandler), time.Now
	d.HTTP = outbound.New(outbound.Config{AllowedHosts: n.Hosts(), Log: d.Log, Now: d.Now, Timeout: time.Minute})
	return d
}

// open opens a stand-in and the drop of its bucket.
func open(t *testing.T, o s3.Options, change map[string]string) (*s3test.Network, drop.Drop) {
	t.Helper()
	n, err := s3test.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	d := deps(n, change)
	t.Cleanup(d.HTTP.CloseIdleConnections)
	p, err := s3drop.New(d, d.Account)
	if err != nil {
		t.Fatal(err)
	}
	session, err := p.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return n, session
}

func put(ctx context.Context, d drop.Drop) error {
	return d.Put(ctx, drop.File{Name: "a.csv.sha256", Body: []byte("side"), Beside: true}, drop.File{Name: "a.csv", Body: []byte("body"), Type: "text/csv; charset=utf-8"})
}

// TestAnswers is what S3 says, by its code, and what it asks for.
func TestAnswers(t *testing.T) {
	say := func(status int, code string) fault.Fault {
		return fault.Fault{Kind: fault.Error, Code: 1, Status: status, Message: code}
	}
	for _, tc := range []struct {
		what    string
		fault   fault.Fault
		kind    activation.Kind
		code    string
		applied bool
	}{
		{"the key is not known", say(403, "InvalidAccessKeyId"), activation.Unauthorized, "S3-AUTH", false},
		{"the signature does not match", say(403, "SignatureDoesNotMatch"), activation.Unauthorized, "S3-AUTH", false},
		{"the token has ended", say(400, "ExpiredToken"), activation.Unauthorized, "S3-AUTH", false},
		{"denied", say(403, "AccessDenied"), activation.Invalid, "S3-PERMISSION", false},
		{"a 403 without a reason", say(403, "Whatever"), activation.Invalid, "S3-PERMISSION", false},
		{"a 401 without a reason", say(401, "Whatever"), activation.Unauthorized, "S3-AUTH", false},
		{"no bucket", fault.Fault{Kind: fault.Gone}, activation.Invalid, "S3-BUCKET", false},
		{"another region", say(400, "AuthorizationHeaderMalformed"), activation.Invalid, "S3-REGION", false},
		{"elsewhere", say(301, "PermanentRedirect"), activation.Invalid, "S3-REGION", false},
		{"a wrong clock", say(403, "RequestTimeTooSkewed"), activation.Unavailable, "S3-CLOCK", false},
		{"slow down", fault.Fault{Kind: fault.Throttle, Minutes: 3}, activation.WaitUntil, "S3-THROTTLE", false},
		{"429", say(429, "Whatever"), activation.WaitUntil, "S3-THROTTLE", false},
		{"an internal error", fault.Fault{Kind: fault.Status}, activation.Unavailable, "S3-UNAVAILABLE", true},
		{"503", fault.Fault{Kind: fault.Status, Status: 503}, activation.Unavailable, "S3-UNAVAILABLE", true},
		{"a page, all is well", fault.Fault{Kind: fault.HTML, Status: 200}, activation.Unavailable, "S3-UNAVAILABLE", true},
		{"a page, forbidden", fault.Fault{Kind: fault.HTML, Status: 403}, activation.Unavailable, "S3-UNAVAILABLE", true},
		{"other bytes", say(400, "BadDigest"), activation.Unavailable, "S3-CHECKSUM", false},
		{"too large", say(400, "EntityTooLarge"), activation.RefusedWhole, "S3-SIZE", false},
		{"413", say(413, "Whatever"), activation.RefusedWhole, "S3-SIZE", false},
		{"a reason nobody knows", say(400, "Whatever"), activation.Invalid, "S3-REQUEST", false},
		{"cut before an answer", fault.Fault{Kind: fault.Cut}, activation.Unavailable, "OUTBOUND-NOANSWER", true},
		{"cut within the answer", fault.Fault{Kind: fault.Cut, Applied: true}, activation.Unavailable, "OUTBOUND-NOANSWER", true},
	} {
		t.Run(tc.what, func(t *testing.T) {
			n, d := open(t, s3.Options{}, nil)
			tc.fault.Network, tc.fault.Path = "s3", "*/a.csv"
			n.Script(tc.fault)
			err := put(t.Context(), d)
			var e *activation.Error
			if !errors.As(err, &e) || e.Kind != tc.kind || e.Code != tc.code || e.MayHaveApplied != tc.applied {
				t.Fatalf("got %v, may have applied %t", err, e != nil && e.MayHaveApplied)
			}
			if tc.kind == activation.WaitUntil {
				if wait := time.Until(e.Until); wait < 50*time.Second || wait > 4*time.Minute {
					t.Errorf("waits %v", wait)
				}
			}
			if strings.Contains(err.Error(), s3.DefaultSecretKey) || strings.Contains(err.Error(), "127.0.0.1") {
				t.Errorf("the error says too much: %v", err)
			}
			if err := put(t.Context(), d); err != nil {
				t.Errorf("again: %v", err)
			}
		})
	}
}

// TestWhatCameBefore: of several files the first have appeared.
func TestWhatCameBefore(t *testing.T) {
	for what, f := range map[string]fault.Fault{
		"refused":   {Kind: fault.Error, Code: 1, Status: 403, Message: "AccessDenied"},
		"too large": {Kind: fault.Error, Code: 1, Status: 400, Message: "EntityTooLarge"},
	} {
		n, d := open(t, s3.Options{}, nil)
		f.Network, f.Path = "s3", "*/b.csv"
		n.Script(f)
		err := d.Put(t.Context(), drop.File{Name: "a.csv", Body: []byte("a")}, drop.File{Name: "b.csv", Body: []byte("b")})
		var e *activation.Error
		if !errors.As(err, &e) || !e.MayHaveApplied || e.Kind == activation.RefusedWhole {
			t.Errorf("%s: %v", what, err)
		}
	}
	n, d := open(t, s3.Options{}, nil)
	n.Script(fault.Fault{Network: "s3", Path: "*.sha256", Kind: fault.Status, Applied: true})
	var e *activation.Error
	if err := put(t.Context(), d); !errors.As(err, &e) || e.MayHaveApplied {
		t.Errorf("a side file alone is nothing: %v", err)
	}
}

func TestObjectsAreWhatWasSent(t *testing.T) {
	n, d := open(t, s3.Options{}, map[string]string{"prefix": "/a b/ü+/"})
	if err := put(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	list, err := n.Box.Objects()
	if err != nil || len(list) != 2 {
		t.Fatalf("%+v, %v", list, err)
	}
	o := list[0]
	if o.Key != "a b/ü+/a.csv" || o.Type != "text/csv; charset=utf-8" || o.Checksum == "" {
		t.Errorf("%+v", o)
	}
}

func TestDrop(t *testing.T) {
	n, d := open(t, s3.Options{}, map[string]string{"prefix": "in"})
	ctx := t.Context()
	for _, body := range []string{"old", "newer"} {
		if err := d.Put(ctx, drop.File{Name: "b.csv", Body: []byte(body)}, drop.File{Name: "a.csv", Body: []byte("a")}); err != nil {
			t.Fatal(err)
		}
	}
	if err := n.Box.Put(s3.DefaultBucket, "in/deeper/b.csv", nil); err != nil {
		t.Fatal(err)
	}
	if err := n.Box.Put(s3.DefaultBucket, "b.csv", nil); err != nil {
		t.Fatal(err)
	}
	list, err := d.List(ctx, "b")
	if err != nil || len(list) != 1 || list[0].Name != "b.csv" || list[0].Size != 5 {
		t.Errorf("list: %+v, %v", list, err)
	}
	in, err := d.Open(ctx, "b.csv")
	if err != nil {
		t.Fatal(err)
	}
	var body bytes.Buffer
	if _, err := body.ReadFrom(in); err != nil || body.String() != "newer" || in.Close() != nil {
		t.Errorf("read %q, %v", body.String(), err)
	}
	if err := d.Rename(ctx, "b.csv", "a.csv"); err != nil {
		t.Error(err)
	}
	if info, ok, err := d.Stat(ctx, "a.csv"); !ok || err != nil || info.Size != 5 {
		t.Errorf("the new name: %+v, %t, %v", info, ok, err)
	}
	if _, ok, err := d.Stat(ctx, "b.csv"); ok || err != nil {
		t.Errorf("the old name: %t, %v", ok, err)
	}
	for range 2 {
		if err := d.Remove(ctx, "a.csv"); err != nil {
			t.Errorf("remove: %v", err)
		}
	}
	if _, err := d.Open(ctx, "none.csv"); err == nil {
		t.Error("a file that is not there was read")
	}
}

// TestCheck asks and writes nothing.
func TestCheck(t *testing.T) {
	for _, tc := range []struct {
		what    string
		options s3.Options
		change  map[string]string
		code    string
	}{
		{"right", s3.Options{}, nil, ""},
		{"a session token", s3.Options{SessionToken: "token-1"}, map[string]string{"session_token": "token-1"}, ""},
		{"the session token is missing", s3.Options{SessionToken: "token-1"}, nil, "S3-AUTH"},
		{"another secret", s3.Options{SecretKey: "other"}, nil, "S3-AUTH"},
		{"another key", s3.Options{AccessKey: "OTHER"}, nil, "S3-AUTH"},
		{"another region", s3.Options{Region: "eu-central-1"}, nil, "S3-REGION"},
		{"the region", s3.Options{Region: "eu-central-1"}, map[string]string{"region": "eu-central-1"}, ""},
		{"another bucket", s3.Options{}, map[string]string{"account": "another-bucket"}, "S3-BUCKET"},
	} {
		n, d := open(t, tc.options, tc.change)
		err := d.Check(t.Context())
		if err == nil && tc.code != "" || err != nil && activation.CodeOf(err) != tc.code {
			t.Errorf("%s: %v", tc.what, err)
		}
		if all, writes := n.Box.Counts(); all != 1 || writes != 0 {
			t.Errorf("%s: %d calls, %d that change something", tc.what, all, writes)
		}
	}
}

// TestBucketInTheHost is virtual-hosted addressing, where names lead to the
// stand-in.
func TestBucketInTheHost(t *testing.T) {
	n, err := s3test.Open(s3.Options{Domain: "s3.example.com"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	server := httptest.NewTLSServer(n.Box)
	t.Cleanup(server.Close)
	d := deps(n, map[string]string{"endpoint": "https://s3.example.com", "addressing": "host"})
	var dialled []string
	client := server.Client()
	transport, _ := client.Transport.(*http.Transport)
	transport.TLSClientConfig = &tls.Config{RootCAs: transport.TLSClientConfig.RootCAs, ServerName: "example.com", MinVersion: tls.VersionTLS12}
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		dialled = append(dialled, address)
		return (&net.Dialer{}).DialContext(ctx, network, server.Listener.Addr().String())
	}
	d.HTTP = client
	p, err := s3drop.New(d, d.Account)
	if err != nil {
		t.Fatal(err)
	}
	session, err := p.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := put(t.Context(), session); err != nil {
		t.Fatal(err)
	}
	if got := slices.Sorted(maps.Keys(n.Folder())); !slices.Equal(got, []string{"a.csv", "a.csv.sha256"}) || !slices.Contains(dialled, s3.DefaultBucket+".s3.example.com:443") {
		t.Errorf("there are %q, dialled %q", got, dialled)
	}
}

func TestWrongSettingsNameTheirField(t *testing.T) {
	n, err := s3test.Open(s3.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	for _, tc := range []struct{ field, value string }{
		{"endpoint", ""},
		{"endpoint", "s3.amazonaws.com"},
		{"endpoint", "ftp://host"},
		{"endpoint", "https://user:pass@host"},
		{"endpoint", "https://host?x=y"},
		{"endpoint", "https://under_score!/"},
		{"region", "EU West"},
		{"access_key", ""},
		{"access_key", "a/b"},
		{"secret_key", ""},
		{"secret_key", "a b"},
		{"session_token", "a\nb"},
		{"addressing", "x"},
		{"account", ""},
		{"account", "Upper"},
		{"account", "../etc"},
		{"account", "a..b"},
		{"prefix", "a/../b"},
		{"prefix", "a//b"},
		{"prefix", "a\nb"},
	} {
		d := deps(n, map[string]string{tc.field: tc.value})
		_, err := s3drop.New(d, d.Account)
		var e *activation.Error
		if !errors.As(err, &e) || e.Kind != activation.Invalid || e.Code != "S3-SETTINGS" || e.Field != tc.field {
			t.Errorf("%s %q: %v", tc.field, tc.value, err)
		}
	}
}

// TestNothingSecretIsPrinted looks at a place as a log line would.
func TestNothingSecretIsPrinted(t *testing.T) {
	_, d := open(t, s3.Options{}, nil)
	if text := fmt.Sprintf("%v %+v %#v", d, d, d); strings.Contains(text, s3.DefaultSecretKey) || strings.Contains(text, s3.DefaultAccessKey) {
		t.Errorf("printed: %s", text)
	}
}

// TestTheGuardHolds: an address inside the own network is not reached, nor one
// without https.
func TestTheGuardHolds(t *testing.T) {
	n, err := s3test.Open(s3.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	for _, endpoint := range []string{"https://" + n.Hosts()[0], "http://" + n.Hosts()[0]} {
		d := deps(n, map[string]string{"endpoint": endpoint})
		d.HTTP = outbound.New(outbound.Config{Log: d.Log, Now: d.Now})
		p, err := s3drop.New(d, d.Account)
		if err != nil {
			t.Fatal(err)
		}
		session, err := p.Connect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var e *activation.Error
		if err := put(t.Context(), session); !errors.As(err, &e) || e.Code != outbound.CodeAddress || e.MayHaveApplied {
			t.Errorf("%s: %v", endpoint, err)
		}
	}
	if n.Calls() != 0 {
		t.Error("it was called")
	}
}
