package manifest

import "context"

// DropField is what no file of declarations asks for: what a file leaves out stays.
func (p *shadowPlane) DropField(context.Context, string) error { return nil }
