package manifest_test

import "context"

func (nothingPlane) DropField(context.Context, string) error { return nil }
