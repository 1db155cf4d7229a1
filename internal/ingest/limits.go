package ingest

import (
	"time"

	"usher/internal/warehouse/inbox"
)

// Limits bound what one request may bring. The zero value of a limit means its
// default.
type Limits struct {
	// MaxRecordBytes is the most bytes of one row or object. Default 16 KiB.
	MaxRecordBytes int
	// MaxBatchBytes is the most bytes of one bulk body, decompressed. Default 1 GiB.
	MaxBatchBytes int64
	// MaxImportBytes is the most bytes of one file of an import, unpacked. Default
	// 64 GiB.
	MaxImportBytes int64
	// MaxImportRows is the most rows of one load of an import, and with it of what
	// is read again after a crash. Default 250,000.
	MaxImportRows int64
	// MaxSmallBytes is the most bytes of one real-time body. Default 10 MB.
	MaxSmallBytes int64
	// MaxColumns is the most columns of one load. Default 1,000.
	MaxColumns int
	// MaxWaitingRows and MaxWaitingBytes are how much of what came in real time may
	// wait to be merged. Defaults 1,000,000 and 1 GiB.
	MaxWaitingRows  int64
	MaxWaitingBytes int64
	// MaxWaitingRequests is how many real-time requests may wait for the disk at a
	// time. Default 10,000.
	MaxWaitingRequests int
	// MaxAhead is how far in the future a message time may lie. Default 24 h.
	MaxAhead time.Duration
}

// WithDefaults returns l with every zero replaced by its default.
func (l Limits) WithDefaults() Limits {
	if l.MaxRecordBytes <= 0 {
		l.MaxRecordBytes = 16 << 10
	}
	if l.MaxBatchBytes <= 0 {
		l.MaxBatchBytes = 1 << 30
	}
	if l.MaxImportBytes <= 0 {
		l.MaxImportBytes = 64 << 30
	}
	if l.MaxImportRows <= 0 {
		l.MaxImportRows = 250_000
	}
	if l.MaxSmallBytes <= 0 {
		l.MaxSmallBytes = 10_000_000
	}
	if l.MaxColumns <= 0 {
		l.MaxColumns = 1000
	}
	if l.MaxWaitingRows <= 0 {
		l.MaxWaitingRows = 1_000_000
	}
	if l.MaxWaitingBytes <= 0 {
		l.MaxWaitingBytes = 1 << 30
	}
	if l.MaxWaitingRequests <= 0 {
		l.MaxWaitingRequests = 10_000
	}
	if l.MaxAhead <= 0 {
		l.MaxAhead = 24 * time.Hour
	}
	return l
}

func (l Limits) room() inbox.Room {
	return inbox.Room{Rows: l.MaxWaitingRows, Bytes: l.MaxWaitingBytes, Requests: l.MaxWaitingRequests}
}
