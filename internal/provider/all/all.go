// Package all is the one list of the providers in the binary. It owns nothing
// else; a provider that is not in it does not exist for the program. An explicit
// list, so that a search finds it and tests can make their own.
package all

import (
	"usher/internal/provider"
	"usher/internal/provider/dmp"
	"usher/internal/provider/email"
	"usher/internal/provider/google"
	"usher/internal/provider/http"
	"usher/internal/provider/linkedin"
	"usher/internal/provider/meta"
	"usher/internal/provider/microsoft"
	"usher/internal/provider/mysql"
	"usher/internal/provider/postgres"
	"usher/internal/provider/s3"
	"usher/internal/provider/sftp"
	"usher/internal/provider/singer"
	"usher/internal/provider/slack"
	"usher/internal/provider/teams"
	"usher/internal/provider/tradedesk"
	"usher/internal/provider/usher"
	"usher/internal/provider/web"
	"usher/internal/provider/webhook"
)

// Definitions returns the providers' definitions, in the order they are shown.
func Definitions() []provider.Definition {
	return []provider.Definition{
		meta.Definition(),
		linkedin.Definition(),
		google.Definition(),
		microsoft.Definition(),
		postgres.Definition(),
		mysql.Definition(),
		web.Definition(),
		dmp.Definition(),
		sftp.Definition(),
		s3.Definition(),
		http.Definition(),
		singer.Definition(),
		tradedesk.Definition(),
		email.Definition(),
		slack.Definition(),
		teams.Definition(),
		webhook.Definition(),
		usher.Definition(),
	}
}
