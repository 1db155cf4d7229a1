package expect

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"time"
)

// money counts ten-thousandths of a dollar: prices have up to four decimals.
type money int64

const unit money = 10_000

// row is one line of a file by the names of its columns.
type row map[string]string

// line is one order line.
type line struct {
	order, item, customer, product, territory string

	date     time.Time
	quantity int
	read     int // how many lines were read before it
}

// lineKey is what makes an order line the same one.
type lineKey struct{ order, item, customer string }

// shop is what all deliveries together say.
type shop struct {
	customers map[string]row
	prices    map[string]money
	countries map[string]string
	lines     map[lineKey]line
	read      int
}

func read(deliveries []fs.FS) (*shop, error) {
	if len(deliveries) == 0 {
		return nil, errors.New("there is no delivery to read")
	}
	s := &shop{
		customers: map[string]row{}, prices: map[string]money{},
		countries: map[string]string{}, lines: map[lineKey]line{},
	}
	for i, delivery := range deliveries {
		if err := s.take(delivery); err != nil {
			return nil, fmt.Errorf("delivery %d: %w", i+1, err)
		}
	}
	return s, s.check()
}

// take reads the files of one delivery.
func (s *shop) take(delivery fs.FS) error {
	found := false
	for _, kind := range []struct {
		pattern string
		take    func(row) error
	}{
		{"AdventureWorks_Customers*.csv", s.takeCustomer},
		{"AdventureWorks_Products*.csv", s.takeProduct},
		{"AdventureWorks_Territories*.csv", s.takeTerritory},
		{"AdventureWorks_Sales*.csv", s.takeLine},
	} {
		names, err := fs.Glob(delivery, kind.pattern) // in the order of names
		if err != nil {
			return err
		}
		for _, name := range names {
			found = true
			if err := readFile(delivery, name, kind.take); err != nil {
				return fmt.Errorf("%s: %w", path.Base(name), err)
			}
		}
	}
	if !found {
		return errors.New("no AdventureWorks file")
	}
	return nil
}

// readFile hands every row of a file over. Rows of another length than the
// header are an error.
func readFile(delivery fs.FS, name string, take func(row) error) error {
	text, err := fs.ReadFile(delivery, name)
	if err != nil {
		return err
	}
	records, err := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(text, []byte("\ufeff")))).ReadAll()
	if err != nil {
		return err
	}
	if len(records) == 0 {
		return errors.New("no header")
	}
	for i, record := range records[1:] {
		r := row{}
		for j, column := range records[0] {
			r[column] = record[j]
		}
		if err := take(r); err != nil {
			return fmt.Errorf("row %d: %w", i+1, err)
		}
	}
	return nil
}

func (s *shop) takeCustomer(r row) error {
	if r["CustomerKey"] == "" {
		return errors.New("no CustomerKey")
	}
	s.customers[r["CustomerKey"]] = r
	return nil
}

func (s *shop) takeProduct(r row) error {
	price, err := parseMoney(r["ProductPrice"])
	if err != nil {
		return err
	}
	s.prices[r["ProductKey"]] = price
	return nil
}

func (s *shop) takeTerritory(r row) error {
	if r["Country"] == "" {
		return errors.New("no Country")
	}
	s.countries[r["SalesTerritoryKey"]] = r["Country"]
	return nil
}

func (s *shop) takeLine(r row) error {
	date, err := time.Parse("1/2/2006", r["OrderDate"])
	if err != nil {
		return errors.New("OrderDate is not month/day/year")
	}
	quantity, err := strconv.Atoi(r["OrderQuantity"])
	if err != nil || quantity < 0 {
		return errors.New("OrderQuantity is not a number of at least 0")
	}
	s.read++
	l := line{
		order: r["OrderNumber"], item: r["OrderLineItem"], customer: r["CustomerKey"],
		product: r["ProductKey"], territory: r["TerritoryKey"],
		date: date, quantity: quantity, read: s.read,
	}
	s.lines[lineKey{l.order, l.item, l.customer}] = l
	return nil
}

// check makes sure that every order line can be valued and placed.
func (s *shop) check() error {
	for key, l := range s.lines {
		if _, ok := s.prices[l.product]; !ok {
			return fmt.Errorf("order %s names the unknown product %q", key.order, l.product)
		}
		if _, ok := s.countries[l.territory]; !ok {
			return fmt.Errorf("order %s names the unknown territory %q", key.order, l.territory)
		}
	}
	return nil
}

// parseMoney reads a price such as 34.99 exactly.
func parseMoney(text string) (money, error) {
	whole, part, _ := strings.Cut(text, ".")
	if len(part) > 4 {
		return 0, fmt.Errorf("price %q has more than four decimals", text)
	}
	n, err := strconv.ParseUint(whole+part+strings.Repeat("0", 4-len(part)), 10, 62)
	if err != nil || whole == "" {
		return 0, fmt.Errorf("price %q is not a number", text)
	}
	return money(n), nil
}
