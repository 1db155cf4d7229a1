package google_test

import (
	"context"
	"net/http"
	"testing"

	"usher/internal/activation"
	"usher/internal/provider"
)

func TestSizes(t *testing.T) {
	for name, tc := range map[string]struct {
		body      string
		low, high int64
	}{
		"of each network":  {`,"sizeInfo":{"displayNetworkMembersCount":"1200","searchNetworkMembersCount":"1000","youtubeMembersCount":"1500","gmailMembersCount":"1100"}`, 1000, 1500},
		"of some networks": {`,"sizeInfo":{"displayNetworkMembersCount":"0","searchNetworkMembersCount":"1000","youtubeMembersCount":"x"}`, 1000, 1000},
		"of a small list":  {`,"sizeInfo":{"displayNetworkMembersCount":"0","searchNetworkMembersCount":"0","youtubeMembersCount":"0","gmailMembersCount":"0"}`, -1, -1},
		"not told":         {``, -1, -1},
		"below nothing":    {`,"sizeInfo":{"displayNetworkMembersCount":"-1"}`, -1, -1},
	} {
		t.Run(name, func(t *testing.T) {
			d := open(t, always(http.StatusOK, `{"id":"998877"`+tc.body+`}`))
			got, err := d.(provider.Sizer).Size(context.Background(), provider.Audience{Remote: "998877"})
			if want := (provider.Size{Low: tc.low, High: tc.high, Matched: true}); err != nil || got != want {
				t.Errorf("%+v %v, want %+v", got, err, want)
			}
		})
	}
	_, err := open(t, always(200, `{}`)).(provider.Sizer).Size(context.Background(), provider.Audience{Remote: "../1"})
	if e := wrong(t, err); e.Kind != activation.Invalid || e.Field != "remote" {
		t.Errorf("another id: %v", err)
	}
}
