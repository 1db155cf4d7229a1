package web

import (
	"errors"
	"strings"

	"usher/internal/activation"
	"usher/internal/tracking"
)

// causeRow is one cause of errors of a run, with what mends it.
type causeRow struct {
	tracking.Cause
	// Help is its page, Fix where it is mended.
	Help string
	Fix  *link
}

// runCauses are the errors of a run by cause, each with advice and where to mend
// it.
func (c *Console) runCauses(v visit, r tracking.View, _ []activation.Item, p *runPage) error {
	if len(r.Errors) == 0 {
		return nil
	}
	d, err := c.Store.Destination(v.Context(), r.Destination)
	if err != nil && !errors.Is(err, activation.ErrNotFound) {
		return err
	}
	var a activation.Authorization
	if d.Authorization != "" {
		if a, err = c.Store.Authorization(v.Context(), d.Authorization); err != nil && !errors.Is(err, activation.ErrNotFound) {
			return err
		}
	}
	for _, e := range r.Errors {
		row := causeRow{Cause: e, Help: helpPath(e.Page)}
		switch mendedBy(r.Run, e.Code) {
		case byAuthorization:
			if a.ID != "" {
				row.Fix = &link{authorizationPath(a.ID), "Reconnect " + a.Label}
			}
		case byDestination:
			if d.ID != "" {
				row.Fix = &link{destinationPath(d.ID), "Settings of " + d.Name}
			}
		case byJob:
			if r.Job != "" {
				row.Fix = &link{jobPath(r.Job) + "/edit", "Settings of " + r.JobName}
			}
		case byNothing:
		}
		p.Causes = append(p.Causes, row)
	}
	return nil
}

// What mends an error.
type mender int

const (
	byNothing mender = iota
	byAuthorization
	byDestination
	byJob
)

// mendedBy is where an error is mended: by the kind of error that the run ended
// with, else by the class that the code names.
func mendedBy(r activation.Run, code string) mender {
	class := strings.TrimRight(code, "-0123456789")
	class = class[strings.LastIndex(class, "-")+1:]
	own := code == r.ErrorCode
	switch {
	case own && r.ErrorKind == activation.Unauthorized, class == "AUTH", class == "PERMISSION", class == "TOKEN":
		return byAuthorization
	case class == "MAPPING", class == "ACCOUNT", class == "KEYSET", class == "DATASET", class == "NOKEY", class == "TERMS":
		return byDestination
	case own && r.ErrorKind == activation.Invalid, class == "SETTINGS", class == "COLUMN", class == "TEMPLATE":
		return byJob
	}
	return byNothing
}
