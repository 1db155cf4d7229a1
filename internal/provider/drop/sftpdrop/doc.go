// Package sftpdrop is a place on an SFTP server.
//
// It owns credentials, the server's host key, and how files appear whole: written
// under another name, flushed, measured and renamed. It knows no network and
// decides nothing. It is built for three failures: a server that is not the one
// it claims to be, a connection that ends within a rename, and a full disk.
//
// SFTP is draft-ietf-secsh-filexfer-02, with the extensions of OpenSSH's PROTOCOL
// file where a server has them; status codes above 8 are those of
// draft-ietf-secsh-filexfer-13, section 9.1.
package sftpdrop
