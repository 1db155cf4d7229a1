package s3

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// apiError is an error of S3.
type apiError struct {
	status  int
	code    string
	message string
}

// maxSkew is how far a request's clock may be off (ErrorResponses,
// RequestTimeTooSkewed).
const maxSkew = 15 * time.Minute

const (
	algorithm  = "AWS4-HMAC-SHA256"
	unsigned   = "UNSIGNED-PAYLOAD"
	timeLayout = "20060102T150405Z"
)

// signature is what an Authorization header says.
type signature struct {
	access, date, region string
	headers              []string
	value                string
}

// parseSignature reads an Authorization header.
func parseSignature(header string) (signature, *apiError) {
	malformed := &apiError{http.StatusBadRequest, "AuthorizationHeaderMalformed", "The authorization header is malformed."}
	var s signature
	rest, ok := strings.CutPrefix(header, algorithm+" ")
	if header == "" {
		return s, &apiError{http.StatusForbidden, "AccessDenied", "Access Denied"}
	}
	if !ok {
		return s, &apiError{http.StatusBadRequest, "InvalidRequest", "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256."}
	}
	parts := map[string]string{}
	for part := range strings.SplitSeq(rest, ",") {
		name, value, ok := strings.Cut(strings.TrimSpace(part), "=")
		if _, twice := parts[name]; !ok || twice {
			return s, malformed
		}
		parts[name] = value
	}
	scope := strings.Split(parts["Credential"], "/")
	if len(parts) != 3 || len(scope) != 5 || scope[3] != "s3" || scope[4] != "aws4_request" || len(parts["Signature"]) != 64 {
		return s, malformed
	}
	s = signature{access: scope[0], date: scope[1], region: scope[2], headers: strings.Split(parts["SignedHeaders"], ";"), value: parts["Signature"]}
	if !slices.IsSorted(s.headers) || !slices.Contains(s.headers, "host") {
		return s, malformed
	}
	return s, nil
}

// checkSignature says what is wrong with who signed the request, and with its
// body.
func (n *Network) checkSignature(r *http.Request, body []byte) *apiError {
	s, err := parseSignature(r.Header.Get("Authorization"))
	if err != nil {
		return err
	}
	at, parseErr := time.Parse(timeLayout, r.Header.Get("X-Amz-Date"))
	switch {
	case parseErr != nil || at.Format("20060102") != s.date:
		return &apiError{http.StatusForbidden, "AccessDenied", "AWS authentication requires a valid Date or x-amz-date header"}
	case s.access != n.opts.AccessKey:
		return &apiError{http.StatusForbidden, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records."}
	case s.region != n.opts.Region:
		return &apiError{http.StatusBadRequest, "AuthorizationHeaderMalformed", "The authorization header is malformed; the region '" + s.region + "' is wrong; expecting '" + n.opts.Region + "'"}
	case n.deps.Now().Sub(at).Abs() > maxSkew:
		return &apiError{http.StatusForbidden, "RequestTimeTooSkewed", "The difference between the request time and the current time is too large."}
	case n.opts.SessionToken != r.Header.Get("X-Amz-Security-Token"):
		return &apiError{http.StatusBadRequest, "InvalidToken", "The provided token is malformed or otherwise invalid."}
	}
	for name := range r.Header {
		// Every header of S3's own must be signed, or somebody in between could
		// change it.
		if name = strings.ToLower(name); (strings.HasPrefix(name, "x-amz-") || name == "content-md5") && !slices.Contains(s.headers, name) {
			return &apiError{http.StatusForbidden, "AccessDenied", "There were headers present in the request which were not signed"}
		}
	}
	want := sign(n.opts.SecretKey, s, at, canonical(r, s.headers))
	if !hmac.Equal([]byte(want), []byte(s.value)) {
		return &apiError{http.StatusForbidden, "SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided."}
	}
	return checkBody(r.Header, body)
}

// checkBody compares the body with what the headers promise.
func checkBody(h http.Header, body []byte) *apiError {
	sum := sha256.Sum256(body)
	switch promised := h.Get("X-Amz-Content-Sha256"); {
	case promised == "":
		return &apiError{http.StatusBadRequest, "InvalidRequest", "Missing required header for this request: x-amz-content-sha256"}
	case strings.HasPrefix(promised, "STREAMING-"):
		return &apiError{http.StatusNotImplemented, "NotImplemented", "A header you provided implies functionality that is not implemented."}
	case promised != unsigned && promised != hex.EncodeToString(sum[:]):
		return &apiError{http.StatusBadRequest, "XAmzContentSHA256Mismatch", "The provided 'x-amz-content-sha256' header does not match what was computed."}
	}
	if promised := h.Get("X-Amz-Checksum-Sha256"); promised != "" && promised != base64.StdEncoding.EncodeToString(sum[:]) {
		return &apiError{http.StatusBadRequest, "BadDigest", "The SHA256 you specified did not match the calculated checksum."}
	}
	return nil
}

// canonical is the canonical request.
func canonical(r *http.Request, signed []string) string {
	var b strings.Builder
	b.WriteString(r.Method + "\n" + encode(r.URL.Path, true) + "\n")
	var pairs []string
	for name, values := range r.URL.Query() {
		for _, v := range values {
			pairs = append(pairs, encode(name, false)+"="+encode(v, false))
		}
	}
	slices.Sort(pairs)
	b.WriteString(strings.Join(pairs, "&") + "\n")
	for _, name := range signed {
		values := r.Header.Values(name)
		if name == "host" {
			values = []string{r.Host}
		}
		trimmed := make([]string, len(values))
		for i, v := range values {
			trimmed[i] = strings.Join(strings.Fields(v), " ")
		}
		b.WriteString(name + ":" + strings.Join(trimmed, ",") + "\n")
	}
	b.WriteString("\n" + strings.Join(signed, ";") + "\n" + r.Header.Get("X-Amz-Content-Sha256"))
	return b.String()
}

// sign is the signature of a canonical request.
func sign(secret string, s signature, at time.Time, request string) string {
	scope := s.date + "/" + s.region + "/s3/aws4_request"
	sum := sha256.Sum256([]byte(request))
	text := algorithm + "\n" + at.Format(timeLayout) + "\n" + scope + "\n" + hex.EncodeToString(sum[:])
	key := mac([]byte("AWS4"+secret), s.date)
	for _, part := range []string{s.region, "s3", "aws4_request"} {
		key = mac(key, part)
	}
	return hex.EncodeToString(mac(key, text))
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// encode is the URI encoding of the specification, which leaves A-Z, a-z, 0-9,
// hyphen, dot, underscore and tilde, and in paths the slash.
func encode(text string, path bool) string {
	var b strings.Builder
	for i := range len(text) {
		switch c := text[i]; {
		case c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '-', c == '.', c == '_', c == '~', path && c == '/':
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// bucketOf takes the bucket out of a host name below domain.
func bucketOf(host, domain string) (string, bool) {
	if u, err := url.Parse("//" + host); err == nil {
		host = u.Hostname()
	}
	return strings.CutSuffix(host, "."+domain)
}
