// Package expect says who should be in which audience, worked out from the
// files of the AdventureWorks shop by the plainest means: encoding/csv and maps.
//
// It owns the right answer and imports nothing of the product, so that it
// cannot share its mistakes. It is built for the failure of a test that
// compares the product with itself.
//
// A delivery is a folder of AdventureWorks_Customers*.csv, _Sales*.csv,
// _Products*.csv and _Territories*.csv. Deliveries are read in the order given
// and files in the order of their names; the first must hold everything, later
// ones what changed. In each file of whatever delivery the later row wins: a
// customer, product or territory by its key, an order line by OrderNumber,
// OrderLineItem and CustomerKey together. (Order number and line alone are not
// unique: four pairs in the full data belong to two customers each. The three
// together are unique there, so that counting every line gives the same.)
//
// For each customer:
//   - lifetime value is the sum of OrderQuantity × ProductPrice, exact to a
//     hundredth of a cent;
//   - country is that of the territory of the last order: the latest
//     OrderDate, and of equals the line read last.
//
// The audiences:
//   - big-spenders: lifetime value over 1,000 (7,187 of 18,148 in the full data)
//   - vips: lifetime value over 5,000 (1,189 there)
//   - us-homeowners: country is United States and HomeOwner is Y (5,125 there)
package expect

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"slices"
	"strings"
)

// The audiences, as they are named in the result of Members.
const (
	BigSpenders  = "big-spenders"
	VIPs         = "vips"
	USHomeowners = "us-homeowners"
)

// Member is one person who should be in an audience.
type Member struct {
	// CustomerKey is the shop's own key of the person.
	CustomerKey string `json:"customer_key"`
	// EmailSHA256 is the lower-case hexadecimal SHA-256 of the e-mail address,
	// trimmed and in lower case; "" for a person without one.
	EmailSHA256 string `json:"email_sha256"`
}

// Members returns who should be in each audience after all deliveries, ordered
// by customer key. Every audience is there, if need be empty.
func Members(deliveries ...fs.FS) (map[string][]Member, error) {
	s, err := read(deliveries)
	if err != nil {
		return nil, err
	}
	sets := map[string][]Member{BigSpenders: {}, VIPs: {}, USHomeowners: {}}
	for _, p := range s.persons() {
		for name := range sets {
			if p.belongs(name) {
				sets[name] = append(sets[name], p.member())
			}
		}
	}
	return sets, nil
}

// Customers returns how many customers there are after all deliveries.
func Customers(deliveries ...fs.FS) (int, error) {
	s, err := read(deliveries)
	if err != nil {
		return 0, err
	}
	return len(s.customers), nil
}

// person is a customer with what the orders tell.
type person struct {
	key       string
	email     string
	homeOwner bool
	value     money
	last      line // the last order line; its territory is "" if there is none
	country   string
}

func (p person) belongs(audience string) bool {
	switch audience {
	case BigSpenders:
		return p.value > 1000*unit
	case VIPs:
		return p.value > 5000*unit
	case USHomeowners:
		return p.country == "United States" && p.homeOwner
	}
	return false
}

func (p person) member() Member {
	m := Member{CustomerKey: p.key}
	if email := strings.ToLower(strings.TrimSpace(p.email)); email != "" {
		sum := sha256.Sum256([]byte(email))
		m.EmailSHA256 = hex.EncodeToString(sum[:])
	}
	return m
}

// persons returns all customers, ordered by key.
func (s *shop) persons() []person {
	byKey := make(map[string]*person, len(s.customers))
	for key, row := range s.customers {
		byKey[key] = &person{key: key, email: row["EmailAddress"], homeOwner: row["HomeOwner"] == "Y"}
	}
	for _, l := range s.lines {
		p := byKey[l.customer]
		if p == nil {
			continue // an order of nobody we know
		}
		p.value += money(l.quantity) * s.prices[l.product]
		if p.last.territory == "" || later(l, p.last) {
			p.last = l
			p.country = s.countries[l.territory]
		}
	}
	list := make([]person, 0, len(byKey))
	for _, p := range byKey {
		list = append(list, *p)
	}
	slices.SortFunc(list, func(a, b person) int {
		return cmp.Or(cmp.Compare(len(a.key), len(b.key)), strings.Compare(a.key, b.key))
	})
	return list
}

func later(a, b line) bool {
	return a.date.After(b.date) || a.date.Equal(b.date) && a.read > b.read
}
