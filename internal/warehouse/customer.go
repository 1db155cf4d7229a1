package warehouse

import (
	"cmp"
	"fmt"
	"slices"

	"usher/internal/activation"
)

// Customer is the field whose value names a customer to other systems: the
// identifier that is named, or where name is "" the strongest one there is.
func (s Schema) Customer(name string) (Field, error) {
	found := slices.DeleteFunc(slices.Clone(s.Fields), func(f Field) bool { return f.Rank == 0 || name != "" && f.Name != name })
	if len(found) == 0 {
		message := "no identifier is declared by which a customer could be found; declare a field with an identifier_rank"
		if name != "" {
			message = fmt.Sprintf("the field %q, by which customers are to be found, is no declared identifier", name)
		}
		return Field{}, &activation.Error{Kind: activation.Invalid, Code: "SCHEMA", Field: "customer_field", Message: message}
	}
	return slices.MinFunc(found, func(a, b Field) int { return cmp.Or(cmp.Compare(a.Rank, b.Rank), cmp.Compare(a.Name, b.Name)) }), nil
}
