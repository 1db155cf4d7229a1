package s3drop

import (
	"mime"
	"net/http"
	"regexp"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/minio/minio-go/v7"

	"usher/internal/activation"
	"usher/internal/outbound"
)

// The classes of error; each has a page in docs/troubleshooting.
const (
	codeAuth        = "S3-AUTH"
	codePermission  = "S3-PERMISSION"
	codeBucket      = "S3-BUCKET"
	codeRegion      = "S3-REGION"
	codeClock       = "S3-CLOCK"
	codeThrottle    = "S3-THROTTLE"
	codeUnavailable = "S3-UNAVAILABLE"
	codeAnswer      = "S3-ANSWER"
	codeChecksum    = "S3-CHECKSUM"
	codeSize        = "S3-SIZE"
	codeRequest     = "S3-REQUEST"
	codeSettings    = "S3-SETTINGS"
)

// throttleWait is how long calls wait where S3 names no time. It names none.
const throttleWait = time.Minute

// class is what a code of S3 asks for.
type class struct {
	code    string
	kind    activation.Kind
	message string
	field   string
}

var (
	classAuth        = class{codeAuth, activation.Unauthorized, "s3 does not accept the access key", ""}
	classPermission  = class{codePermission, activation.Invalid, "the access key may not do this in the bucket", "account"}
	classBucket      = class{codeBucket, activation.Invalid, "there is no such bucket at the endpoint", "account"}
	classRegion      = class{codeRegion, activation.Invalid, "the bucket is in another region, or at another endpoint, than the authorization says", RegionField}
	classClock       = class{codeClock, activation.Unavailable, "s3 says that this machine's clock is wrong", ""}
	classThrottle    = class{codeThrottle, activation.WaitUntil, "s3 asks for fewer calls", ""}
	classUnavailable = class{codeUnavailable, activation.Unavailable, "s3 is not working as it should", ""}
	classAnswer      = class{codeAnswer, activation.Unavailable, "s3 answered in a way that cannot be understood", ""}
	classChecksum    = class{codeChecksum, activation.Unavailable, "s3 received other bytes than were sent", ""}
	classSize        = class{codeSize, activation.RefusedWhole, "the file is larger than s3 takes", ""}
	classRequest     = class{codeRequest, activation.Invalid, "s3 refuses the request", ""}
)

// classes are the codes of the error reference.
var classes = map[string]class{
	"InvalidAccessKeyId": classAuth, "SignatureDoesNotMatch": classAuth, "InvalidToken": classAuth, "ExpiredToken": classAuth,
	"TokenRefreshRequired": classAuth, "CredentialsNotSupported": classAuth, "InvalidSecurity": classAuth, "Unauthorized": classAuth,

	"AccessDenied": classPermission, "AllAccessDisabled": classPermission, "AccountProblem": classPermission, "MethodNotAllowed": classPermission,

	"NoSuchBucket": classBucket, "InvalidBucketName": classBucket,

	"AuthorizationHeaderMalformed": classRegion, "PermanentRedirect": classRegion, "Redirect": classRegion, "TemporaryRedirect": classRegion,
	"IllegalLocationConstraintException": classRegion, "InvalidRegion": classRegion,

	"RequestTimeTooSkewed": classClock, "RequestExpired": classClock,

	"SlowDown": classThrottle, "TooManyRequests": classThrottle, "Throttling": classThrottle, "ThrottlingException": classThrottle,
	"RequestLimitExceeded": classThrottle, "BandwidthLimitExceeded": classThrottle, "RequestThrottled": classThrottle,

	"InternalError": classUnavailable, "ServiceUnavailable": classUnavailable, "OperationAborted": classUnavailable, "RequestTimeout": classUnavailable,
	"IncompleteBody": classUnavailable,

	"BadDigest": classChecksum, "XAmzContentSHA256Mismatch": classChecksum, "XAmzContentChecksumMismatch": classChecksum, "InvalidDigest": classChecksum,

	"EntityTooLarge": classSize, "MaxMessageLengthExceeded": classSize,
}

// record is what happened in one call, as the transport saw it: the library's
// own errors say less, and quote addresses.
type record struct {
	method string
	left   atomic.Bool // a connection was obtained
	status int         // 0 = no answer
	header http.Header
	err    error // of the transport
}

// page reports whether the answer is a page for people.
func (r *record) page() bool {
	kind, _, err := mime.ParseMediaType(r.header.Get("Content-Type"))
	return err == nil && kind == "text/html"
}

// fault makes the error of a call that changes something or not, by its method.
func (r *record) fault(err error, now time.Time) *activation.Error {
	e := &activation.Error{}
	if r.status == 0 {
		cause := r.err
		if cause == nil {
			cause = err
		}
		own, _ := outbound.Fault(r.method, cause, r.left.Load()).(*activation.Error) //nolint:errorlint // it is one
		if own != nil {
			*e = *own
		}
		return e
	}
	c := r.class(err)
	e.Kind, e.Code, e.Message, e.Field = c.kind, c.code, c.message, c.field
	e.RequestID = requestID(r.header)
	// What breaks within its work may have done it; what S3 gives a reason for it
	// refused before.
	changes := r.method != http.MethodGet && r.method != http.MethodHead
	e.MayHaveApplied = changes && (c.code == codeUnavailable || c.code == codeAnswer)
	e.Message += " (HTTP status " + strconv.Itoa(r.status) + ")"
	if c.kind == activation.WaitUntil {
		e.Until = now.Add(throttleWait)
		if until, ok := outbound.RetryAfter(r.header, now); ok {
			e.Until = until
		}
	}
	return e
}

// class is what the answer asks for: by its code, and by its status where it has
// none that is known.
func (r *record) class(err error) class {
	if r.page() {
		return classUnavailable
	}
	if c, ok := classes[minio.ToErrorResponse(err).Code]; ok && r.status >= 300 {
		return c
	}
	switch {
	case r.status/100 == 2:
		return classAnswer
	case r.status/100 == 3:
		return classRegion
	case r.status == http.StatusTooManyRequests:
		return classThrottle
	case r.status >= 500:
		return classUnavailable
	case r.status == http.StatusUnauthorized:
		return classAuth
	case r.status == http.StatusForbidden:
		return classPermission
	case r.status == http.StatusRequestEntityTooLarge:
		return classSize
	}
	return classRequest
}

var idPattern = regexp.MustCompile(`^[A-Za-z0-9+/=_-]{1,64}$`)

// requestID is S3's own id of a call, for its support.
func requestID(h http.Header) string {
	if id := h.Get("X-Amz-Request-Id"); idPattern.MatchString(id) {
		return id
	}
	return ""
}
