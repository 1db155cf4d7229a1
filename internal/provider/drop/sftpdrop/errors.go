package sftpdrop

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"regexp"
	"strconv"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"usher/internal/activation"
	"usher/internal/provider/drop"
)

// The classes of error; each has a page in docs/troubleshooting.
const (
	codeAuth        = "SFTP-AUTH"
	codeHostKey     = "SFTP-HOSTKEY"
	codeSettings    = "SFTP-SETTINGS"
	codeFolder      = "SFTP-FOLDER"
	codePermission  = "SFTP-PERMISSION"
	codeSpace       = "SFTP-SPACE"
	codeFailure     = "SFTP-FAILURE"
	codeLost        = "SFTP-LOST"
	codeSize        = "SFTP-SIZE"
	codeUnsupported = "SFTP-UNSUPPORTED"
)

// The status codes of the protocol that mean something to us.
const (
	noSuchFile       = 2
	permissionDenied = 3
	failure          = 4
	badMessage       = 5
	noConnection     = 6
	connectionLost   = 7
	unsupported      = 8
	noSuchPath       = 10
	writeProtect     = 12
	noSpace          = 14
	quotaExceeded    = 15
)

// statusOf is the status code of an error; ok is false where it has none. The
// library turns some codes into errors of package os.
func statusOf(err error) (code uint32, ok bool) {
	var status *sftp.StatusError
	switch {
	case errors.As(err, &status):
		return status.Code, true
	case errors.Is(err, fs.ErrNotExist):
		return noSuchFile, true
	case errors.Is(err, fs.ErrPermission):
		return permissionDenied, true
	}
	return 0, false
}

// fault makes an error of what the library returned. Only codes are read and
// kept, never the server's texts. commit says that the call would let a file
// appear: then an outcome that is not plain is unknown.
func (s *session) fault(ctx context.Context, err error, commit bool) *activation.Error {
	var own *activation.Error
	if errors.As(err, &own) {
		return own
	}
	code, ok := statusOf(err)
	if !ok || code == noConnection || code == connectionLost {
		return s.lost(ctx, commit)
	}
	e := &activation.Error{Kind: activation.Invalid}
	switch code {
	case noSuchFile, noSuchPath:
		e.Code, e.Message, e.Field = codeFolder, "the folder is not there, or was taken away", FolderField
	case permissionDenied, writeProtect:
		e.Code, e.Message, e.Field = codePermission, "the user may not do this in the folder", FolderField
	case unsupported:
		e.Code, e.Message = codeUnsupported, "the server does not know what it was asked to do"
	case noSpace, quotaExceeded:
		e.Kind, e.Code, e.Message = activation.Unavailable, codeSpace, "the server has no room left for the file"
	case badMessage:
		e.Kind, e.Code, e.Message, e.MayHaveApplied = activation.Unavailable, codeFailure, "the server did not understand", commit
	default:
		// Most servers call everything else a failure, a full disk as well.
		e.Kind, e.Code, e.Message, e.MayHaveApplied = activation.Unavailable, codeFailure, "the server reports a failure and does not say which", commit
	}
	e.Message += " (status " + strconv.FormatUint(uint64(code), 10) + ")"
	return e
}

// lost is the error of a connection that has ended.
func (s *session) lost(ctx context.Context, commit bool) *activation.Error {
	if err := ctx.Err(); err != nil {
		var e *activation.Error
		errors.As(drop.Stopped(err, commit), &e)
		return e
	}
	e := &activation.Error{Kind: activation.Unavailable, Code: codeLost, Message: "the connection to the server ended within the work", MayHaveApplied: commit}
	if s.conn.silent.Load() {
		e.Message, e.Err = "the server said nothing for longer than it may", os.ErrDeadlineExceeded
	}
	return e
}

var disconnectPattern = regexp.MustCompile(`disconnect, reason ([0-9]+):`)

// The reasons of a disconnection (RFC 4253, section 11.1) that a server gives
// when somebody may not sign in: OpenSSH gives the first after too many tries.
const (
	reasonProtocol  = "2"
	reasonNoMethods = "14"
)

// handshakeFault makes an error of a handshake that failed. The library has no
// types for most; what is not a lost connection after the host key was trusted
// is about who we are.
func (s *session) handshakeFault(ctx context.Context, err error, w *witness) error {
	var negotiation *ssh.AlgorithmNegotiationError
	var timeout net.Error
	switch {
	case ctx.Err() != nil:
		return s.lost(ctx, false)
	case errors.As(err, &negotiation):
		return &activation.Error{Kind: activation.Invalid, Code: codeUnsupported, Message: "the server and Usher have no way to encrypt in common (" + negotiation.What + ")"}
	case !w.trusted, errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed), errors.As(err, &timeout):
		return s.lost(ctx, false)
	}
	if m := disconnectPattern.FindStringSubmatch(err.Error()); m != nil && m[1] != reasonProtocol && m[1] != reasonNoMethods {
		return s.lost(ctx, false)
	}
	return &activation.Error{Kind: activation.Unauthorized, Code: codeAuth, Message: "the server does not let the user in with this key or password"}
}
