package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"

	"usher/internal/activation"
	"usher/internal/outbound"
	"usher/internal/provider"
)

// workflowEnrichment asks a program about people.
const workflowEnrichment = "webhook_enrichment"

// codeAnswer: the receiver's answer about people can't be read.
const codeAnswer = "WEBHOOK-ANSWER"

func enrichmentWorkflow() provider.Workflow {
	own := slices.DeleteFunc(requestFields(), func(f provider.Field) bool {
		return !slices.Contains([]string{methodField, noRetryField, timeoutField}, f.Name)
	})
	for i := range own {
		if own[i].Name == noRetryField {
			own[i].Help = "The HTTP statuses by which the receiver refuses to be asked about a person, divided by commas; whoever is refused is asked about again at the next pass. Empty = 400 to 499 but 401, 403, 404, 407, 408, 409, 410, 425 and 429."
		}
	}
	return provider.Workflow{
		Name: workflowEnrichment, Title: "Webhook enrichment", Direction: provider.Enrichment, Subject: provider.Profiles,
		Description: "Posts people to a program of yours and stores what it replies as messages of theirs.",
		RealTime:    true, Scheduled: true, Once: true,
		Fields: append(provider.EnrichmentFields(), own...),
	}
}

// enricher asks one endpoint about people.
type enricher struct {
	*destination
	job     job
	several bool
}

func newEnricher(d provider.Deps) (provider.Enricher, error) {
	end, err := newEndpoint(d)
	if err != nil {
		return nil, err
	}
	w := enrichmentWorkflow()
	value := func(name string) string { return provider.Setting(w.Fields, d.Config, name) }
	e := &enricher{destination: &destination{workflow: w, to: end, log: d.Log, now: d.Now}, job: job{method: value(methodField)}}
	if e.log == nil {
		e.log = slog.New(slog.DiscardHandler)
	}
	if e.now == nil {
		e.now = time.Now
	}
	if !slices.Contains([]string{http.MethodPost, http.MethodPut, http.MethodPatch}, e.job.method) {
		return nil, settings(methodField, "must be POST, PUT or PATCH")
	}
	if e.several, err = yes(value(batchField)); err != nil {
		return nil, settings(batchField, "must be true or false")
	}
	if e.job.timeout, err = time.ParseDuration(value(timeoutField)); err != nil || e.job.timeout <= 0 || e.job.timeout > maxTimeout {
		return nil, settings(timeoutField, "must be a duration of at most "+maxTimeout.String())
	}
	for _, text := range provider.List(value(noRetryField)) {
		status, err := strconv.Atoi(text)
		if err != nil || status < 300 || status > 599 {
			return nil, settings(noRetryField, "must be HTTP statuses from 300 to 599, divided by commas")
		}
		e.job.refused = append(e.job.refused, status)
	}
	return e, nil
}

// asked is one person as the receiver gets it.
type asked struct {
	ID   string         `json:"id"`
	Data map[string]any `json:"data"`
}

// Ask asks about some people in one request: one object, or a list of them where
// the job asks about several at a time.
func (e *enricher) Ask(ctx context.Context, people []provider.AskedPerson) ([]provider.Reply, error) {
	if len(people) == 0 {
		return nil, nil
	}
	if !e.several && len(people) > 1 || len(people) > provider.MaxAsked {
		return nil, &activation.Error{Kind: activation.RefusedWhole, Code: codeSize, Message: fmt.Sprintf("%d people are more than one request asks about", len(people))}
	}
	all := make([]asked, len(people))
	for i, p := range people {
		all[i] = asked{strconv.FormatInt(p.ID, 10), p.Values}
	}
	var body []byte
	var err error
	if e.several {
		body, err = encode(all)
	} else {
		body, err = encode(all[0])
	}
	if err != nil {
		return nil, err
	}
	// Asking twice is harmless, so the request has an id of its own each time.
	id := messageID("enrichment", activation.NewID[string]())
	limited, cancel := context.WithTimeout(ctx, e.job.timeout)
	defer cancel()
	answer, err := e.to.call(limited, e.job.method, id, e.now, body)
	if err != nil {
		return nil, err
	}
	return e.replies(answer, id, people)
}

// replies reads an answer.
func (e *enricher) replies(a outbound.Answer, id string, people []provider.AskedPerson) ([]provider.Reply, error) {
	none := make([]provider.Reply, len(people))
	switch {
	case a.Status == http.StatusNoContent, a.Status == http.StatusNotFound && len(people) == 1 && !slices.Contains(e.job.refused, a.Status):
		return none, nil
	case a.Status/100 != 2 && e.job.refuses(a.Status):
		return nil, &activation.Error{Kind: activation.RefusedWhole, Code: fmt.Sprintf("%s-%d", codeRefused, a.Status), Message: fmt.Sprintf("the receiver refuses to be asked about them (HTTP status %d)", a.Status), RequestID: id}
	case a.Status/100 != 2:
		fault := e.fault(a)
		fault.RequestID, fault.MayHaveApplied = id, false
		return nil, fault
	}
	text := bytes.TrimSpace(a.Body)
	if len(text) == 0 {
		return none, nil
	}
	replies, ok := readReplies(text, people)
	if !ok {
		return nil, &activation.Error{Kind: activation.Unavailable, Code: codeAnswer, Message: "the receiver's answer is not a JSON object about the person, nor a list of such objects with their ids", RequestID: id}
	}
	return replies, nil
}

// readReplies reads what is known of each person: an object about the only one, or
// a list of objects that each name theirs by id. Whoever is not in the list is not
// known; an id that was not asked about is passed over, and of two the first counts.
func readReplies(text []byte, people []provider.AskedPerson) ([]provider.Reply, bool) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var answer any
	if d.Decode(&answer) != nil || d.More() {
		return nil, false
	}
	out := make([]provider.Reply, len(people))
	switch answer := answer.(type) {
	case nil:
		return out, true
	case map[string]any:
		if len(people) != 1 {
			return nil, false
		}
		if id, ok := idOf(answer); ok && id != people[0].ID && answer["data"] != nil {
			return nil, false // about somebody else
		}
		out[0] = reply(answer)
		return out, true
	case []any:
		for _, one := range answer {
			object, ok := one.(map[string]any)
			if !ok {
				return nil, false
			}
			id, ok := idOf(object)
			i := slices.IndexFunc(people, func(p provider.AskedPerson) bool { return p.ID == id })
			if ok && i >= 0 && !out[i].Known {
				out[i] = reply(object)
			}
		}
		return out, true
	}
	return nil, false
}

// idOf reads the id that an object names, a text or a number.
func idOf(object map[string]any) (int64, bool) {
	id, err := strconv.ParseInt(fmt.Sprint(object["id"]), 10, 64)
	return id, err == nil
}

// reply makes the fields of a message: those of data where it is an object, else
// all but the id. Objects, and lists of anything but texts, numbers and booleans,
// are JSON texts.
func reply(object map[string]any) provider.Reply {
	fields, ok := object["data"].(map[string]any)
	if !ok {
		fields = maps.Clone(object)
		delete(fields, "id")
		if v, is := fields["data"]; is && v == nil {
			delete(fields, "data")
		}
	}
	r := provider.Reply{Values: map[string]any{}}
	for name, v := range fields {
		switch v := v.(type) {
		case nil:
			continue
		case []any:
			if !slices.ContainsFunc(v, func(one any) bool {
				switch one.(type) {
				case string, bool, json.Number:
					return false
				}
				return true
			}) {
				r.Values[name] = v
				continue
			}
		case string, bool, json.Number:
			r.Values[name] = v
			continue
		}
		if text, err := encode(v); err == nil {
			r.Values[name] = string(text)
		}
	}
	r.Known = len(r.Values) > 0
	return r
}

// Check proves client credentials by asking for a token, and asks about nobody.
func (e *enricher) Check(ctx context.Context) error {
	_, err := e.to.tokens.token(ctx)
	return err
}
