// Package sftp is a stand-in of an SFTP server: users, folders, limits and
// failures as real ones have them, with read-back.
//
// It owns the files, in memory, and knows nothing of who writes them. It must
// not be reachable from other machines. It is strict where servers are: nobody
// signs in without the right key or password, nothing is written outside the
// folders there are, what is open is cut when the connection is. It is built for
// the failure of believing a file because its sender says so.
//
// It speaks on a port of its own (Serve). Below its path in the sandbox, GET /
// says where that is and which host key it shows. Its read-back:
//
//	GET    files            all files with size, SHA-256 and time
//	GET    files/{path...}  one file as it is
//	DELETE files/{path...}  take it away
//	GET    calls            the latest calls
//
// Faults have the operations auth, open, write, close, rename, remove, stat,
// list, read and mkdir; Path is that of the file, for rename the new one. Kinds:
// token (auth is refused), status and error (Code is the status code of SFTP, 0
// = 4, failure), invalid (answered as done, and not done), timeout, cut and slow.
// Others answer with status 4.
package sftp
