package expression

import (
	"strings"

	"github.com/nyaruka/phonenumbers"
)

// PhoneFunction is the SQL function (text, country) that expressions with phone()
// call; the caller of Compile makes it. It gives the number as E.164, NULL where
// the text is none.
const PhoneFunction = "usher_phone"

func checkPhone(n *node) (Type, error) {
	if err := want(n, n.args[0], Text); err != nil {
		return "", err
	}
	if len(n.args) == 2 && !isCountry(n.args[1]) {
		return "", errorAt(n.args[1].pos, `phone takes the country as its ISO 3166 code in quotes, such as "US", found %s`, brief(print(n.args[1])))
	}
	return Text, nil
}

func isCountry(n *node) bool {
	return n.kind == textNode && len(n.text) == 2 && n.text == strings.ToUpper(n.text) && phonenumbers.GetCountryCodeForRegion(n.text) > 0
}

// phone compiles phone(): the country is that of the expression or of the stream.
func (c *compiler) phone(n *node) (value, error) {
	country := c.opt.PhoneCountry
	if len(n.args) == 2 {
		country = n.args[1].text
	}
	if country == "" {
		return value{}, errorAt(n.pos, `phone must know which country numbers without a country code are of: give the stream a phone country, or write phone(…, "US")`)
	}
	v, err := c.compile(n.args[0])
	if err != nil {
		return value{}, err
	}
	return c.read(v, Text, func(x string) string { return PhoneFunction + "(" + x + ", '" + country + "')" }), nil
}
