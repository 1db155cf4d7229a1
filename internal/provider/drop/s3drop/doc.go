// Package s3drop is a place in a bucket of S3 or of anything that speaks like it.
//
// It owns credentials, keys and the classes of what S3 answers; calls and
// signatures are minio-go's, over our own transport, so that guard and pace hold.
// It knows no network and decides nothing. It is built for an answer that comes
// from somewhere in between, and for bytes that changed on the way: a file counts
// as put only when S3 names what it has stored.
//
// Error codes are those of docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html,
// read 2026-11-22.
package s3drop
