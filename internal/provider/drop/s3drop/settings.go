package s3drop

import (
	"net/url"
	"regexp"
	"strings"
	"unicode"

	"usher/internal/activation"
	"usher/internal/provider"
)

// The credentials.
const (
	EndpointField   = "endpoint"
	RegionField     = "region"
	AccessKeyField  = "access_key"
	SecretKeyField  = "secret_key"
	TokenField      = "session_token"
	AddressingField = "addressing"
	// PrefixField is a setting of the destination.
	PrefixField = "prefix"
)

const defaultRegion = "us-east-1"

// AuthFields are the credentials. required is false where they are one of
// several ways.
func AuthFields(required bool) []provider.Field {
	return []provider.Field{
		{Name: EndpointField, Label: "Endpoint", Type: "url", Required: required, Example: "https://s3.eu-central-1.amazonaws.com", Help: "The address of S3 or of what speaks like it, without the bucket. A path in it is for a server behind a proxy that takes it away: it is not signed."},
		{Name: RegionField, Label: "Region", Type: "string", Default: defaultRegion, Example: "eu-central-1", Help: "The region that requests are signed for; servers without regions take " + defaultRegion + "."},
		{Name: AccessKeyField, Label: "Access key", Type: "string", Required: required, Example: "AKIAIOSFODNN7EXAMPLE", Help: "The id of the access key."},
		{Name: SecretKeyField, Label: "Secret key", Type: "string", Required: required, Secret: true, Help: "The secret of the access key."},
		{Name: TokenField, Label: "Session token", Type: "string", Secret: true, Help: "The token that belongs to a temporary access key. Such a key ends after some hours: use one that does not."},
		{Name: AddressingField, Label: "Bucket in the address", Type: "select", Default: "path", Options: []string{"path", "host"}, Help: "Where the bucket stands in addresses: path (endpoint/bucket) or host (bucket.endpoint)."},
	}
}

// Prefix is the destination's setting of where in the bucket files are put.
func Prefix() provider.Field {
	return provider.Field{
		Name: PrefixField, Label: "Prefix", Type: "string", Example: "usher/audiences",
		Help: "What the keys of files begin with, like a folder; a slash is put behind it. Empty = the root of the bucket.",
	}
}

type settings struct {
	secure                bool
	host, path            string // of the endpoint; path has no slash at its end
	region                string
	access, secret, token string
	byHost                bool
	bucket, prefix        string // prefix is empty or ends in a slash
}

var (
	// bucketPattern is docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html.
	bucketPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)
	regionPattern = regexp.MustCompile(`^[a-z0-9-]{1,40}$`)
)

func read(d provider.Deps, bucket string) (settings, error) {
	s := settings{
		region: d.Auth[RegionField].Reveal(), access: strings.TrimSpace(d.Auth[AccessKeyField].Reveal()),
		secret: strings.TrimSpace(d.Auth[SecretKeyField].Reveal()), token: strings.TrimSpace(d.Auth[TokenField].Reveal()),
		bucket: strings.TrimSpace(bucket),
	}
	u, err := url.Parse(strings.TrimSpace(d.Auth[EndpointField].Reveal()))
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return s, invalid(EndpointField, "must be an address such as https://s3.eu-central-1.amazonaws.com")
	}
	s.secure, s.host, s.path = u.Scheme == "https", u.Host, strings.TrimRight(u.Path, "/")
	if s.region == "" {
		s.region = defaultRegion
	}
	if !regionPattern.MatchString(s.region) {
		return s, invalid(RegionField, "must be a region such as "+defaultRegion)
	}
	if s.access == "" || strings.ContainsFunc(s.access, strange) || strings.ContainsAny(s.access, "/,=") {
		return s, invalid(AccessKeyField, "must be the id of an access key")
	}
	if s.secret == "" || strings.ContainsFunc(s.secret, strange) {
		return s, invalid(SecretKeyField, "must be the secret of the access key")
	}
	if strings.ContainsFunc(s.token, strange) {
		return s, invalid(TokenField, "has characters that no token has: copy it again")
	}
	switch d.Auth[AddressingField].Reveal() {
	case "", "path":
	case "host":
		s.byHost = true
	default:
		return s, invalid(AddressingField, "must be path or host")
	}
	if !bucketPattern.MatchString(s.bucket) || strings.Contains(s.bucket, "..") {
		return s, invalid("account", "must be the name of a bucket: 3 to 63 lower-case letters, digits, hyphens and dots")
	}
	s.prefix, err = prefix(d.Config[PrefixField])
	return s, err
}

func prefix(text string) (string, error) {
	text = strings.Trim(strings.TrimSpace(text), "/")
	if text == "" {
		return "", nil
	}
	for part := range strings.SplitSeq(text, "/") {
		if part == "" || part == "." || part == ".." {
			return "", invalid(PrefixField, "must not hold empty parts, . or ..")
		}
	}
	if len(text) > 500 || strings.ContainsFunc(text, unicode.IsControl) {
		return "", invalid(PrefixField, "must have at most 500 bytes and no control characters")
	}
	return text + "/", nil
}

func strange(r rune) bool { return r <= ' ' || r > '~' }

func invalid(field, message string) error {
	return &activation.Error{Kind: activation.Invalid, Code: codeSettings, Field: field, Message: field + ": " + message}
}
