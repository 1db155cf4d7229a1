// Package google keeps Customer Match lists in step and sends offline
// conversions, both by Google's Data Manager API.
//
// It owns what is Google's alone: paths, bodies, keys, error reasons and the
// status of requests. It decides nothing and retries nothing but a call refused
// for its token, once. It is built for three failures: one bad row that refuses
// ten thousand, an "accepted" that says nothing of anybody, and a token that ends
// in the middle of a run.
//
// Pages are below developers.google.com/data-manager/api, read 2026-11-22.
package google
