package catalog

import (
	"slices"
	"testing"

	"usher/internal/activation"
	"usher/internal/provider"
	"usher/internal/warehouse"
)

func TestOnlyWhatIsPublicIsShown(t *testing.T) {
	site := provider.Definition{Name: "web", Title: "Web", PublicOnly: true, DestinationFields: []provider.Field{{Name: provider.IDColumnField, Default: "public_id"}}}
	file := provider.Definition{Name: "file", Title: "File", DestinationFields: site.DestinationFields}
	fields := []warehouse.Field{{Name: "visitor"}, {Name: "city", Public: true}, {Name: "email", PII: true}, {Name: "score"}}
	for _, c := range []struct {
		name            string
		def             provider.Definition
		config, mapping map[string]string
		audience        activation.Audience
		wrong           []string
	}{
		{"all is public", site, nil, map[string]string{"public_id": "visitor", "city": "city"}, activation.Audience{Public: true}, nil},
		{"a private audience", site, nil, map[string]string{"public_id": "visitor"}, activation.Audience{}, []string{"segment_ids"}},
		{"private fields", site, nil, map[string]string{"public_id": "visitor", "points": "score", "mail": "email"}, activation.Audience{Public: true}, []string{"mapping.mail", "mapping.points"}},
		{"an e-mail address as the id", site, nil, map[string]string{"public_id": "email"}, activation.Audience{Public: true}, []string{"mapping.public_id"}},
		{"another id column", site, map[string]string{"id_column": "who"}, map[string]string{"public_id": "visitor", "who": "visitor"}, activation.Audience{Public: true}, []string{"mapping.public_id"}},
		{"a field that is not there", site, nil, map[string]string{"public_id": "visitor", "x": "nothing"}, activation.Audience{Public: true}, nil},
		{"not shown to anybody", file, nil, map[string]string{"public_id": "email", "points": "score"}, activation.Audience{}, nil},
	} {
		var p problems
		p.publicAudience(c.def, 0, c.audience)
		p.publicFields(c.def, fields, c.config, c.mapping)
		var got []string
		for _, one := range p {
			got = append(got, one.field)
		}
		if !slices.Equal(got, c.wrong) {
			t.Errorf("%s: wrong are %v, want %v", c.name, got, c.wrong)
		}
	}
}
