package client

import "usher/internal/activation"

// Connecting is a consent that was asked for.
type Connecting struct {
	AuthorizeURL string                     `json:"authorize_url" doc:"where a person consents, in a browser in which an admin is signed in to the console"`
	AuthID       activation.AuthorizationID `json:"auth_id" doc:"the authorization that there is, or is other than before, when they have"`
	ExpiresIn    int                        `json:"expires_in" doc:"seconds that the person has"`
}
