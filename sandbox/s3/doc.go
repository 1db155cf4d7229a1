// Package s3 is a stand-in of S3: gofakes3 keeps the buckets, and what it does
// not look at is checked before it: who signed a request and what for, region
// and clock, and whether the body is the one that was promised. With read-back.
//
// It owns the objects, in memory, and knows nothing of who writes them. It must
// not be reachable from other machines. It is built for the failure of believing
// a signature, a checksum or an upload because the sender says so.
//
// Buckets stand in the path, or in the host name where Options.Domain is set.
// Signatures are version 4 in the Authorization header, with the SHA-256 of the
// body or UNSIGNED-PAYLOAD; chunked ones are answered NotImplemented
// (docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html, read
// 2026-11-22). Its read-back:
//
//	GET    objects                     all objects with size, SHA-256 and type
//	GET    objects/{bucket}/{key...}   one object as it is
//	DELETE objects/{bucket}/{key...}   take it away
//	GET    calls                       the latest calls
//
// Faults have the operations put, get, head, list, delete and other; Path is
// /bucket/key. Message of an error is S3's code, such as AccessDenied.
package s3
