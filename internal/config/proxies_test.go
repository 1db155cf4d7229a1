package config_test

import (
	"fmt"
	"strings"
	"testing"

	"usher/internal/config"
)

// TestTrustedProxies come from the environment as addresses and networks.
func TestTrustedProxies(t *testing.T) {
	t.Setenv("USHER_TRUSTED_PROXIES", "10.1.2.3,192.168.7.9/16,2001:db8::1")
	c, err := config.Load("", nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.Proxies()
	if err != nil || fmt.Sprint(got) != "[10.1.2.3/32 192.168.0.0/16 2001:db8::1/128]" {
		t.Errorf("%v, %v", got, err)
	}
	t.Setenv("USHER_TRUSTED_PROXIES", "10.1.2.3,proxy,10.0.0.0/99")
	if _, err := config.Load("", nil); err == nil || !strings.Contains(err.Error(), `"proxy"`) || !strings.Contains(err.Error(), `"10.0.0.0/99"`) {
		t.Errorf("wrong ones: %v", err)
	}
	if p, err := config.Default().Proxies(); err != nil || len(p) != 0 {
		t.Errorf("nobody is trusted by default: %v, %v", p, err)
	}
}
