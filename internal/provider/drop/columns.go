package drop

import "usher/internal/provider"

// ColumnFields are the settings of a destination whose columns people choose.
func ColumnFields() []provider.Field {
	return []provider.Field{
		{
			Name: provider.IDColumnField, Label: "Id column", Type: "string", Example: "customer_id",
			Help: "The column by which a reader finds a person; removals carry it alone. Empty = the first column by name.",
		},
		{
			Name: provider.HashColumnsField, Label: "Hashed columns", Type: "list", Example: "email,phone",
			Help: "The columns that leave as SHA-256 in lower-case hexadecimal, of the value without white space around it and in lower case; divided by commas.",
		},
	}
}
