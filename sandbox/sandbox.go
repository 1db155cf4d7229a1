// Package sandbox runs stand-ins of the advertising networks: the same paths,
// rules, limits and errors as the real ones, with read-back and faults on
// demand, for demos, dry runs and tests.
//
// It owns what the networks hold and imports nothing of the product, because an
// oracle shares no code with what it judges. It must not be reachable from
// other machines: read-back shows members and is for loopback only. It is built
// for the failure of believing a delivery because the sender says so.
//
// Each network lives below its own path, such as /meta, which makes the base
// address of that network; one that is not HTTP has a port of its own.
// Everything about the sandbox itself lives below /_sandbox/:
//
//	GET    /_sandbox/          what is there
//	GET    /_sandbox/faults    fault scripts and what they met
//	POST   /_sandbox/faults    add one script or a list of them
//	DELETE /_sandbox/faults    remove all scripts
//	*      /_sandbox/<name>/   the read-back of that network: see its Control
package sandbox

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"usher/sandbox/fault"
	"usher/sandbox/google"
	"usher/sandbox/linkedin"
	"usher/sandbox/meta"
	"usher/sandbox/microsoft"
	"usher/sandbox/oauth"
	"usher/sandbox/s3"
	"usher/sandbox/sftp"
	"usher/sandbox/tradedesk"
	"usher/sandbox/webhook"
)

// registry is the one list of the networks: a network that is not in it is not
// served. Adding one = one line.
var registry = []entry{
	{"meta", "Meta", Credentials{"access_token": meta.DefaultToken, "base_url": "{url}"}, func(o Options, d deps) (Network, error) {
		return meta.New(o.Meta, meta.Deps{Seed: d.Seed, Log: d.Log, Now: d.Now, Faults: d.Faults, StateFile: o.StateFile})
	}},
	{"google", "Google", Credentials{"client_id": google.DefaultClientID, "client_secret": google.DefaultClientSecret, "refresh_token": google.DefaultRefreshToken, "token_url": "{url}/token", "base_url": "{url}", "ads_base_url": "{url}"}, func(_ Options, d deps) (Network, error) {
		return google.New(google.Options{}, google.Deps(d))
	}},
	{"linkedin", "LinkedIn", Credentials{"access_token": linkedin.DefaultToken, "base_url": "{url}/rest"}, func(o Options, d deps) (Network, error) {
		return linkedin.New(linkedin.Options{Hidden: o.lag(), Settle: o.lag()}, linkedin.Deps(d))
	}},
	{"microsoft", "Microsoft Advertising (account " + microsoft.DefaultAccount + ", customer " + microsoft.DefaultCustomer + ")", Credentials{
		"access_token": microsoft.DefaultToken, "developer_token": microsoft.DefaultDeveloperToken, "campaign_url": "{url}", "reporting_url": "{url}", "customer_url": "{url}",
	}, func(_ Options, d deps) (Network, error) {
		return microsoft.New(microsoft.Options{}, microsoft.Deps(d))
	}},
	{"tradedesk", "The Trade Desk (account sandboxadv)", Credentials{"advertiser_secret": tradedesk.DefaultSecret, "base_url": "{url}"}, func(_ Options, d deps) (Network, error) {
		return tradedesk.New(tradedesk.Options{}, tradedesk.Deps(d))
	}},
	{"oauth", "Consent (OAuth)", Credentials{"client_id": oauth.DefaultClientID, "client_secret": oauth.DefaultClientSecret, "authorize_url": "{url}/authorize", "token_url": "{url}/token"}, func(_ Options, d deps) (Network, error) {
		return oauth.New(oauth.Options{Rotate: true}, oauth.Deps(d))
	}},
	{"sftp", "SFTP (folder " + sftp.DefaultFolder + ")", Credentials{
		"host": "{host}", "port": "{port}", "username": sftp.DefaultUser, "password": sftp.DefaultPassword, "host_key": sftp.Fingerprint,
	}, func(_ Options, d deps) (Network, error) { return sftp.New(sftp.Options{}, sftp.Deps(d)) }},
	{"s3", "S3 (bucket " + s3.DefaultBucket + ")", Credentials{"endpoint": "{url}", "access_key": s3.DefaultAccessKey, "secret_key": s3.DefaultSecretKey}, func(_ Options, d deps) (Network, error) {
		return s3.New(s3.Options{}, s3.Deps(d))
	}},
	{"webhook", "Webhook receiver", Credentials{"webhook_url": "{url}/in", "signing_secret": webhook.DefaultSecret}, func(_ Options, d deps) (Network, error) {
		return webhook.New(webhook.Options{}, webhook.Deps(d))
	}},
}

// Options set up a sandbox. The zero value is usable.
type Options struct {
	// Seed decides everything left to chance: ids, trace ids, faults.
	Seed uint64
	// Log takes what happens; nil means nowhere.
	Log *slog.Logger
	// Now is the clock; nil means the system's.
	Now func() time.Time
	// Networks are the names of those that are served; none means all.
	Networks []string
	// Prompt leaves out the lags after something was made, for tests that have no
	// minute to wait.
	Prompt bool
	// Example puts a file of people where imports find it: see ExampleName.
	Example bool
	// Meta sets up the network of that name.
	Meta meta.Options
	// StateFile, when set, keeps Meta's audiences over a restart. It is
	// readable by its owner only.
	StateFile string
}

// lag is what a network is set up with where its own lag is not wanted; 0 = its
// own.
func (o Options) lag() time.Duration {
	if o.Prompt {
		return time.Millisecond
	}
	return 0
}

// Sandbox is a set of networks. Its methods may be called in parallel.
type Sandbox struct {
	log      *slog.Logger
	faults   *fault.Plan
	networks []*served
}

// New makes a sandbox that keeps its state in memory. It ignores StateFile; use
// Open for that.
func New(o Options) *Sandbox {
	o.StateFile = ""
	s, err := Open(o)
	if err != nil {
		panic(err) // only a state file can fail
	}
	return s
}

// Open makes a sandbox and reads its StateFile. Close ends it.
func Open(o Options) (*Sandbox, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Sandbox{log: o.Log, faults: fault.NewPlan(o.Seed)}
	for _, e := range registry {
		if len(o.Networks) > 0 && !slices.Contains(o.Networks, e.name) {
			continue
		}
		n, err := e.open(o, deps{Seed: o.Seed, Log: o.Log, Now: o.Now, Faults: s.faults})
		if err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", e.name, err), s.Close())
		}
		s.networks = append(s.networks, &served{entry: e, network: n})
	}
	if o.Example {
		if err := s.putExample(); err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	return s, nil
}

// Close lets held calls go and closes the state. It may be called twice.
func (s *Sandbox) Close() error {
	var errs []error
	for _, e := range s.networks {
		if e.ln != nil {
			_ = e.ln.Close() // it may be closed already
		}
		errs = append(errs, e.network.Close())
	}
	return errors.Join(errs...)
}

// Network returns the stand-in of that name, nil when there is none.
func (s *Sandbox) Network(name string) Network {
	for _, e := range s.networks {
		if e.name == name {
			return e.network
		}
	}
	return nil
}

// Meta returns the stand-in of Meta's Graph API.
func (s *Sandbox) Meta() *meta.Network {
	n, _ := s.Network("meta").(*meta.Network)
	return n
}

// Listing is what there is to say of one network.
type Listing struct {
	Name, Title string
	// Address is the URL below which the network is, or the host:port of a
	// network with a port of its own.
	Address string
	// Credentials are what a fresh network takes.
	Credentials Credentials
}

// Networks says what there is, for a sandbox that is served at addr.
func (s *Sandbox) Networks(addr string) []Listing {
	list := make([]Listing, len(s.networks))
	for i, e := range s.networks {
		url, own, host, port := "http://"+addr+"/"+e.name, addr, "", ""
		list[i] = Listing{Name: e.name, Title: e.title, Address: url, Credentials: Credentials{}}
		if e.ln != nil {
			own = e.ln.Addr().String()
			list[i].Address = own
		}
		host, port, _ = net.SplitHostPort(own)
		fill := strings.NewReplacer("{url}", url, "{address}", own, "{host}", host, "{port}", port)
		for name, value := range e.credentials {
			list[i].Credentials[name] = fill.Replace(value)
		}
	}
	return list
}

// Fault adds a fault script and returns its id.
func (s *Sandbox) Fault(f fault.Fault) (int, error) { return s.faults.Add(f) }

// Faults returns all fault scripts and what they met.
func (s *Sandbox) Faults() []fault.Script { return s.faults.Scripts() }

// ResetFaults removes all fault scripts.
func (s *Sandbox) ResetFaults() { s.faults.Reset() }

// Handler serves all networks and the read-back.
func (s *Sandbox) Handler() http.Handler {
	mux := http.NewServeMux()
	for _, e := range s.networks {
		mux.Handle("/"+e.name+"/", http.StripPrefix("/"+e.name, e.network))
	}
	mux.Handle("/_sandbox/", loopbackOnly(s.control()))
	return mux
}
