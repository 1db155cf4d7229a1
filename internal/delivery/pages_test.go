package delivery_test

import (
	"strings"
	"testing"

	"usher/docs"
	"usher/internal/activation"
)

// TestEveryCodeHasAPage: whoever reads a code finds out what to do about it.
func TestEveryCodeHasAPage(t *testing.T) {
	t.Parallel()
	for _, code := range []string{
		activation.CodeRemoteGone, activation.CodeCounts, activation.CodeJobEnded, activation.CodeNotAttempted, activation.CodeTakenOver, activation.CodeReplaceCut, "RECONCILE-OVERTAKEN",
		"MAPPING", "EVENT-COLUMN", "NO-ANSWER", "NOTHING-TAKEN", "INTERNAL", "KEYSET", "KEYS-LOST",
	} {
		page, err := docs.Troubleshooting.ReadFile("troubleshooting/" + strings.ToLower(code) + ".md")
		if err != nil {
			t.Error(err)
		}
		for _, part := range []string{"# " + code + "\n", "## Cause", "## Check", "## Fix"} {
			if !strings.Contains(string(page), part) {
				t.Errorf("the page of %s has no %q", code, part)
			}
		}
	}
}
