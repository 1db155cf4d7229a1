package webhook

import (
	"encoding/base64"
	"strings"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"usher/internal/activation"
	"usher/internal/provider/hook"
)

// signer reads a signing secret. The error never quotes it.
func signer(secret string) (*standardwebhooks.Webhook, error) {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(strings.TrimSpace(secret), "whsec_"))
	if err != nil || len(key) < minSecretBytes {
		return nil, wrongSecret()
	}
	w, err := standardwebhooks.NewWebhookRaw(key)
	if err != nil {
		return nil, wrongSecret()
	}
	return w, nil
}

func wrongSecret() error {
	return &activation.Error{
		Kind: activation.Invalid, Code: hook.CodeAuth, Field: secretField,
		Message: secretField + " must be whsec_ and then at least 24 random bytes in base64",
	}
}
