package dmp

import (
	"log/slog"
	"regexp"
	"slices"

	"usher/internal/matchkey"
	"usher/internal/provider"
	"usher/internal/provider/drop"
	"usher/internal/provider/rowfile"
)

// minRows is the least rows of a file that LiveRamp takes (LiveRamp's page on
// formatting files). A batch with fewer is sent all the same: holding it back
// would keep people in an audience who have left it here.
const minRows = 25

// headerPattern is what LiveRamp takes as the name of a column.
var headerPattern = regexp.MustCompile(`^[A-Za-z0-9_]{1,128}$`)

// liveRampName is how files are called where the job does not say.
const liveRampName = "{AUDIENCE}_{TIMESTAMP}_{RUN}_{PART}_{OP}"

// liveRampLayout is CSV with a header, the audience key first, and the same
// columns in every file. Who left is in files of their own, whose rows have the
// audience key alone.
type liveRampLayout struct{ log *slog.Logger }

type liveRampSettings struct {
	rows rowfile.Settings
	key  string
	side drop.Side
}

func readLiveRamp(a provider.Audience) (liveRampSettings, error) {
	s := liveRampSettings{key: provider.Setting(liveRamp().Fields, a.Config, audienceKeyField)}
	var err error
	if s.rows, err = rowfile.Parse(only(a.Config, rowfile.DelimiterField, rowfile.CompressField)); err != nil {
		return s, err
	}
	s.rows.Operation = ""
	if s.rows.Name, err = rowfile.ParsePattern(a.Config, liveRampName, ".csv", rowfile.Needs{Op: true, Gzip: s.rows.Compress}); err != nil {
		return s, err
	}
	if s.side, err = drop.ParseSide(a.Config, drop.NoSide); err != nil {
		return s, err
	}
	if !headerPattern.MatchString(s.key) || slices.Contains([]string{emailKey, phoneKey, countryKey}, s.key) {
		return s, wrong(audienceKeyField, "must be 1 to 128 letters, digits and underscores, and not the name of another column")
	}
	return s, nil
}

// Check proves the settings of a job.
func (liveRampLayout) Check(a provider.Audience) error {
	_, err := readLiveRamp(a)
	return err
}

// Name is that of file i of a batch.
func (liveRampLayout) Name(b provider.Batch, i int) (string, error) {
	s, err := readLiveRamp(b.Audience)
	if err != nil {
		return "", err
	}
	return s.rows.Name.Of(b, i)
}

// Shipment writes the rows of the batch as one file.
func (l liveRampLayout) Shipment(b provider.Batch) (drop.Shipment, error) {
	var ship drop.Shipment
	s, err := readLiveRamp(b.Audience)
	if err != nil {
		return ship, err
	}
	at := slices.IndexFunc(b.Keys, func(k matchkey.Key) bool { return k.Name == customerKey })
	if at != 0 {
		return ship, wrong("mapping", "the destination's mapping has no "+customerKey)
	}
	ship.Side = s.side
	b.Keys = slices.Clone(b.Keys)
	b.Keys[at].Name = s.key
	if ship.Columns, err = s.rows.Columns(b.Keys); err != nil {
		return ship, err
	}
	if ship.Files, err = s.rows.Files(b); err != nil {
		return ship, err
	}
	if b.Rows() < minRows {
		l.log.Warn("the file has fewer rows than liveramp takes", "run_id", b.Run, "item_id", b.Item, "rows", b.Rows(), "least", minRows)
	}
	return ship, nil
}
