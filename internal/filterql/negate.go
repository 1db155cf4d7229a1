package filterql

// Negated returns the rule that selects everybody whom f does not, itself
// without an alias. It shares its conditions with f.
func (f *Filter) Negated() *Filter {
	where := f.Where
	if where.Op == Not { // two-valued: NOT NOT a is a
		where = where.Args[0]
	} else {
		where = &Condition{Op: Not, Args: []*Condition{where}, Pos: where.Pos}
	}
	return &Filter{Where: where, From: f.From}
}
