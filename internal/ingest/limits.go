package ingest

import "time"

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
	// MaxSmallBytes is the most bytes of one real-time body. Default 10 MB.
	MaxSmallBytes int64
	// MaxColumns is the most columns of one load. Default 1,000.
	MaxColumns int
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
	if l.MaxSmallBytes <= 0 {
		l.MaxSmallBytes = 10_000_000
	}
	if l.MaxColumns <= 0 {
		l.MaxColumns = 1000
	}
	if l.MaxAhead <= 0 {
		l.MaxAhead = 24 * time.Hour
	}
	return l
}
