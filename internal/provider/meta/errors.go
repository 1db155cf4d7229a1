package meta

import (
	"fmt"

	"usher/internal/activation"
)

// class is one way a call can fail: what to do, and what it is called. Each has
// a page in docs/troubleshooting.
type class struct {
	code    string
	kind    activation.Kind
	message string
}

var (
	classAuth        = class{"META-AUTH", activation.Unauthorized, "meta does not accept the access token: connect again"}
	classThrottle    = class{"META-THROTTLE", activation.WaitUntil, "meta asks for fewer calls"}
	classBlocked     = class{"META-BLOCKED", activation.WaitUntil, "meta blocks this for a while because of its policies: look into the account"}
	classUnavailable = class{"META-UNAVAILABLE", activation.Unavailable, "meta is not working as it should"}
	classAnswer      = class{"META-ANSWER", activation.Unavailable, "meta answered in a way that cannot be understood"}
	classPermission  = class{"META-PERMISSION", activation.Invalid, "the token may not do this: it needs ads_management and a role on the ad account"}
	classTerms       = class{"META-TERMS", activation.Invalid, "the ad account has not accepted the terms for custom audiences: accept them at https://business.facebook.com/ads/manage/customaudiences/tos/"}
	classAccount     = class{"META-ACCOUNT", activation.Invalid, "meta shows no such ad account to this token: check the account id and the token's role on it"}
	classFlagged     = class{"META-FLAGGED", activation.Invalid, "meta has flagged the audience and takes nobody in or out until that is resolved"}
	classShare       = class{"META-SHARE", activation.Invalid, "the audience is not shared with this ad account"}
	classGone        = class{"META-GONE", activation.Gone, "the audience does not exist any more"}
	classData        = class{"META-DATA", activation.RefusedWhole, "meta refuses the batch and does not say which row is wrong"}
	classSize        = class{"META-SIZE", activation.RefusedWhole, "the batch is larger than one request may be"}
	classTooSmall    = class{"META-TOOSMALL", activation.RefusedWhole, "meta does not remove people when too few would be left"}
	classDataset     = class{"META-DATASET", activation.Invalid, "meta shows no such data set to this token: check the id and the token's role on it"}
	classEvent       = class{"META-EVENT", activation.Invalid, "meta would refuse the event"}
	classValue       = class{"META-VALUE", activation.Invalid, "the person has no value, and the audience is value-based"}
	classReplace     = class{"META-REPLACE", activation.Invalid, "meta refuses a batch of a replacement that may be in already, and its session does not tell"}
	classRequest     = class{"META-REQUEST", activation.Invalid, "meta refuses the request"}
	classEdit        = class{"META-EDIT", activation.Invalid, "meta refuses the edit"}
	classEdits       = class{"META-EDIT", activation.RefusedWhole, "meta refuses the edits of one call and does not say which is wrong"}
	classObject      = class{"META-OBJECT", activation.Invalid, "meta shows no such object of this ad account to this token"}
	classSettings    = class{"META-SETTINGS", activation.Invalid, "a setting is wrong"}
)

// classes lists them all, in the order of the docs.
var classes = []class{
	classAuth, classPermission, classTerms, classAccount, classShare, classThrottle, classBlocked,
	classUnavailable, classAnswer, classGone, classFlagged, classData, classSize, classTooSmall,
	classDataset, classEvent, classValue, classReplace, classEdit, classObject, classRequest, classSettings,
}

// Codes are the codes of the errors this provider returns.
func Codes() []string {
	out := make([]string, len(classes))
	for i, c := range classes {
		out[i] = c.code
	}
	return out
}

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
	if e.Transient && found.kind != activation.WaitUntil {
		return classUnavailable
	}
	return found
}

// error makes the error of a class. The numbers stay in the message.
func (c class) error(e envelope) *activation.Error {
	err := &activation.Error{Kind: c.kind, Code: c.code, Message: c.message, RequestID: safeID(e.Trace)}
	switch {
	case e.Subcode != 0:
		err.Message += fmt.Sprintf(" (code %d, subcode %d)", e.Code, e.Subcode)
	case e.Code != 0:
		err.Message += fmt.Sprintf(" (code %d)", e.Code)
	}
	return err
}

// safeID returns id if it can be nothing but an id.
func safeID(id string) string {
	if len(id) > 64 {
		return ""
	}
	for i := range len(id) {
		c := id[i]
		if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && c != '_' && c != '-' && c != '/' && c != '+' && c != '=' {
			return ""
		}
	}
	return id
}
