// Package outbound is the HTTP client that providers call networks with: it
// keeps time limits and pace, bounds answers, stops calling a network that is
// down, refuses addresses inside the own house, and makes errors that say what
// to do, whether the request may have taken effect, and nothing secret.
//
// It owns no knowledge of any network and never retries: the engine decides
// that. It is built for three failures: an answer that never comes (was it
// applied?), a URL with a secret in it that ends up in a log, and a base URL
// that points at something it must not reach.
package outbound
