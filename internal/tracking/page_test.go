package tracking_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"usher/docs"
	"usher/internal/tracking"
)

// codes are all that the program can put on a run, an item, an upload or an
// answer, by package.
var codes = map[string][]string{
	"access":                 {"UNAUTHORIZED-017", "BADREQ-001", "CONFLICT", "PASSWORD", "SIGN-IN"},
	"activation":             {"REMOTE-GONE", "COUNTS", "JOB-ENDED", "NOT-ATTEMPTED", "REPLACE-CUT", "TAKEN-OVER", "STALLED", "JOB-BADREQ-002", "INTERNAL-019"},
	"alerting":               {"BADREQ-001"},
	"api":                    {"BADREQ-001", "UNAUTHORIZED-017", "FORBIDDEN-026", "NOTFOUND-003", "JOB-FAULT-022", "INTERNAL-019", "UNKNOWN-000", "STANDBY", "CONFLICT", "JOB-BADREQ-002"},
	"catalog":                {"CONFLICT", "NOTFOUND-003", "TEMPLATE", "BADREQ-001", "AUTH-BADREQ-008", "JOB-BADREQ-002", "PROVIDER-NOTFOUND-016", "WF-NOTFOUND-005"},
	"forget":                 {"BADREQ-001", "CONFLICT", "KEYSET"},
	"insight":                {"FILTERQL"},
	"delivery":               {"MAPPING", "EVENT-COLUMN", "NO-ANSWER", "NOTHING-TAKEN", "RECONCILE-OVERTAKEN", "BADREQ-001", "CONFLICT", "JOB-BADREQ-002"},
	"decision":               {"BADREQ-001"},
	"disk":                   {"INTERNAL-019"},
	"enrich":                 {"ENRICH-REPLY", "INTERNAL-019", "JOB-BADREQ-002", "OUTBOUND-PACED", "OUTBOUND-PAUSED", "OUTBOUND-UNREACHABLE"},
	"explain":                {"UNKNOWN-000"},
	"imports":                {"IMPORT-FILE", "IMPORT-SETTINGS", "IMPORT-WAITING"},
	"manifest":               {"BADREQ-001", "FILTERQL"},
	"ingest":                 {"BADREQ-001", "JSON-BADREQ-025"},
	"outbound":               {"OUTBOUND-ADDRESS", "OUTBOUND-NOANSWER", "OUTBOUND-PACED", "OUTBOUND-PAUSED", "OUTBOUND-UNREACHABLE"},
	"paid":                   {"BADREQ-001"},
	"provider":               {"JOB-BADREQ-002"},
	"provider/dmp":           {"DMP-ID", "DMP-SETTINGS"},
	"provider/drop":          {"FILE-BATCH", "FILE-CHANGED", "FILE-MANY", "FILE-MISSING", "FILE-PATTERN", "FILE-REQUEST", "FILE-STOPPED"},
	"provider/drop/s3drop":   {"S3-ANSWER", "S3-AUTH", "S3-BUCKET", "S3-CHECKSUM", "S3-CLOCK", "S3-PERMISSION", "S3-REGION", "S3-REQUEST", "S3-SETTINGS", "S3-SIZE", "S3-THROTTLE", "S3-UNAVAILABLE"},
	"provider/drop/sftpdrop": {"SFTP-AUTH", "SFTP-FAILURE", "SFTP-FOLDER", "SFTP-HOSTKEY", "SFTP-LOST", "SFTP-PERMISSION", "SFTP-SETTINGS", "SFTP-SIZE", "SFTP-SPACE", "SFTP-UNSUPPORTED"},
	"provider/rowfile":       {"FILE-COLUMNS", "FILE-SETTINGS"},
	"provider/email":         {"NOTICE-RECIPIENTS", "NOTICE-SERVER"},
	"provider/google":        {"GADS-ACCOUNT", "GADS-AMOUNT", "GADS-ANSWER", "GADS-AUTH", "GADS-BUDGET", "GADS-BUSY", "GADS-EDIT", "GADS-GONE", "GADS-LIMIT", "GADS-NAME", "GADS-NEEDS", "GADS-PERMISSION", "GADS-POLICY", "GADS-POLITICAL", "GADS-PROJECT", "GADS-QUOTA", "GADS-REQUEST", "GADS-SCOPE", "GADS-SETTINGS", "GADS-TOGETHER", "GADS-UNAVAILABLE", "GOOGLE-ANSWER", "GOOGLE-AUTH", "GOOGLE-CLICK", "GOOGLE-CLOSED", "GOOGLE-CONSENT", "GOOGLE-CURRENCY", "GOOGLE-DATA", "GOOGLE-DESTINATION", "GOOGLE-FORMAT", "GOOGLE-GONE", "GOOGLE-NAME", "GOOGLE-NOKEY", "GOOGLE-PERMISSION", "GOOGLE-POLICY", "GOOGLE-PROCESSING", "GOOGLE-PROJECT", "GOOGLE-QUOTA", "GOOGLE-RECENT", "GOOGLE-REQUEST", "GOOGLE-SETTINGS", "GOOGLE-SIZE", "GOOGLE-TERMS", "GOOGLE-TIME", "GOOGLE-UNAVAILABLE"},
	"provider/hook":          {"NOTICE-ADDRESS", "NOTICE-AUTH", "NOTICE-LIMIT", "NOTICE-REFUSED", "NOTICE-UNAVAILABLE"},
	"provider/http":          {"HTTP-AUTH", "HTTP-GONE", "HTTP-LIMIT", "HTTP-REFUSED", "HTTP-SETTINGS", "HTTP-UNAVAILABLE"},
	"provider/linkedin":      {"LINKEDIN-ACCOUNT", "LINKEDIN-ANSWER", "LINKEDIN-AUTH", "LINKEDIN-CONFLICT", "LINKEDIN-DATA", "LINKEDIN-GONE", "LINKEDIN-PENDING", "LINKEDIN-PERMISSION", "LINKEDIN-REQUEST", "LINKEDIN-ROW", "LINKEDIN-RULE", "LINKEDIN-SEGMENT", "LINKEDIN-SETTINGS", "LINKEDIN-SIZE", "LINKEDIN-THROTTLE", "LINKEDIN-UNAVAILABLE", "LINKEDIN-VERSION"},
	"provider/meta":          {"META-ACCOUNT", "META-ANSWER", "META-AUTH", "META-BLOCKED", "META-DATA", "META-DATASET", "META-EDIT", "META-EVENT", "META-FLAGGED", "META-GONE", "META-OBJECT", "META-PERMISSION", "META-REPLACE", "META-REQUEST", "META-SETTINGS", "META-SHARE", "META-SIZE", "META-TERMS", "META-THROTTLE", "META-TOOSMALL", "META-UNAVAILABLE", "META-VALUE"},
	"provider/microsoft":     {"MSADS-ANSWER", "MSADS-AUTH", "MSADS-FIELD", "MSADS-PERMISSION", "MSADS-REFUSED", "MSADS-REPORT", "MSADS-REQUEST", "MSADS-SETTINGS", "MSADS-SIZE", "MSADS-THROTTLE", "MSADS-UNAVAILABLE"},
	"provider/mysql":         {"INTERNAL-019", "MYSQL-ANSWER", "MYSQL-AUTH", "MYSQL-DATABASE", "MYSQL-LOST", "MYSQL-PERMISSION", "MYSQL-SETTINGS", "MYSQL-TLS", "MYSQL-UNAVAILABLE"},
	"provider/postgres":      {"POSTGRES-ANSWER", "POSTGRES-AUTH", "POSTGRES-DATA", "POSTGRES-DATABASE", "POSTGRES-GONE", "POSTGRES-LOST", "POSTGRES-PERMISSION", "POSTGRES-REQUEST", "POSTGRES-ROW", "POSTGRES-SCHEMA", "POSTGRES-SETTINGS", "POSTGRES-SIZE", "POSTGRES-TABLE", "POSTGRES-TLS", "POSTGRES-UNAVAILABLE", "INTERNAL-019"},
	"provider/singer":        {"INTERNAL-019", "SINGER-EXIT", "SINGER-LIMIT", "SINGER-OUTPUT", "SINGER-PROGRAM", "SINGER-SETTINGS", "SINGER-STREAM"},
	"provider/query":         {"INTERNAL-019", "QUERY-CURSOR", "QUERY-SETTINGS", "QUERY-STATEMENT", "QUERY-TIMEOUT"},
	"provider/web":           {"WEB-GONE", "WEB-REQUEST", "WEB-ROW", "WEB-SIZE", "WEB-TABLE", "INTERNAL-019"},
	"provider/tradedesk":     {"TTD-ACCOUNT", "TTD-ANSWER", "TTD-AUTH", "TTD-DATA", "TTD-EMPTY", "TTD-ITEM", "TTD-SETTINGS", "TTD-SIZE", "TTD-THROTTLE", "TTD-UNAVAILABLE"},
	"provider/webhook":       {"TEMPLATE", "WEBHOOK-ANSWER", "WEBHOOK-AUTH", "WEBHOOK-EVENT", "WEBHOOK-GONE", "WEBHOOK-LIMIT", "WEBHOOK-REFUSED", "WEBHOOK-SETTINGS", "WEBHOOK-SIZE", "WEBHOOK-UNAVAILABLE"},
	"publishing":             {"BADREQ-001", "CONFLICT", "INTERNAL-019", "PROVIDER-NOTFOUND-016", "PUB-ANSWER", "PUB-CONFIRM", "PUB-DROP", "PUB-FIELD", "PUB-FILE", "PUB-LATER", "PUB-NEEDS-001", "PUB-OBJECT", "PUB-REFUSED", "PUB-SETTINGS", "PUB-UNKNOWN", "PUB-VALUE"},
	"server":                 {"PROVIDER-NOTFOUND-016"},
	"store":                  {"CONFLICT", "JOB-BADREQ-002", "BADREQ-001", "PUB-CONFLICT-001", "PUB-GONE-001", "PUB-NEEDS-001", "PUB-NEEDS-002", "PUB-STATE-001"},
	"tracking":               {"UNPLACED", "UNKNOWN-000"},
	"vault":                  {"VAULT-KEY", "AUTH-BADREQ-008", "OAUTH-ADDRESS", "OAUTH-ANSWER", "OAUTH-CLIENT", "OAUTH-CONNECT", "OAUTH-MINTS", "OAUTH-REFUSED", "OAUTH-STATE"},
	"warehouse":              {"SCHEMA", "STREAM-NOTFOUND-014"},
	"warehouse/duckdb":       {"NOTFOUND-003", "CONFLICT", "BADREQ-001", "COUNTS", "EVENT-COLUMN", "FILTERQL", "KEYS-LOST", "KEYSET", "MAPPING-FIELD", "SCHEMA", "SPOOL"},
	"warehouse/inbox":        {"COLLECT-BUSY", "INTERNAL-019"},
}

// TestEveryCodeHasAPage: whoever meets a code finds its cause, how to check it
// and how to mend it, and the index leads there.
func TestEveryCodeHasAPage(t *testing.T) {
	index := read(t, "troubleshooting/README.md")
	for _, list := range codes {
		for _, code := range list {
			path := strings.TrimPrefix(tracking.Page(code), "docs/")
			text := read(t, path)
			name := strings.TrimSuffix(filepath.Base(path), ".md")
			for _, part := range []string{"# " + strings.ToUpper(name) + "\n", "\n## Cause\n\n", "\n## Check\n\n", "\n## Fix\n\n"} {
				if !strings.Contains(text, part) {
					t.Errorf("%s lacks %q", path, part)
				}
			}
			if !strings.Contains(index, "("+name+".md)") {
				t.Errorf("the index does not lead to %s", path)
			}
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	raw, err := docs.Troubleshooting.ReadFile(path)
	if err != nil {
		t.Errorf("no page: %v", err)
	}
	return string(raw)
}

// codeShapes find codes in source text: words with a hyphen, and whatever is
// given as the code of an error or to a constant named after one.
var codeShapes = []*regexp.Regexp{
	regexp.MustCompile(`"([A-Z]{2,}(?:-[A-Z]{2,})+(?:-\d{3})?|[A-Z]{2,}-\d{3})"`),
	regexp.MustCompile(`\bCode: +"([A-Z][A-Z0-9-]+)"`),
	regexp.MustCompile(`\b[cC]ode[A-Za-z]* += "([A-Z][A-Z0-9-]+)"`),
	regexp.MustCompile(`group\("([A-Z][A-Z0-9-]+)"`),
}

// TestListIsWhole compares the list with the source, so that a new code cannot
// come without its page.
func TestListIsWhole(t *testing.T) {
	found := map[string]int{}
	root := filepath.Join("..")
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		name := e.Name()
		if err != nil || e.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return err
		}
		room, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil || slices.Contains([]string{"providertest", "storetest", "servertest", "warehousetest", "alerttest", "sourcetest"}, filepath.Base(room)) {
			return err
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, line := range strings.Split(string(raw), "\n") {
			if strings.HasPrefix(strings.TrimSpace(line), "//") {
				continue
			}
			for _, shape := range codeShapes {
				for _, m := range shape.FindAllStringSubmatch(line, -1) {
					found[room]++
					if !slices.Contains(codes[room], m[1]) {
						t.Errorf("%s has the code %s, which is not in the list", path, m[1])
					}
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for room := range codes {
		if found[room] == 0 {
			t.Errorf("no code was found in %s: is it read at all?", room)
		}
	}
}

func TestPage(t *testing.T) {
	for code, want := range map[string]string{"JOB-BADREQ-002": "job-badreq", "COUNTS": "counts", "META-190": "meta", "VAULT-KEY": "vault-key", "017": "017"} {
		if got := tracking.Page(code); got != "docs/troubleshooting/"+want+".md" {
			t.Errorf("%s leads to %s, want %s", code, got, want)
		}
	}
}

// TestAdvice: each page's advice is one sentence of its own, without markup.
func TestAdvice(t *testing.T) {
	for _, list := range codes {
		for _, code := range list {
			advice := tracking.Advice(code)
			if advice == "" || strings.ContainsAny(advice, "`\n") || strings.Contains(advice, ". ") {
				t.Errorf("the advice of %s is %q", code, advice)
			}
		}
	}
	if got := tracking.Advice("NO-SUCH-CODE-001"); got != "" {
		t.Errorf("a code without a page has the advice %q", got)
	}
}
