package drop

import (
	"usher/internal/provider"
	"usher/internal/provider/rowfile"
)

// Rows is the layout of files with columns of people's own choosing.
type Rows struct{}

// RowFields are the settings of a job with this layout.
func RowFields() []provider.Field { return append(rowfile.Fields(), SideFileField(Manifest)) }

// Check proves the settings of a job.
func (Rows) Check(a provider.Audience) error {
	if _, err := ParseSide(a.Config, Manifest); err != nil {
		return err
	}
	_, err := rowfile.Parse(a.Config)
	return err
}

// Shipment makes the files of a batch.
func (Rows) Shipment(b provider.Batch) (Shipment, error) {
	var ship Shipment
	settings, err := rowfile.Parse(b.Audience.Config)
	if err != nil {
		return ship, err
	}
	if ship.Side, err = ParseSide(b.Audience.Config, Manifest); err != nil {
		return ship, err
	}
	if ship.Columns, err = settings.Columns(b.Keys); err != nil {
		return ship, err
	}
	ship.Files, err = settings.Files(b)
	return ship, err
}

// Name is that of file i of a batch.
func (Rows) Name(b provider.Batch, i int) (string, error) {
	settings, err := rowfile.Parse(b.Audience.Config)
	if err != nil {
		return "", err
	}
	return settings.Name.Of(b, i)
}
