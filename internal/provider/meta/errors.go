package meta

import (
	"fmt"

	"usher/internal/activation"
	"usher/internal/provider"
)

// class is one way a call can fail: what to do, and what it is called. Each has
// a page in docs/troubleshooting.
type class = provider.Failure

var (
	classAuth        = provider.Fails("META-AUTH", activation.Unauthorized, "meta does not accept the access token: connect again")
	classThrottle    = provider.Fails("META-THROTTLE", activation.WaitUntil, "meta asks for fewer calls")
	classBlocked     = provider.Fails("META-BLOCKED", activation.WaitUntil, "meta blocks this for a while because of its policies: look into the account")
	classUnavailable = provider.Fails("META-UNAVAILABLE", activation.Unavailable, "meta is not working as it should")
	classAnswer      = provider.Fails("META-ANSWER", activation.Unavailable, "meta answered in a way that cannot be understood")
	classPermission  = provider.Fails("META-PERMISSION", activation.Invalid, "the token may not do this: it needs ads_management and a role on the ad account")
	classTerms       = provider.Fails("META-TERMS", activation.Invalid, "the ad account has not accepted the terms for custom audiences: accept them at https://business.facebook.com/ads/manage/customaudiences/tos/")
	classAccount     = provider.Fails("META-ACCOUNT", activation.Invalid, "meta shows no such ad account to this token: check the account id and the token's role on it")
	classFlagged     = provider.Fails("META-FLAGGED", activation.Invalid, "meta has flagged the audience and takes nobody in or out until that is resolved")
	classShare       = provider.Fails("META-SHARE", activation.Invalid, "the audience is not shared with this ad account")
	classGone        = provider.Fails("META-GONE", activation.Gone, "the audience does not exist any more")
	classData        = provider.Fails("META-DATA", activation.RefusedWhole, "meta refuses the batch and does not say which row is wrong")
	classSize        = provider.Fails("META-SIZE", activation.RefusedWhole, "the batch is larger than one request may be")
	classTooSmall    = provider.Fails("META-TOOSMALL", activation.RefusedWhole, "meta does not remove people when too few would be left")
	classDataset     = provider.Fails("META-DATASET", activation.Invalid, "meta shows no such data set to this token: check the id and the token's role on it")
	classEvent       = provider.Fails("META-EVENT", activation.Invalid, "meta would refuse the event")
	classValue       = provider.Fails("META-VALUE", activation.Invalid, "the person has no value, and the audience is value-based")
	classReplace     = provider.Fails("META-REPLACE", activation.Invalid, "meta refuses a batch of a replacement that may be in already, and its session does not tell")
	classRequest     = provider.Fails("META-REQUEST", activation.Invalid, "meta refuses the request")
	classEdit        = provider.Fails("META-EDIT", activation.Invalid, "meta refuses the edit")
	classEdits       = provider.Fails("META-EDIT", activation.RefusedWhole, "meta refuses the edits of one call and does not say which is wrong")
	classObject      = provider.Fails("META-OBJECT", activation.Invalid, "meta shows no such object of this ad account to this token")
	classSettings    = provider.Fails("META-SETTINGS", activation.Invalid, "a setting is wrong")
)

// classes lists them all, in the order of the docs.
var classes = []class{
	classAuth, classPermission, classTerms, classAccount, classShare, classThrottle, classBlocked,
	classUnavailable, classAnswer, classGone, classFlagged, classData, classSize, classTooSmall,
	classDataset, classEvent, classValue, classReplace, classEdit, classObject, classRequest, classSettings,
}

// Codes are the codes of the errors this provider returns.
func Codes() []string { return provider.Codes(classes) }

// anySubcode in a rule stands for every subcode that has no rule of its own.
const anySubcode = -1

// rule is a row of the error reference (docs/graph-api/guides/error-handling,
// marketing-api/error-reference). codes from to to, inclusive.
type rule struct {
	from, to int
	subcode  int
	class    class
}

// rules are looked through from the top. The HTTP status is not asked: throttles
// come as 400 or inside 200, token errors as 400 or 401.
var rules = []rule{
	{190, 190, anySubcode, classAuth}, // token: 458 not installed, 459 checkpoint, 460 password, 463 expired, 464 unconfirmed, 467 invalid
	{102, 102, anySubcode, classAuth}, // session
	{104, 104, anySubcode, classAuth}, // appsecret_proof

	{4, 4, anySubcode, classThrottle},         // app
	{17, 17, anySubcode, classThrottle},       // user or ad account
	{32, 32, anySubcode, classThrottle},       // page token
	{341, 341, anySubcode, classThrottle},     // app
	{613, 613, anySubcode, classThrottle},     // ad account
	{80000, 80014, anySubcode, classThrottle}, // business use case; 80003 is custom audience
	{368, 368, anySubcode, classBlocked},

	{1, 1, anySubcode, classUnavailable},
	{2, 2, anySubcode, classUnavailable},
	{5000, 5000, anySubcode, classUnavailable},
	{21009, 21009, anySubcode, classUnavailable},
	// 2650 "failed to update custom audience" is taken for passing: sending the
	// batch again is harmless, and fail_after bounds the tries.
	{2650, 2650, anySubcode, classUnavailable},

	{200, 200, 1870034, classTerms},
	{2655, 2655, anySubcode, classTerms},
	{200, 200, 1870047, classTooSmall},
	{100, 100, 1713230, classFlagged},
	{100, 100, 33, classGone}, // or no access: settled by missing()
	{100, 100, 1487301, classShare},
	{100, 100, 1487366, classGone},
	{1487301, 1487301, anySubcode, classShare},
	{1487366, 1487366, anySubcode, classGone},

	{3, 3, anySubcode, classPermission},
	{10, 10, anySubcode, classPermission},
	{200, 299, anySubcode, classPermission},

	{100, 100, anySubcode, classData},
	{105, 105, anySubcode, classRequest},   // too many parameters
	{194, 194, anySubcode, classRequest},   // missing parameter
	{506, 506, anySubcode, classRequest},   // duplicate
	{2500, 2500, anySubcode, classRequest}, // path
}

// envelope is Meta's error object. Its texts are not read: they may repeat
// values that were sent.
type envelope struct {
	Code      number `json:"code"`
	Subcode   number `json:"error_subcode"`
	Transient bool   `json:"is_transient"`
	Trace     string `json:"fbtrace_id"`
}

// classify finds the class of an error. is_transient says "retry" whatever the
// code; only a throttle still waits as long as it asks. A code without a rule is
// refused for good, since Meta marks what may pass by itself.
func (e envelope) classify() class {
	found := classRequest
	for _, r := range rules {
		if int(e.Code) >= r.from && int(e.Code) <= r.to && (r.subcode == anySubcode || r.subcode == int(e.Subcode)) {
			found = r.class
			break
		}
	}
	if e.Transient && found.Kind != activation.WaitUntil {
		return classUnavailable
	}
	return found
}

// failure makes the error of a class. The numbers stay in the message.
func failure(c class, e envelope) *activation.Error {
	var said []string
	if e.Code != 0 || e.Subcode != 0 {
		said = append(said, fmt.Sprintf("code %d", e.Code))
	}
	if e.Subcode != 0 {
		said = append(said, fmt.Sprintf("subcode %d", e.Subcode))
	}
	err := c.New(said...)
	err.RequestID = safeID(e.Trace)
	return err
}

// safeID returns id if it can be nothing but an id.
func safeID(id string) string {
	return provider.OnlyOf(id, 64, provider.UpperCase, provider.LowerCase, provider.Digits, "_-/+=")
}
