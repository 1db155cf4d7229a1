// Package mysql reads the rows of tables and queries from a MySQL or MariaDB
// server for imports.
//
// It owns how such a server is spoken to and what its errors mean; what a query
// may be and how reading goes on is package query's. It reads in a transaction
// that may change nothing, hands no file of this machine to a server, sends no
// password in the clear but where the settings say so, and keeps of a server's
// error the number only, since its text may repeat values. It is built for the
// connection that breaks, or is cut by a time limit, in the middle of a result.
//
// Pages are on dev.mysql.com/doc/refman/8.4/en and mariadb.com/kb/en, read
// 2026-11-22.
package mysql
