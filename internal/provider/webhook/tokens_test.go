package webhook_test

import (
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/outbound"
	"usher/internal/provider"
	"usher/internal/provider/webhook"
	"usher/internal/provider/webhook/webhooktest"
	sandboxwebhook "usher/sandbox/webhook"
)

// TestClientCredentials: one token serves all requests, one that was refused is
// replaced without a word, and a client that is refused needs somebody.
func TestClientCredentials(t *testing.T) {
	n, err := webhooktest.OpenWith(sandboxwebhook.Options{Unsigned: true, ClientID: "client", ClientSecret: "s3cret-of-client"})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	open := func(secret string) provider.Destination {
		client := outbound.New(outbound.Config{AllowedHosts: n.Hosts(), Log: slog.New(slog.DiscardHandler), Now: time.Now})
		t.Cleanup(client.CloseIdleConnections)
		base := "http://" + n.Hosts()[0]
		d, err := webhook.Definition().For("webhook_events").NewDestination(provider.Deps{
			Auth: map[string]provider.Secret{"webhook_url": provider.Secret(base + "/in"), "token_url": provider.Secret(base + "/oauth/token"), "client_id": "client", "client_secret": provider.Secret(secret)},
			HTTP: client, Log: slog.New(slog.DiscardHandler), Now: time.Now,
		})
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	events := 0
	batch := func() provider.Batch {
		w, _ := webhook.Definition().Workflow("webhook_events")
		b := provider.Batch{Keys: w.Events[:1], Audience: provider.Audience{Marker: "m"}}
		for range 20 {
			events++
			b.Values = append(b.Values, []byte{byte('a' + events%26), byte('a' + events/26)})
		}
		return b
	}
	d := open("s3cret-of-client")
	if err := d.Check(t.Context()); err != nil || n.Far.Counters().Tokens != 1 || n.Writes() != 0 {
		t.Errorf("a check: %v, %+v", err, n.Far.Counters())
	}
	var both sync.WaitGroup
	for range 2 {
		b := batch()
		both.Go(func() {
			if rc, err := d.Deliver(t.Context(), b); err != nil || rc.Accepted != 20 {
				t.Errorf("%+v %v", rc, err)
			}
		})
	}
	both.Wait()
	if c := n.Far.Counters(); c.Tokens != 1 || c.Events != 40 {
		t.Errorf("%d tokens for %d events", c.Tokens, c.Events)
	}
	n.Far.ExpireTokens()
	if rc, err := d.Deliver(t.Context(), batch()); err != nil || rc.Accepted != 20 || n.Count() != 60 {
		t.Errorf("after the token was refused: %+v %v", rc, err)
	}
	wrong := open("another-s3cret")
	for _, err := range []error{wrong.Check(t.Context()), func() error { _, err := wrong.Deliver(t.Context(), batch()); return err }()} {
		var e *activation.Error
		if !errors.As(err, &e) || e.Kind != activation.Unauthorized || e.Code != "WEBHOOK-AUTH" || e.MayHaveApplied || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("a client that is refused: %v", err)
		}
	}
}
