package webhook

import (
	"encoding/base64"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"usher/internal/activation"
	"usher/internal/provider/hook"
)

// maxSecrets is how many signing secrets may be in use at a time: the new one,
// and those that a receiver may still have.
const maxSecrets = 4

// signers are the signing secrets; none = unsigned.
type signers []*standardwebhooks.Webhook

// readSecrets reads signing secrets divided by spaces, the newest first. The
// error never quotes them.
func readSecrets(text string) (signers, error) {
	var out signers
	for _, secret := range strings.Fields(text) {
		key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
		if err != nil || len(key) < minSecretBytes || len(key) > maxSecretBytes || len(out) == maxSecrets {
			return nil, wrongSecret()
		}
		w, err := standardwebhooks.NewWebhookRaw(key)
		if err != nil {
			return nil, wrongSecret()
		}
		out = append(out, w)
	}
	return out, nil
}

// sign is the value of the header webhook-signature: one signature per secret
// (specification, "Webhook headers": a list divided by spaces).
func (s signers) sign(id string, at time.Time, body []byte) (string, error) {
	all := make([]string, len(s))
	for i, w := range s {
		signature, err := w.Sign(id, at, body)
		if err != nil {
			return "", wrongSecret()
		}
		all[i] = signature
	}
	return strings.Join(all, " "), nil
}

func wrongSecret() error {
	return &activation.Error{
		Kind: activation.Invalid, Code: hook.CodeAuth, Field: secretField,
		Message: secretField + " must be whsec_ and then 24 to 64 random bytes in base64; several are divided by spaces, at most 4",
	}
}
