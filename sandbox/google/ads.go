package google

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"
)

// AdsScope is that of the Google Ads API.
const AdsScope = "https://www.googleapis.com/auth/adwords"

// The operations of the Google Ads API, as fault scripts name them.
const (
	opMutate = "mutate"
	opSearch = "search"
)

// AdsCustomer is an account of the Google Ads API.
type AdsCustomer struct {
	Name string `json:"name"`
	// Currency and TimeZone; "" means EUR and Europe/Paris.
	Currency string `json:"currency"`
	TimeZone string `json:"time_zone"`
	// Manager accounts have no campaigns. Disabled ones take no calls. Undeclared ones
	// take no edits until somebody says whether they have political advertising.
	Manager    bool `json:"manager,omitempty"`
	Disabled   bool `json:"disabled,omitempty"`
	Undeclared bool `json:"undeclared,omitempty"`
}

// unit is what amounts are multiples of, in micros.
func (c AdsCustomer) unit() int64 {
	if slices.Contains([]string{"CLP", "IDR", "ISK", "JPY", "KRW", "PYG", "UGX", "VND"}, c.Currency) {
		return 1_000_000
	}
	return 10_000
}

// adsKind is one kind of resource: how it is called in names, rows, definitions and
// operations.
type adsKind struct{ collection, row, message string }

func (k adsKind) op() protoreflect.Name     { return protoreflect.Name(k.row + "_operation") }
func (k adsKind) result() protoreflect.Name { return protoreflect.Name(k.row + "_result") }

var adsKinds = []adsKind{
	{"campaignBudgets", "campaign_budget", "CampaignBudget"},
	{"campaigns", "campaign", "Campaign"},
	{"adGroups", "ad_group", "AdGroup"},
	{"adGroupAds", "ad_group_ad", "AdGroupAd"},
	{"adGroupCriteria", "ad_group_criterion", "AdGroupCriterion"},
	{"campaignCriteria", "campaign_criterion", "CampaignCriterion"},
}

func kindOfRow(row string) (adsKind, bool) {
	i := slices.IndexFunc(adsKinds, func(k adsKind) bool { return k.row == row })
	if i < 0 {
		return adsKind{}, false
	}
	return adsKinds[i], true
}

// adsResource is one resource of an account.
type adsResource struct {
	kind adsKind
	name string
	// own is its number, and that of what it lies in for those with two.
	parent, own int64
	message     protoreflect.Message
	removed     bool
}

// adsAccount is the tree of one account.
type adsAccount struct {
	id        string
	is        AdsCustomer
	resources map[string]*adsResource
	keywords  map[string]int64 // text and match type have one number everywhere
	last      int64
	calls     int
	journal   []AdsEffect
	changes   []protoreflect.Message
	costs     []AdsCost
	place     *time.Location // by TimeZone
	day       time.Time
	spent     int // operations of that day
}

// AdsEffect is one change that an operation made.
type AdsEffect struct {
	// Call is the number of the call, counted for the account from 1; 0 = it was made
	// behind the caller's back.
	Call      int       `json:"call"`
	At        time.Time `json:"at"`
	Operation string    `json:"operation"`
	// Resource is the whole name.
	Resource string   `json:"resource"`
	Mask     []string `json:"mask,omitempty"`
}

// AdsCost is what one resource cost on one day.
type AdsCost struct {
	// Resource is the whole name of a campaign, an ad group or a criterion of one.
	Resource    string  `json:"resource"`
	Date        string  `json:"date"`
	Impressions int64   `json:"impressions"`
	Clicks      int64   `json:"clicks"`
	CostMicros  int64   `json:"cost_micros"`
	Conversions float64 `json:"conversions"`
	Value       float64 `json:"conversions_value"`
}

// adsAccount returns the account of this id, which begins empty. The caller holds the
// lock.
func (n *Network) adsAccount(id string) *adsAccount {
	a := n.ads[id]
	if a == nil {
		is := n.opts.Customers[id]
		orText(&is.Name, "Sandbox "+id)
		orText(&is.Currency, "EUR")
		orText(&is.TimeZone, "Europe/Paris")
		a = &adsAccount{id: id, is: is, resources: map[string]*adsResource{}, keywords: map[string]int64{}, last: 1000}
		n.ads[id] = a
	}
	return a
}

func (a *adsAccount) next() int64 {
	a.last++
	return a.last
}

func (a *adsAccount) zone() *time.Location {
	if a.place == nil {
		z, err := time.LoadLocation(a.is.TimeZone)
		if err != nil {
			z = time.UTC
		}
		a.place = z
	}
	return a.place
}

// of returns the resources of a kind by their numbers.
func (a *adsAccount) of(k adsKind) []*adsResource {
	var out []*adsResource
	for _, r := range a.resources {
		if r.kind == k {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(x, y *adsResource) int {
		if x.parent != y.parent {
			return int(min(1, max(-1, x.parent-y.parent)))
		}
		return int(min(1, max(-1, x.own-y.own)))
	})
	return out
}

// adsMessage makes an empty message of google.ads.googleads.v25.
func adsMessage(name string) (protoreflect.Message, error) {
	files, err := adsDefinitions()
	if err != nil {
		return nil, err
	}
	d, err := files.FindDescriptorByName(protoreflect.FullName("google.ads.googleads.v25." + name))
	if err != nil {
		return nil, err
	}
	descriptor, ok := d.(protoreflect.MessageDescriptor)
	if !ok {
		return nil, fmt.Errorf("%s is no message", name)
	}
	return dynamicpb.NewMessage(descriptor), nil
}

func mustAdsMessage(name string) protoreflect.Message {
	m, err := adsMessage(name)
	if err != nil {
		panic(err) // the definitions were read when the network was made
	}
	return m
}

// at returns the value of a path such as "keyword.text", and whether it is there.
func valueAt(m protoreflect.Message, path string) (protoreflect.Value, protoreflect.FieldDescriptor, bool) {
	name, rest, deeper := strings.Cut(path, ".")
	f := m.Descriptor().Fields().ByName(protoreflect.Name(name))
	if f == nil || !m.Has(f) {
		return protoreflect.Value{}, f, false
	}
	if !deeper {
		return m.Get(f), f, true
	}
	if f.Message() == nil || f.IsList() {
		return protoreflect.Value{}, f, false
	}
	return valueAt(m.Get(f).Message(), rest)
}

func textAt(m protoreflect.Message, path string) string {
	v, f, ok := valueAt(m, path)
	switch {
	case !ok:
		return ""
	case f.Kind() == protoreflect.EnumKind:
		if e := f.Enum().Values().ByNumber(v.Enum()); e != nil {
			return string(e.Name())
		}
	}
	return v.String()
}

func intAt(m protoreflect.Message, path string) int64 {
	v, _, ok := valueAt(m, path)
	if !ok {
		return 0
	}
	return v.Int()
}

func boolAt(m protoreflect.Message, path string) bool {
	v, _, ok := valueAt(m, path)
	return ok && v.Bool()
}

// put sets a field of a message by the text of its value.
func put(m protoreflect.Message, path, text string) {
	name, rest, deeper := strings.Cut(path, ".")
	f := m.Descriptor().Fields().ByName(protoreflect.Name(name))
	if deeper {
		put(m.Mutable(f).Message(), rest, text)
		return
	}
	switch f.Kind() {
	case protoreflect.EnumKind:
		m.Set(f, protoreflect.ValueOfEnum(f.Enum().Values().ByName(protoreflect.Name(text)).Number()))
	case protoreflect.Int64Kind:
		n, _ := strconv.ParseInt(text, 10, 64)
		m.Set(f, protoreflect.ValueOfInt64(n))
	case protoreflect.DoubleKind:
		n, _ := strconv.ParseFloat(text, 64)
		m.Set(f, protoreflect.ValueOfFloat64(n))
	case protoreflect.BoolKind:
		m.Set(f, protoreflect.ValueOfBool(text == "true"))
	default:
		m.Set(f, protoreflect.ValueOfString(text))
	}
}

var adsPath = regexp.MustCompile(`^/(v[0-9]+)/customers/([^/]+)/googleAds:(mutate|searchStream)$`)

// routeAds reads the operation of the Google Ads API.
func routeAds(c *call) {
	m := adsPath.FindStringSubmatch(c.request.URL.Path)
	if m == nil || c.request.Method != http.MethodPost {
		return
	}
	c.adsVersion, c.customer = m[1], m[2]
	c.op = map[string]string{"mutate": opMutate, "searchStream": opSearch}[m[3]]
}

var customerDigits = regexp.MustCompile(`^[0-9]{1,19}$`)

// answerAds carries a call of the Google Ads API out. The caller holds the lock.
func (n *Network) answerAds(c *call) answer {
	request := n.random(22)
	body, failed := n.handleAds(c, request)
	if failed != nil {
		c.record.Reason = failed.code()
		body := any(failed.envelope(request))
		if c.op == opSearch {
			body = []any{body}
		}
		return answer{status: failed.status, body: body, request: request}
	}
	return answer{status: http.StatusOK, body: body, request: request}
}

func (n *Network) handleAds(c *call, request string) (any, *adsFailure) {
	if err := n.authorizeAds(c); err != nil {
		return nil, err
	}
	if c.adsVersion != "v25" && c.adsVersion != "v26" {
		return nil, adsRefusal("requestError.UNSUPPORTED_VERSION", "The version is not supported.")
	}
	kind, _, _ := strings.Cut(c.request.Header.Get("Content-Type"), ";")
	if kind != "application/json" || c.request.URL.RawQuery != "" {
		return nil, adsMalformed("The body must be application/json, and there are no query parameters.")
	}
	a := n.adsAccount(c.customer)
	if a.is.Disabled {
		return nil, adsForbidden("authorizationError.CUSTOMER_NOT_ENABLED", "The account is not enabled.")
	}
	if c.op == opSearch {
		return n.adsSearch(c, a, request)
	}
	return n.adsMutate(c, a)
}

// authorizeAds checks token, scope, manager and account.
func (n *Network) authorizeAds(c *call) *adsFailure {
	kind, secret, ok := strings.Cut(c.request.Header.Get("Authorization"), " ")
	token, known := n.tokens[secret]
	switch {
	case !ok || !strings.EqualFold(kind, "Bearer"):
		return adsUnauthenticated("authenticationError.OAUTH_TOKEN_HEADER_INVALID")
	case !known:
		return adsUnauthenticated("authenticationError.OAUTH_TOKEN_INVALID")
	case !token.ExpiresAt.IsZero() && !c.at.Before(token.ExpiresAt):
		return adsUnauthenticated("authenticationError.OAUTH_TOKEN_EXPIRED")
	case token.Scope != "" && !slices.Contains(strings.Fields(token.Scope), AdsScope):
		return &adsFailure{status: http.StatusForbidden, reason: "ACCESS_TOKEN_SCOPE_INSUFFICIENT", message: "The token lacks the scope."}
	}
	c.token = token
	if !customerDigits.MatchString(c.customer) {
		return adsRefusal("requestError.INVALID_CUSTOMER_ID", "The customer id must be digits.")
	}
	manager := c.request.Header.Get("Login-Customer-Id")
	if manager != "" && !customerDigits.MatchString(manager) {
		return adsRefusal("headerError.INVALID_LOGIN_CUSTOMER_ID", "The login customer id must be digits.")
	}
	there := func(id string) bool { return len(n.opts.Accounts) == 0 || slices.Contains(n.opts.Accounts, id) }
	reached := func(id string) bool { return len(token.Accounts) == 0 || slices.Contains(token.Accounts, id) }
	if !there(c.customer) || manager != "" && !there(manager) || !reached(c.customer) && (manager == "" || !reached(manager)) {
		return adsForbidden("authorizationError.USER_PERMISSION_DENIED", "The user does not have permission to access the account.")
	}
	return nil
}

// spend counts operations against the quota of the day.
func (n *Network) spend(a *adsAccount, at time.Time, operations int) *adsFailure {
	if day := at.Truncate(24 * time.Hour); !a.day.Equal(day) {
		a.day, a.spent = day, 0
	}
	if n.opts.AdsPerDay > 0 && a.spent+operations > n.opts.AdsPerDay {
		return adsExhausted("RESOURCE_EXHAUSTED", a.day.Add(24*time.Hour).Sub(at))
	}
	a.spent += operations
	return nil
}
