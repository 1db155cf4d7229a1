package cli

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"usher/internal/activation"
	"usher/internal/warehouse"
	"usher/sandbox/expect"
)

// live shows what needs no file: an order told as it happens, and somebody who
// wants to be forgotten.
func (d *demo) live(ctx context.Context) error {
	held := d.held()[expect.BigSpenders]
	if len(held) == 0 {
		return nil
	}
	customer := held[0].ExternID
	if err := d.order(ctx, customer); err != nil {
		return fmt.Errorf("an order in real time: %w", err)
	}
	if err := d.forget(ctx, customer); err != nil {
		return fmt.Errorf("forget a person: %w", err)
	}
	return nil
}

// order sends one order and waits until it is in the profile.
func (d *demo) order(ctx context.Context, customer string) error {
	orders := func() (float64, error) {
		var p warehouse.Profile
		_, err := d.api.Do(ctx, http.MethodPost, "/v2/profile/lookup", map[string]string{"field": "customer_key", "value": customer}, &p)
		n, _ := p.Values["order_lines"].(float64)
		return n, err
	}
	before, err := orders()
	if err != nil {
		return err
	}
	event := fmt.Sprintf(`{"OrderDate":"06/15/2019","OrderNumber":"SO99999","OrderLineItem":"1","ProductKey":"566","CustomerKey":%q,"TerritoryKey":"9","OrderQuantity":"1"}`, customer)
	start := time.Now()
	if err := d.api.Upload(ctx, "/collect/json/sales", "application/json", strings.NewReader(event), nil); err != nil {
		return err
	}
	accepted := time.Since(start)
	if err := d.until(ctx, func() (bool, error) {
		n, err := orders()
		return n > before, err
	}); err != nil {
		return err
	}
	_, err = fmt.Fprintf(d.out, "\none order in real time: on disk after %s, in the profile after %s\n", accepted.Round(time.Millisecond), time.Since(start).Round(time.Millisecond))
	return err
}

// forget erases a customer, waits for the receipt, and looks for them at the sandbox.
func (d *demo) forget(ctx context.Context, customer string) error {
	start := time.Now()
	var f activation.Forget
	if _, err := d.api.Do(ctx, http.MethodPost, "/v2/forget", map[string]any{"identifier": map[string]string{"field": "customer_key", "value": customer}}, &f); err != nil {
		return err
	}
	if err := d.until(ctx, func() (bool, error) {
		_, err := d.api.Do(ctx, http.MethodGet, "/v2/forget/"+string(f.ID), nil, &f)
		return f.Status == activation.ForgetComplete, err
	}); err != nil {
		return err
	}
	left := 0
	for _, held := range d.held() {
		for _, m := range held {
			if m.ExternID == customer {
				left++
			}
		}
	}
	if left > 0 {
		d.matched = false
	}
	_, err := fmt.Fprintf(d.out, "one person forgotten: %s messages erased, taken out of %d audiences at the network, files rewritten, complete after %s; the sandbox still has them in %d\n",
		count(f.Counts["messages"]), len(f.Targets), time.Since(start).Round(100*time.Millisecond), left)
	return err
}

// until asks again and again, for up to two minutes.
func (d *demo) until(ctx context.Context, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for {
		ok, err := done()
		if ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
