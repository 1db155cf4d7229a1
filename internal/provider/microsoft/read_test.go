package microsoft

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"usher/internal/activation"
	"usher/internal/provider"
)

// TestNotTold: what an answer does not tell is no proof that it is gone. An answer that
// tells less than it was asked for is an error, where one that says that an object is
// not there is not.
func TestNotTold(t *testing.T) {
	two := []activation.ObjectRef{{Kind: activation.KindCampaign, ID: "8"}, {Kind: activation.KindCampaign, ID: "9"}}
	for name, tc := range map[string]struct {
		answer string
		there  int
		code   string // of the error
	}{
		"both":                    {`{"Campaigns":[{"Id":8},{"Id":9}],"PartialErrors":[null,null]}`, 2, ""},
		"one":                     {`{"Campaigns":[{"Id":8},null],"PartialErrors":[null,{"Index":1,"Code":1100,"ErrorCode":"CampaignServiceInvalidCampaignId"}]}`, 1, ""},
		"none":                    {`{"Campaigns":[null,null],"PartialErrors":[]}`, 0, ""},
		"one of another type":     {`{"Campaigns":[{"Id":8},null],"PartialErrors":[{"Index":1,"Code":516,"ErrorCode":"EntityIdFilterMismatch"}]}`, 1, ""},
		"one that is not asked":   {`{"Campaigns":[{"Id":8},{"Id":77}]}`, 1, ""},
		"one that failed within":  {`{"Campaigns":[{"Id":8},null],"PartialErrors":[{"Index":1,"Code":0,"ErrorCode":"InternalError"}]}`, 0, "MSADS-UNAVAILABLE"},
		"one that is throttled":   {`{"Campaigns":[{"Id":8},null],"PartialErrors":[{"Index":1,"Code":117}]}`, 0, "MSADS-THROTTLE"},
		"one that may not be":     {`{"Campaigns":[null,null],"PartialErrors":[{"Index":1,"Code":106}]}`, 0, "MSADS-PERMISSION"},
		"one place less":          {`{"Campaigns":[{"Id":8}],"PartialErrors":[]}`, 0, "MSADS-ANSWER"},
		"nothing":                 {`{}`, 0, "MSADS-ANSWER"},
		"something else":          {`{"status":"ok"}`, 0, "MSADS-ANSWER"},
		"another list":            {`{"Keywords":[null,null]}`, 0, "MSADS-ANSWER"},
		"errors of another form":  {`{"Campaigns":[null,null],"PartialErrors":{}}`, 0, "MSADS-ANSWER"},
		"an object of other form": {`{"Campaigns":[{"Id":"a"},null]}`, 0, "MSADS-ANSWER"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := open(t, &far{status: http.StatusOK, answer: tc.answer}, nil).Read(context.Background(), two)
			if tc.code != "" {
				if e := asError(t, err); e.Code != tc.code || e.MayHaveApplied {
					t.Errorf("%+v", e)
				}
				return
			}
			if err != nil || len(got) != tc.there {
				t.Errorf("%+v %v", got, err)
			}
		})
	}
}

// TestStructureNotTold: the account is not empty because an answer has no list.
func TestStructureNotTold(t *testing.T) {
	for _, answer := range []string{`{}`, `{"Budgets":[],"PartialErrors":[]}`, `{"Campaigns":[]}`, `{"Budgets":[],"Campaigns":[{"Id":8}]}`} {
		p := open(t, &far{status: http.StatusOK, answer: answer}, nil)
		err := p.Structure(context.Background(), func(provider.ObjectState) error { return nil })
		if err == nil || asError(t, err).Code != "MSADS-ANSWER" {
			t.Errorf("%s: %v", answer, err)
		}
	}
}

// TestReadLimits: no more ads are read in a call than GetAdsByIds takes.
func TestReadLimits(t *testing.T) {
	var refs []activation.ObjectRef
	for i := range 40 {
		refs = append(refs, activation.ObjectRef{Kind: activation.KindCreative, ID: "8~12~" + strconv.Itoa(i+1)})
	}
	f := &far{status: http.StatusOK, answer: `{"Ads":[` + strings.TrimSuffix(strings.Repeat("null,", 20), ",") + `]}`}
	_, err := open(t, f, nil).Read(context.Background(), refs)
	if err != nil || len(f.sent) != 2 {
		t.Fatalf("%d calls, %v", len(f.sent), err)
	}
	for _, call := range f.sent {
		_, list, _ := strings.Cut(call, `"AdIds":[`)
		list, _, _ = strings.Cut(list, "]")
		if n := len(strings.Split(list, ",")); n != 20 {
			t.Errorf("a call names %d", n)
		}
	}
}
