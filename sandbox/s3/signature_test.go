package s3

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/xml"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"usher/sandbox/fault"
)

// The examples of docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html,
// read 2026-11-22.
const (
	exampleAccess = "AKIAIOSFODNN7EXAMPLE"
	exampleSecret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
	nothing       = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
)

type example struct {
	what, method, target string
	header               map[string]string
	body                 string
	signed               string
	signature            string
}

var examples = []example{
	{
		"get an object", "GET", "/test.txt",
		map[string]string{"Range": "bytes=0-9", "X-Amz-Content-Sha256": nothing},
		"",
		"host;range;x-amz-content-sha256;x-amz-date", "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
	},
	{
		"put an object", "PUT", "/test$file.text",
		map[string]string{
			"Date": "Fri, 24 May 2013 00:00:00 GMT", "X-Amz-Storage-Class": "REDUCED_REDUNDANCY",
			"X-Amz-Content-Sha256": "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
		},
		"Welcome to Amazon S3.",
		"date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class", "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
	},
	{
		"get the lifecycle", "GET", "/?lifecycle",
		map[string]string{"X-Amz-Content-Sha256": nothing},
		"",
		"host;x-amz-content-sha256;x-amz-date", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
	},
	{
		"list objects", "GET", "/?max-keys=2&prefix=J",
		map[string]string{"X-Amz-Content-Sha256": nothing},
		"",
		"host;x-amz-content-sha256;x-amz-date", "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
	},
}

func (e example) request() *http.Request {
	r := httptest.NewRequestWithContext(context.Background(), e.method, "http://examplebucket.s3.amazonaws.com"+e.target, strings.NewReader(e.body))
	r.Host = "examplebucket.s3.amazonaws.com"
	for name, v := range e.header {
		r.Header.Set(name, v)
	}
	r.Header.Set("X-Amz-Date", "20130524T000000Z")
	r.Header.Set("Authorization", algorithm+" Credential="+exampleAccess+"/20130524/us-east-1/s3/aws4_request, SignedHeaders="+e.signed+", Signature="+e.signature)
	return r
}

func exampleNetwork(t *testing.T) *Network {
	t.Helper()
	n, err := New(Options{AccessKey: exampleAccess, SecretKey: exampleSecret, Buckets: []string{"examplebucket"}, Domain: "s3.amazonaws.com"}, Deps{
		Log: slog.New(slog.DiscardHandler), Faults: fault.NewPlan(1), Now: func() time.Time { return time.Date(2013, 5, 24, 0, 5, 0, 0, time.UTC) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestPublishedSignatures(t *testing.T) {
	n := exampleNetwork(t)
	for _, e := range examples {
		if err := n.checkSignature(e.request(), []byte(e.body)); err != nil {
			t.Errorf("%s: %s %s", e.what, err.code, err.message)
		}
	}
}

// TestEverySingleChangeIsRefused takes a published request and changes one thing.
func TestEverySingleChangeIsRefused(t *testing.T) {
	n := exampleNetwork(t)
	auth := func(old, now string) func(*http.Request) {
		return func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), old, now, 1))
		}
	}
	for _, tc := range []struct {
		what string
		edit func(*http.Request)
		body string
		code string
	}{
		{"no authorization", func(r *http.Request) { r.Header.Del("Authorization") }, "", "AccessDenied"},
		{"version 2", func(r *http.Request) { r.Header.Set("Authorization", "AWS "+exampleAccess+":x") }, "", "InvalidRequest"},
		{"another key", auth(exampleAccess, "AKIAOTHER"), "", "InvalidAccessKeyId"},
		{"another region", auth("us-east-1", "eu-west-1"), "", "AuthorizationHeaderMalformed"},
		{"another service", auth("/s3/", "/sts/"), "", "AuthorizationHeaderMalformed"},
		{"another day", auth("/20130524/", "/20130525/"), "", "AccessDenied"},
		{"another signature", auth("98ad", "98ae"), "", "SignatureDoesNotMatch"},
		{"a short signature", auth("98ad", "98a"), "", "AuthorizationHeaderMalformed"},
		{"a part twice", auth(", Signature=", ", Signature=x, Signature="), "", "AuthorizationHeaderMalformed"},
		{"the host is not signed", auth("date;host;", "date;"), "", "AuthorizationHeaderMalformed"},
		{"a header less is signed", auth(";x-amz-storage-class", ""), "", "AccessDenied"},
		{"signed headers out of order", auth("date;host", "host;date"), "", "AuthorizationHeaderMalformed"},
		{"another method", func(r *http.Request) { r.Method = http.MethodDelete }, "", "SignatureDoesNotMatch"},
		{"another path", func(r *http.Request) { r.URL.Path = "/test$file.texu" }, "", "SignatureDoesNotMatch"},
		{"a query", func(r *http.Request) { r.URL.RawQuery = "acl" }, "", "SignatureDoesNotMatch"},
		{"another host", func(r *http.Request) { r.Host = "otherbucket.s3.amazonaws.com" }, "", "SignatureDoesNotMatch"},
		{"another header", func(r *http.Request) { r.Header.Set("X-Amz-Storage-Class", "STANDARD") }, "", "SignatureDoesNotMatch"},
		{"a header of s3's that is not signed", func(r *http.Request) { r.Header.Set("X-Amz-Acl", "public-read") }, "", "AccessDenied"},
		{"another time of the day", func(r *http.Request) { r.Header.Set("X-Amz-Date", "20130524T000001Z") }, "", "SignatureDoesNotMatch"},
		{"a time long past", func(r *http.Request) { r.Header.Set("X-Amz-Date", "20130524T002100Z") }, "", "RequestTimeTooSkewed"},
		{"no time", func(r *http.Request) { r.Header.Del("X-Amz-Date") }, "", "AccessDenied"},
		{"a token that nobody asked for", func(r *http.Request) { r.Header.Set("X-Amz-Security-Token", "x") }, "", "InvalidToken"},
		{"another body", func(*http.Request) {}, "Welcome to Amazon S4.", "XAmzContentSHA256Mismatch"},
		{"another digest", func(r *http.Request) { r.Header.Set("X-Amz-Content-Sha256", nothing) }, "", "SignatureDoesNotMatch"},
	} {
		r, body := examples[1].request(), examples[1].body
		tc.edit(r)
		if tc.body != "" {
			body = tc.body
		}
		if err := n.checkSignature(r, []byte(body)); err == nil || err.code != tc.code {
			t.Errorf("%s: got %+v, want %s", tc.what, err, tc.code)
		}
	}
}

// signed makes a request that a client in order would make.
func signed(n *Network, method, target, body string, header map[string]string) *http.Request {
	r := httptest.NewRequestWithContext(context.Background(), method, "http://localhost"+target, strings.NewReader(body))
	r.Host = "localhost:9090"
	sum := sha256.Sum256([]byte(body))
	at := n.deps.Now().UTC()
	r.Header.Set("X-Amz-Content-Sha256", hex.EncodeToString(sum[:]))
	r.Header.Set("X-Amz-Date", at.Format(timeLayout))
	r.Header.Set("Content-Length", "0")
	for name, v := range header {
		r.Header.Set(name, v)
	}
	s := signature{access: n.opts.AccessKey, date: at.Format("20060102"), region: n.opts.Region, headers: []string{"host"}}
	for name := range r.Header {
		if name = strings.ToLower(name); strings.HasPrefix(name, "x-amz-") || name == "content-md5" {
			s.headers = append(s.headers, name)
		}
	}
	slices.Sort(s.headers)
	value := sign(n.opts.SecretKey, s, at, canonical(r, s.headers))
	r.Header.Set("Authorization", algorithm+" Credential="+s.access+"/"+s.date+"/"+s.region+"/s3/aws4_request,SignedHeaders="+strings.Join(s.headers, ";")+",Signature="+value)
	return r
}

func serve(n *Network, r *http.Request) (status int, code, body string) {
	done := httptest.NewRecorder()
	r.Header.Set("Content-Length", header(r))
	n.ServeHTTP(done, r)
	var e struct{ Code string }
	_ = xml.Unmarshal(done.Body.Bytes(), &e) // not every answer is an error
	return done.Code, e.Code, done.Body.String()
}

func header(r *http.Request) string {
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	return strconv.Itoa(len(body))
}

func TestObjects(t *testing.T) {
	n, err := New(Options{MaxBytes: 100}, Deps{Log: slog.New(slog.DiscardHandler), Faults: fault.NewPlan(1), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	const key = "/usher-sandbox/some where/über+1.csv"
	target := (&url.URL{Path: key}).EscapedPath()
	sum, old := sha256.Sum256([]byte("abc")), md5.Sum([]byte("abc"))
	good := map[string]string{"Content-Md5": base64.StdEncoding.EncodeToString(old[:]), "X-Amz-Checksum-Sha256": base64.StdEncoding.EncodeToString(sum[:]), "Content-Type": "text/csv"}
	if status, code, _ := serve(n, signed(n, "PUT", target, "abc", good)); status != 200 {
		t.Fatalf("put: %d %s", status, code)
	}
	list, err := n.Objects()
	if err != nil || len(list) != 1 || list[0].Key != "some where/über+1.csv" || list[0].Type != "text/csv" || list[0].Size != 3 {
		t.Errorf("%+v, %v", list, err)
	}
	for _, tc := range []struct {
		what, method, target, body string
		header                     map[string]string
		status                     int
		code                       string
	}{
		{"a wrong checksum", "PUT", target, "abd", map[string]string{"X-Amz-Checksum-Sha256": good["X-Amz-Checksum-Sha256"]}, 400, "BadDigest"},
		{"a wrong md5", "PUT", target, "abd", map[string]string{"Content-Md5": good["Content-Md5"]}, 400, "BadDigest"},
		{"a stream of chunks", "PUT", target, "abc", map[string]string{"X-Amz-Content-Sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"}, 501, "NotImplemented"},
		{"a large one", "PUT", target, strings.Repeat("a", 101), nil, 400, "EntityTooLarge"},
		{"another bucket", "PUT", "/elsewhere/a", "abc", nil, 404, "NoSuchBucket"},
		{"a new bucket", "PUT", "/elsewhere", "", nil, 403, "AccessDenied"},
		{"one that is not there", "GET", "/usher-sandbox/none", "", nil, 404, "NoSuchKey"},
		{"read", "GET", target, "", nil, 200, ""},
	} {
		if status, code, body := serve(n, signed(n, tc.method, tc.target, tc.body, tc.header)); status != tc.status || code != tc.code {
			t.Errorf("%s: %d %s %s", tc.what, status, code, body)
		}
	}
	if body, ok := n.Object("usher-sandbox", "some where/über+1.csv"); !ok || string(body) != "abc" {
		t.Errorf("it is %q now", body)
	}
}

func TestReadBack(t *testing.T) {
	n, err := New(Options{}, Deps{Log: slog.New(slog.DiscardHandler), Faults: fault.NewPlan(1), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Put(DefaultBucket, "a/b.csv", []byte("x")); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		method, path string
		status       int
		holds        string
	}{
		{"GET", "/objects", 200, `"key":"a/b.csv"`},
		{"GET", "/objects/usher-sandbox/a/b.csv", 200, "x"},
		{"GET", "/objects/usher-sandbox/none", 404, ""},
		{"DELETE", "/objects/usher-sandbox/a/b.csv", 204, ""},
		{"DELETE", "/objects/usher-sandbox/a/b.csv", 404, ""},
		{"GET", "/calls", 200, `"calls":null`},
	} {
		done := httptest.NewRecorder()
		n.Control().ServeHTTP(done, httptest.NewRequestWithContext(context.Background(), tc.method, tc.path, nil))
		if done.Code != tc.status || !strings.Contains(done.Body.String(), tc.holds) {
			t.Errorf("%s %s: %d %s", tc.method, tc.path, done.Code, done.Body)
		}
	}
}
