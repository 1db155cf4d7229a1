package warehouse

import (
	"testing"

	"usher/internal/activation"
)

func TestCustomer(t *testing.T) {
	s := Schema{Fields: []Field{{Name: "city"}, {Name: "email", Rank: 2}, {Name: "customer", Rank: 1}}}
	for name, want := range map[string]string{"": "customer", "email": "email", "customer": "customer", "city": "", "town": ""} {
		f, err := s.Customer(name)
		if f.Name != want || (want == "") != (activation.KindOf(err) == activation.Invalid) {
			t.Errorf("%q: got %q, %v; want %q", name, f.Name, err, want)
		}
	}
	if _, err := (Schema{Fields: []Field{{Name: "city"}}}).Customer(""); activation.CodeOf(err) != "SCHEMA" {
		t.Errorf("a schema without identifiers: %v", err)
	}
}
