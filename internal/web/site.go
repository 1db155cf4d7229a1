package web

import (
	"slices"
	"strings"

	"usher/internal/activation"
	"usher/internal/provider"
	"usher/internal/warehouse"
)

// snippetText is what a web page asks with; SERVER stands for the address.
const snippetText = `<script>
  fetch("SERVER/web/audiences/" + encodeURIComponent(visitorId) + "?access_token=usher_…")
    .then(r => r.ok ? r.json() : { data: { audiences: [], attributes: {} } })
    .then(({ data }) => document.documentElement.dataset.audiences = data.audiences.join(" "));
</script>`

// snippet is what a web page puts in to ask about a visitor, "" where no site
// reads the destination.
func (c *Console) snippet(v visit, d activation.Destination) string {
	if def, ok := c.only(d.Provider); !ok || !def.PublicOnly {
		return ""
	}
	scheme := "http://"
	if c.Access.ByTLS(v.Request) {
		scheme = "https://"
	}
	return strings.Replace(snippetText, "SERVER", scheme+v.Host, 1)
}

// shown are the fields that a destination can be given: where anybody may read
// it, those that are public.
func shown(def provider.Definition, schema warehouse.Schema) warehouse.Schema {
	if def.PublicOnly {
		schema.Fields = slices.DeleteFunc(slices.Clone(schema.Fields), func(f warehouse.Field) bool { return !f.Public })
	}
	return schema
}
