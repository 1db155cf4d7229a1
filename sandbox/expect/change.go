package expect

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Kind says what changes about a person.
type Kind string

const (
	// Order is a new order of one dear thing; it goes to people who are not
	// big spenders yet, and makes them so.
	Order Kind = "order"
	// Move is a new order of one cheap thing in the territory of another
	// country; it makes nobody a big spender.
	Move Kind = "move"
	// Email is another e-mail address.
	Email Kind = "email"
	// HomeOwner is the opposite answer; the first such person is a home owner
	// in the United States.
	HomeOwner Kind = "home-owner"
	// Correction sets the quantity of a big spender's order lines to 0 until
	// the person is none any more.
	Correction Kind = "correction"
)

// Change describes a later delivery: the same shop some time on.
type Change struct {
	// Percent is how many of the customers change, at least one of each kind.
	Percent float64
	// Seed decides who.
	Seed uint64
	// Kinds are the changes to make, in equal parts; none means all.
	Kinds []Kind
}

// Write writes the later delivery into dir: AdventureWorks_Customers.csv with
// the changed customers and AdventureWorks_Sales_2019.csv with new and
// corrected order lines, in the formats of the earlier deliveries. A file
// without any row is not written. It returns the customer keys by kind.
func (c Change) Write(dir string, earlier ...fs.FS) (map[Kind][]string, error) {
	if c.Percent <= 0 || c.Percent > 100 {
		return nil, fmt.Errorf("percent %v is not above 0 and at most 100", c.Percent)
	}
	s, err := read(earlier)
	if err != nil {
		return nil, err
	}
	kinds := c.Kinds
	if len(kinds) == 0 {
		kinds = []Kind{Order, Move, Email, HomeOwner, Correction}
	}
	people := s.persons()
	chance := rand.New(rand.NewPCG(c.Seed, 0xad7e))
	chance.Shuffle(len(people), func(i, j int) { people[i], people[j] = people[j], people[i] })
	d := newDelta(s, c.Seed)
	total := int(math.Round(float64(len(people)) * c.Percent / 100))
	changed := map[Kind][]string{}
	for i, kind := range kinds {
		wanted := max(1, total*(i+1)/len(kinds)-total*i/len(kinds))
		if people, changed[kind], err = d.apply(kind, wanted, people); err != nil {
			return nil, err
		}
	}
	return changed, d.write(dir)
}

// delta collects the rows of a later delivery.
type delta struct {
	shop      *shop
	seed      uint64
	date      time.Time // of the last order
	order     int       // number of the last order
	dear      string    // the product of the highest price
	cheap     string    // and of the lowest
	lines     map[string][]line
	customers []row
	sales     []line
}

func newDelta(s *shop, seed uint64) *delta {
	d := &delta{shop: s, seed: seed, lines: map[string][]line{}}
	for _, l := range s.lines {
		if l.date.After(d.date) {
			d.date = l.date
		}
		if n, err := strconv.Atoi(strings.TrimPrefix(l.order, "SO")); err == nil {
			d.order = max(d.order, n)
		}
		d.lines[l.customer] = append(d.lines[l.customer], l)
	}
	for product, price := range s.prices {
		if best := s.prices[d.dear]; d.dear == "" || price > best || price == best && product < d.dear {
			d.dear = product
		}
		if best := s.prices[d.cheap]; d.cheap == "" || price < best || price == best && product < d.cheap {
			d.cheap = product
		}
	}
	return d
}

// apply changes the first people that the kind suits, and returns those left
// over and the keys of the changed.
func (d *delta) apply(kind Kind, wanted int, people []person) (rest []person, keys []string, err error) {
	var change func(person, bool) bool
	switch kind {
	case Order:
		change = d.newOrder
	case Move:
		change = d.move
	case Email:
		change = d.newEmail
	case HomeOwner:
		change = d.flipHomeOwner
	case Correction:
		change = d.correct
	default:
		return nil, nil, fmt.Errorf("unknown kind of change %q", kind)
	}
	for _, p := range people {
		if len(keys) < wanted && change(p, len(keys) == 0) {
			keys = append(keys, p.key)
		} else {
			rest = append(rest, p)
		}
	}
	if len(keys) < wanted {
		return nil, nil, fmt.Errorf("only %d of %d people suit the change %q", len(keys), wanted, kind)
	}
	slices.Sort(keys)
	return rest, keys, nil
}

func (d *delta) newOrder(p person, _ bool) bool {
	if p.belongs(BigSpenders) || d.shop.prices[d.dear] <= 1000*unit {
		return false
	}
	territory := p.last.territory
	if territory == "" {
		territory = d.anotherTerritory("")
	}
	d.buy(p, d.dear, territory)
	return true
}

func (d *delta) move(p person, _ bool) bool {
	richer := p
	richer.value += d.shop.prices[d.cheap]
	if p.country == "" || richer.belongs(BigSpenders) != p.belongs(BigSpenders) || richer.belongs(VIPs) != p.belongs(VIPs) {
		return false
	}
	d.buy(p, d.cheap, d.anotherTerritory(p.country))
	return true
}

func (d *delta) newEmail(p person, _ bool) bool {
	local, domain, ok := strings.Cut(p.email, "@")
	if !ok {
		return false
	}
	d.edit(p, "EmailAddress", fmt.Sprintf("%s.n%d@%s", local, d.seed, domain))
	return true
}

func (d *delta) flipHomeOwner(p person, first bool) bool {
	if first && !p.belongs(USHomeowners) {
		return false
	}
	answer := "Y"
	if p.homeOwner {
		answer = "N"
	}
	d.edit(p, "HomeOwner", answer)
	return true
}

func (d *delta) correct(p person, _ bool) bool {
	if !p.belongs(BigSpenders) {
		return false
	}
	lines := d.lines[p.key]
	slices.SortFunc(lines, func(a, b line) int {
		return cmp.Or(cmp.Compare(d.worth(b), d.worth(a)), cmp.Compare(a.read, b.read))
	})
	value := p.value
	for _, l := range lines {
		if value <= 1000*unit {
			break
		}
		value -= d.worth(l)
		l.quantity = 0
		d.sales = append(d.sales, l)
	}
	return true
}

func (d *delta) worth(l line) money { return money(l.quantity) * d.shop.prices[l.product] }

// buy adds an order of one line, the day after the last.
func (d *delta) buy(p person, product, territory string) {
	d.order++
	d.sales = append(d.sales, line{
		order: "SO" + strconv.Itoa(d.order), item: "1", customer: p.key, product: product,
		territory: territory, date: d.date.AddDate(0, 0, 1+len(d.sales)%28), quantity: 1,
	})
}

// edit adds the customer's row with one value changed.
func (d *delta) edit(p person, column, text string) {
	r := row{}
	for name, old := range d.shop.customers[p.key] {
		r[name] = old
	}
	r[column] = text
	d.customers = append(d.customers, r)
}

// anotherTerritory returns the first territory whose country is not the given one.
func (d *delta) anotherTerritory(country string) string {
	best := ""
	for territory, its := range d.shop.countries {
		if its != country && (best == "" || territory < best) {
			best = territory
		}
	}
	return best
}

// Columns of the files, as they are published.
func customerColumns() []string {
	return []string{
		"CustomerKey", "Prefix", "FirstName", "LastName", "BirthDate", "MaritalStatus", "Gender", "EmailAddress",
		"AnnualIncome", "TotalChildren", "EducationLevel", "Occupation", "HomeOwner",
	}
}

func salesColumns() []string {
	return []string{
		"OrderDate", "StockDate", "OrderNumber", "ProductKey", "CustomerKey", "TerritoryKey", "OrderLineItem", "OrderQuantity",
	}
}

func (d *delta) write(dir string) error {
	customers := [][]string{customerColumns()}
	for _, r := range d.customers {
		record := make([]string, len(customers[0]))
		for i, column := range customers[0] {
			record[i] = r[column]
		}
		customers = append(customers, record)
	}
	sales := [][]string{salesColumns()}
	for _, l := range d.sales {
		sales = append(sales, []string{
			dateText(l.date), dateText(l.date), l.order, l.product, l.customer, l.territory, l.item, strconv.Itoa(l.quantity),
		})
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	return errors.Join(
		writeFile(filepath.Join(dir, "AdventureWorks_Customers.csv"), "\ufeff", customers),
		writeFile(filepath.Join(dir, "AdventureWorks_Sales_2019.csv"), "", sales),
	)
}

func writeFile(name, start string, records [][]string) error {
	if len(records) == 1 {
		return nil
	}
	var text bytes.Buffer
	text.WriteString(start)
	out := csv.NewWriter(&text)
	out.UseCRLF = true
	if err := out.WriteAll(records); err != nil {
		return err
	}
	return os.WriteFile(name, text.Bytes(), 0o600)
}

// dateText writes a date in the mixed forms of the published files: with
// leading zeros where day and month could be confused, without elsewhere.
func dateText(t time.Time) string {
	if t.Day() <= 12 {
		return t.Format("01/02/2006")
	}
	return t.Format("1/2/2006")
}
