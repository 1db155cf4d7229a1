package meta

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"usher/internal/activation"
	"usher/internal/outbound"
	"usher/internal/provider"
)

// budgetBlock is how long Meta takes no change of an ad set's budget after four in
// an hour (marketing-api/overview/rate-limiting).
const budgetBlock = time.Hour

// codeLimit is that of the limits of an account, and of budgets that were changed
// too often.
const codeLimit = 17

// codeAudienceGone says that targeting names an audience that was deleted.
const codeAudienceGone = 1487366

// Post sends edits in one call: one as it is, several as a batch. What targeting
// there is at Meta is read before.
func (p *publisher) Post(ctx context.Context, edits []provider.Edit) ([]provider.EditOutcome, error) {
	if len(edits) == 0 {
		return nil, nil
	}
	if len(edits) > maxTogether {
		e := failure(classRequest, envelope{})
		e.Message = "more edits than one call may have"
		return nil, e
	}
	if err := p.learn(ctx); err != nil {
		return nil, unsent(err)
	}
	was, err := p.targetings(ctx, edits)
	if err != nil {
		return nil, unsent(err)
	}
	out := make([]provider.EditOutcome, len(edits))
	var sent []posting
	for i, e := range edits {
		if _, known := was[e.Object.ID]; retargets(e) && !known { // the rest of its targeting would be lost
			out[i] = provider.EditOutcome{State: provider.EditRefused, Code: classObject.Code, Text: classObject.Message, Answer: "it was not sent"}
			continue
		}
		w, problem := p.write(e, was[e.Object.ID])
		if problem != nil {
			out[i] = *problem
			continue
		}
		sent = append(sent, posting{at: i, edit: e, written: w})
	}
	if len(sent) == 0 {
		return out, nil
	}
	if err := p.send(ctx, sent); err != nil {
		return nil, p.stopped(err)
	}
	p.account100(ctx, sent)
	p.permitted(ctx, sent)
	var stop *activation.Error
	for i := range sent {
		s := &sent[i]
		out[s.at] = s.outcome
		if s.outcome.State == provider.EditLater && s.stops != nil && stop == nil {
			stop = s.stops
		}
	}
	for _, o := range out {
		if o.State != provider.EditLater {
			return out, nil
		}
	}
	if stop != nil { // none was taken, for a reason that is not of one edit
		return nil, p.stopped(stop)
	}
	return out, nil
}

// stopped keeps other calls back as long as an error asks for it.
func (p *publisher) stopped(err error) error {
	var e *activation.Error
	if errors.As(err, &e) && e.Kind == activation.WaitUntil {
		p.m.gate.close(e.Until)
	}
	return err
}

// posting is an edit under way.
type posting struct {
	at      int
	edit    provider.Edit
	written written
	outcome provider.EditOutcome
	// stops is the error that keeps the whole account from being edited.
	stops *activation.Error
	// missing: Meta shows no such object.
	missing bool
}

// send makes the call and finds the outcome of each. err is set when none is known.
func (p *publisher) send(ctx context.Context, sent []posting) error {
	if len(sent) == 1 {
		s := &sent[0]
		return p.m.form(ctx, p.m.root+"/"+s.written.path, s.written.form, func(a outbound.Answer) error {
			p.m.gate.note(usageOf(a.Header, p.m.unit), p.m.now())
			if err := p.settle(s, a); err != nil && err.MayHaveApplied {
				return err
			}
			return nil
		})
	}
	operations := make([]operation, len(sent))
	for i, s := range sent {
		operations[i] = operation{Method: http.MethodPost, URL: p.m.version + "/" + s.written.path, Body: s.written.form.Encode()}
	}
	parts, err := p.m.batch(ctx, operations)
	if kind := activation.KindOf(err); kind == activation.RefusedWhole || codeIs(err, classRequest) {
		return as(err, classEdits)
	}
	if err != nil {
		return err
	}
	for i, one := range parts {
		if one == nil {
			sent[i].outcome = provider.EditOutcome{State: provider.EditUnknown, Code: classAnswer.Code, Text: "meta does not tell what became of it", Answer: "no answer within the batch"}
			continue
		}
		_ = p.settle(&sent[i], one.answer()) // the outcome has it
	}
	return nil
}

// settle finds the outcome of an edit by what was answered to it, and returns the
// error that it was.
func (p *publisher) settle(s *posting, a outbound.Answer) *activation.Error {
	var done struct {
		ID      json.RawMessage `json:"id"`
		Success *bool           `json:"success"`
	}
	err, e := p.m.judge(http.MethodPost, a, &done)
	create := s.edit.Operation == activation.OpCreate
	id := scalar(done.ID)
	if err == nil && (create && !numberPattern.MatchString(id) || !create && (done.Success == nil || !*done.Success)) {
		err = failure(classAnswer, envelope{})
		err.RequestID, err.MayHaveApplied = requestID(a.Header), true
	}
	if err == nil {
		s.outcome = provider.EditOutcome{State: provider.EditDone, Values: s.written.values, Answer: "success", RequestID: requestID(a.Header)}
		if create {
			s.outcome.ID, s.outcome.Answer = id, "created "+id
		}
		return nil
	}
	said := p.said(a.Body)
	s.outcome = provider.EditOutcome{
		State: provider.EditRefused, Code: err.Code, Text: cmp.Or(said.text, err.Message), Answer: err.Message, RequestID: err.RequestID,
	}
	switch {
	case err.MayHaveApplied:
		s.outcome.State = provider.EditUnknown
	case err.Kind == activation.WaitUntil:
		p.wait(s, a, err, e)
	case err.Kind == activation.Unavailable: // nothing of it took effect
		s.outcome.State = provider.EditLater
	case err.Kind == activation.Unauthorized, err.Code == classPermission.Code, err.Code == classSettings.Code:
		s.outcome.State, s.stops = provider.EditLater, err
	case e.Code == codeAudienceGone || e.Subcode == codeAudienceGone:
		s.outcome.Code, s.outcome.Answer = classShare.Code, "the audience is deleted"
	case err.Code == classGone.Code:
		s.missing = true
		s.outcome.Code, s.outcome.Answer = classObject.Code, numbered(classObject, e)
	case err.Code == classData.Code:
		s.outcome.Code, s.outcome.Answer, s.outcome.Field = classEdit.Code, numbered(classEdit, e), said.field(s.edit.Type)
	}
	return err
}

// numbered is the text of a class with the numbers of an error.
func numbered(c class, e envelope) string { return failure(c, e).Message }

// wait is for an edit that Meta takes later. A budget that was changed too often
// holds up its ad set alone.
func (p *publisher) wait(s *posting, a outbound.Answer, err *activation.Error, e envelope) {
	s.outcome.State = provider.EditLater
	_, day := s.written.form["daily_budget"]
	_, life := s.written.form["lifetime_budget"]
	if e.Code == codeLimit && s.edit.Type == typeSet && (day || life) {
		if _, told := outbound.RetryAfter(a.Header, p.m.now()); !told && usageOf(a.Header, p.m.unit).regain == 0 {
			err.Until = p.m.now().Add(budgetBlock)
		}
	} else {
		s.stops = err
	}
	s.outcome.Until = err.Until
}

// account100 settles "does not exist or may not be seen" (100/33): it is about the
// object only if the account itself is there for this token. What was to be deleted and
// is not shown either is gone, as it should be.
func (p *publisher) account100(ctx context.Context, sent []posting) {
	asked := false
	var account error
	for i := range sent {
		s := &sent[i]
		if !s.missing {
			continue
		}
		if !asked {
			asked = true
			_, account = p.Check(ctx)
		}
		var e *activation.Error
		switch {
		case errors.As(account, &e):
			s.stops = e
			s.outcome.State, s.outcome.Code, s.outcome.Text, s.outcome.Until = provider.EditLater, e.Code, e.Message, e.Until
		case s.edit.Operation == activation.OpDelete && p.unseen(ctx, s.edit.Object):
			s.outcome = provider.EditOutcome{State: provider.EditDone, Answer: "it was gone already", RequestID: s.outcome.RequestID}
		}
	}
}

// unseen reports whether Meta says that there is no such object.
func (p *publisher) unseen(ctx context.Context, ref activation.ObjectRef) bool {
	there, err := p.Read(ctx, []activation.ObjectRef{ref})
	return err == nil && len(there) == 0
}

// permitted settles "you may not": it is about one edit, such as one that names a
// page of somebody else, unless nothing of the account may be edited. A dry run says
// so, which changes nothing (reference ad-account/campaigns, execution_options).
func (p *publisher) permitted(ctx context.Context, sent []posting) {
	asked, may := false, false
	for i := range sent {
		s := &sent[i]
		if s.stops == nil || s.stops.Code != classPermission.Code {
			continue
		}
		if !asked {
			asked, may = true, p.mayEdit(ctx)
		}
		if may {
			s.outcome.State, s.stops = provider.EditRefused, nil
		}
	}
}

func (p *publisher) mayEdit(ctx context.Context) bool {
	form := url.Values{
		"name": {"Usher"}, "objective": {"OUTCOME_TRAFFIC"}, "status": {metaPaused}, fieldCategories: {"[]"}, "is_adset_budget_sharing_enabled": {"false"},
		"execution_options": {`["validate_only"]`},
	}
	may := false
	_ = p.m.form(ctx, p.m.root+"/"+p.account()+"/campaigns", form, func(a outbound.Answer) error {
		p.m.gate.note(usageOf(a.Header, p.m.unit), p.m.now())
		err, _ := p.m.judge(http.MethodPost, a, &struct{}{})
		may = err == nil || err.Kind == activation.RefusedWhole // it looked at the values
		return nil
	}) // without an answer it is not known, and nothing fails for good
	return may
}

// targetings are those of the ad sets whose targeting is to change, by id.
func (p *publisher) targetings(ctx context.Context, edits []provider.Edit) (map[string]json.RawMessage, error) {
	var ids []string
	for _, e := range edits {
		if retargets(e) {
			ids = append(ids, e.Object.ID)
		}
	}
	out := map[string]json.RawMessage{}
	err := p.look(ctx, len(ids), func(i int) (string, string) { return ids[i], "targeting" }, func(i int, in map[string]json.RawMessage) error {
		if scalar(in["id"]) != ids[i] || len(in["targeting"]) == 0 { // every ad set has one
			e := failure(classAnswer, envelope{})
			e.Message += " (the targeting of an ad set)"
			return e
		}
		out[ids[i]] = in["targeting"]
		return nil
	})
	return out, err
}

// retargets reports whether an edit changes the targeting of an ad set that is there.
func retargets(e provider.Edit) bool {
	return e.Type == typeSet && e.Operation != activation.OpCreate && e.Operation != activation.OpDelete && targets(e) && numberPattern.MatchString(e.Object.ID)
}

// unsent marks the error of a call that only reads: nothing was changed by it.
func unsent(err error) error {
	var e *activation.Error
	if errors.As(err, &e) && e.MayHaveApplied {
		copied := *e
		copied.MayHaveApplied = false
		return &copied
	}
	return err
}

// spoken is what Meta says to people of an error about a campaign. There is nobody
// in it: edits hold no personal data.
type spoken struct {
	text   string
	params []string
}

// maxSpoken bounds a text of Meta's.
const maxSpoken = 600

// said reads it. error_data is not in every error, and is a text or an object.
func (p *publisher) said(body []byte) spoken {
	var in struct {
		Error struct {
			Message string          `json:"message"`
			Title   string          `json:"error_user_title"`
			User    string          `json:"error_user_msg"`
			Data    json.RawMessage `json:"error_data"`
		} `json:"error"`
	}
	if json.Unmarshal(body, &in) != nil {
		return spoken{}
	}
	text := in.Error.Message
	if in.Error.User != "" {
		text = strings.TrimPrefix(in.Error.Title+": "+in.Error.User, ": ")
	}
	s := spoken{text: p.m.printable(text)}
	raw := in.Error.Data
	var quoted string
	if json.Unmarshal(raw, &quoted) == nil {
		raw = json.RawMessage(quoted)
	}
	var blame struct {
		Field string     `json:"blame_field"`
		Specs [][]string `json:"blame_field_specs"`
	}
	if json.Unmarshal(raw, &blame) == nil {
		for _, spec := range blame.Specs {
			s.params = append(s.params, spec[:min(1, len(spec))]...)
		}
		if blame.Field != "" {
			s.params = append(s.params, blame.Field)
		}
	}
	return s
}

// field is ours of the parameter that Meta blames, "" where it blames none.
func (s spoken) field(of string) string {
	l, _ := levelOf(of)
	for _, param := range s.params {
		for _, m := range l.members {
			if m.param == param {
				return m.Name
			}
		}
	}
	return ""
}

// printable is a text of Meta's that may be kept: of one line, not too long, and
// without a secret that it may repeat.
func (m *destination) printable(text string) string {
	for _, secret := range []string{m.token.Reveal(), m.secret.Reveal()} {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, "…")
		}
	}
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "\ufffd"))
	text = strings.TrimSpace(text)
	for len(text) > maxSpoken {
		_, size := utf8.DecodeLastRuneInString(text)
		text = text[:len(text)-size]
	}
	return text
}
