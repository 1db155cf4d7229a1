package expect_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"usher/sandbox/expect"
)

const (
	customersHeader = "CustomerKey,Prefix,FirstName,LastName,BirthDate,MaritalStatus,Gender,EmailAddress,AnnualIncome,TotalChildren,EducationLevel,Occupation,HomeOwner\r\n"
	salesHeader     = "OrderDate,StockDate,OrderNumber,ProductKey,CustomerKey,TerritoryKey,OrderLineItem,OrderQuantity\r\n"
)

// bundled is the delivery that the demo imports.
func bundled() fs.FS { return os.DirFS("../../internal/cli/demodata") }

// files makes a delivery; names are given without the shop's prefix.
func files(contents map[string]string) fs.FS {
	out := fstest.MapFS{}
	for name, text := range contents {
		out["AdventureWorks_"+name+".csv"] = &fstest.MapFile{Data: []byte(text)}
	}
	return out
}

func customer(key, email, homeOwner string) string {
	return key + `,MR.,JON,YANG,04/08/1966,M,M,` + email + `,"$90,000 ",2,Bachelors,Professional,` + homeOwner + "\r\n"
}

// tiny is a shop of four whose answer is worked out by hand.
//
//	1  Ana   2 × 600.00 (2017, Canada), 1 × 0.50 (2018, US)   1200.50, US, Y
//	2  Ben   exactly 1000.00: 100 × 10.00 (Canada)            1000.00, Canada, Y
//	3  Cat   8 × 600.00 + 20 × 10.00 + 1 × 0.0001 (US)        5000.0001, US, N
//	4  Dan   no orders                                        0, –, Y
//
// Ana's order number and line of 2017 are Ben's as well: both count.
func tiny() fs.FS {
	return files(map[string]string{
		"Customers": "\ufeff" + customersHeader + customer("1", " Ana@Example.com", "Y") + customer("2", "ben@example.com", "Y") +
			customer("3", "cat@example.com", "N") + customer("4", "", "Y"),
		"Products":    "ProductKey,ProductName,ProductPrice\r\n1,\"Wheel, 1\"\"\",600\r\n2,Bell,10.00\r\n3,Nut,0.5\r\n4,Dot,0.0001\r\n",
		"Territories": "SalesTerritoryKey,Region,Country,Continent\r\n1,Northwest,United States,North America\r\n6,Canada,Canada,North America\r\n",
		"Sales_2017": salesHeader + "12/31/2017,1/1/2001,SO1,1,1,6,1,2\r\n" +
			"02/01/2017,1/1/2001,SO1,2,2,6,1,100\r\n",
		"Sales_2018": salesHeader + "01/02/2018,1/1/2001,SO2,3,1,1,1,1\r\n" +
			"1/13/2018,1/1/2001,SO3,1,3,1,1,8\r\n1/13/2018,1/1/2001,SO3,2,3,1,2,20\r\n1/13/2018,1/1/2001,SO3,4,3,1,3,1\r\n" +
			"1/13/2018,1/1/2001,SO3,4,3,1,3,1\r\n",
	})
}

func keysOf(members []expect.Member) string {
	keys := []string{}
	for _, m := range members {
		keys = append(keys, m.CustomerKey)
	}
	return strings.Join(keys, " ")
}

func TestMembersByHand(t *testing.T) {
	tests := []struct {
		name                   string
		later                  map[string]string
		spenders, vips, owners string
	}{
		{name: "first delivery", spenders: "1 3", vips: "3", owners: "1"},
		{
			name:     "home owner no more",
			later:    map[string]string{"Customers": customersHeader + customer("1", "ana@example.com", "N")},
			spenders: "1 3", vips: "3", owners: "",
		},
		{
			name:     "a corrected line replaces the old one of that customer only",
			later:    map[string]string{"Sales_2018": salesHeader + "12/31/2017,1/1/2001,SO1,1,1,6,1,1\r\n"},
			spenders: "3", vips: "3", owners: "1",
		},
		{
			name:     "a corrected line may be of another product",
			later:    map[string]string{"Sales_2018": salesHeader + "1/13/2018,1/1/2001,SO3,3,3,1,3,1\r\n"},
			spenders: "1 3", vips: "3", owners: "1",
		},
		{
			name:     "the same line once more changes nothing",
			later:    map[string]string{"Sales_2018": salesHeader + "1/13/2018,1/1/2001,SO3,4,3,1,3,1\r\n"},
			spenders: "1 3", vips: "3", owners: "1",
		},
		{
			name:     "of orders of one day the later line tells the country",
			later:    map[string]string{"Sales_2019": salesHeader + "1/2/2018,1/1/2001,SO9,3,1,6,1,1\r\n"},
			spenders: "1 3", vips: "3", owners: "",
		},
		{
			name:     "an older order does not tell the country",
			later:    map[string]string{"Sales_2019": salesHeader + "1/1/2018,1/1/2001,SO9,3,1,6,1,1\r\n"},
			spenders: "1 3", vips: "3", owners: "1",
		},
		{
			name:     "a new price counts for old orders",
			later:    map[string]string{"Products": "ProductKey,ProductName,ProductPrice\r\n2,Bell,10.0001\r\n"},
			spenders: "1 2 3", vips: "3", owners: "1",
		},
		{
			name:     "a first order",
			later:    map[string]string{"Sales_2019": salesHeader + "6/30/2019,1/1/2001,SO9,1,4,1,1,9\r\n"},
			spenders: "1 3 4", vips: "3 4", owners: "1 4",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			deliveries := []fs.FS{tiny()}
			if tt.later != nil {
				deliveries = append(deliveries, files(tt.later))
			}
			sets, err := expect.Members(deliveries...)
			if err != nil {
				t.Fatal(err)
			}
			for name, want := range map[string]string{
				expect.BigSpenders: tt.spenders, expect.VIPs: tt.vips, expect.USHomeowners: tt.owners,
			} {
				if got := keysOf(sets[name]); got != want {
					t.Errorf("%s: got %q, want %q", name, got, want)
				}
			}
		})
	}
}

func TestMembersCarryTheEmailHash(t *testing.T) {
	sets, err := expect.Members(tiny(), files(map[string]string{
		"Sales_2019": salesHeader + "6/30/2019,1/1/2001,SO9,1,4,1,1,9\r\n",
	}))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte("ana@example.com"))
	want := []expect.Member{{CustomerKey: "1", EmailSHA256: hex.EncodeToString(sum[:])}, {CustomerKey: "4"}}
	if got := sets[expect.USHomeowners]; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestMembersOfTheBundledData(t *testing.T) {
	customers, err := expect.Customers(bundled())
	if err != nil {
		t.Fatal(err)
	}
	sets, err := expect.Members(bundled())
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprint(customers, len(sets[expect.BigSpenders]), len(sets[expect.VIPs]), len(sets[expect.USHomeowners]))
	if want := "2007 772 129 580"; got != want {
		t.Errorf("customers, big-spenders, vips, us-homeowners: got %s, want %s", got, want)
	}
}

func TestMembersRefusesBrokenDeliveries(t *testing.T) {
	tests := map[string]map[string]string{
		"nothing known":     {},
		"empty file":        {"Customers": ""},
		"short row":         {"Customers": customersHeader + "1,MR.\r\n"},
		"no key":            {"Customers": customersHeader + customer("", "a@b.c", "Y")},
		"bad price":         {"Products": "ProductKey,ProductName,ProductPrice\r\n9,X,1.00001\r\n"},
		"negative price":    {"Products": "ProductKey,ProductName,ProductPrice\r\n9,X,-1\r\n"},
		"bad date":          {"Sales_2019": salesHeader + "30/6/2019,1/1/2001,SO9,1,4,1,1,9\r\n"},
		"bad quantity":      {"Sales_2019": salesHeader + "6/30/2019,1/1/2001,SO9,1,4,1,1,-1\r\n"},
		"unknown product":   {"Sales_2019": salesHeader + "6/30/2019,1/1/2001,SO9,77,4,1,1,1\r\n"},
		"unknown territory": {"Sales_2019": salesHeader + "6/30/2019,1/1/2001,SO9,1,4,77,1,1\r\n"},
	}
	for name, later := range tests {
		t.Run(name, func(t *testing.T) {
			if sets, err := expect.Members(tiny(), files(later)); err == nil {
				t.Errorf("taken: %v", sets)
			}
		})
	}
	if _, err := expect.Members(); err == nil {
		t.Error("no delivery at all was taken")
	}
}
