package linkedin

import (
	"context"
	"testing"

	"usher/internal/activation"
	"usher/internal/provider"
)

func TestSizes(t *testing.T) {
	for name, tc := range map[string]struct {
		placement string
		want      int64
	}{
		"ready":            {`{"status":"READY","audienceSize":1234}`, 1234},
		"being updated":    {`{"status":"UPDATING","audienceSize":1234}`, 1234},
		"being built":      {`{"status":"BUILDING","audienceSize":1234}`, -1},
		"too few":          {`{"status":"READY","audienceSize":299}`, -1},
		"the least":        {`{"status":"READY","audienceSize":300}`, 300},
		"not told":         {`{"status":"READY"}`, -1},
		"not used anymore": {`{"status":"EXPIRED","audienceSize":400}`, 400},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := open(t, answer{body: `{"id":` + remoteID + `,"destinations":[` + tc.placement + `]}`})
			got, err := s.Size(context.Background(), provider.Audience{Remote: remoteID})
			if want := (provider.Size{Low: tc.want, High: tc.want, Matched: true}); err != nil || got != want {
				t.Errorf("%+v %v, want %+v", got, err, want)
			}
		})
	}
	s, n := open(t)
	_, err := s.Size(context.Background(), provider.Audience{Remote: "x"})
	wantError(t, err, activation.Invalid, "LINKEDIN-SETTINGS")
	if len(n.calls) > 0 {
		t.Error("something was asked")
	}
}
