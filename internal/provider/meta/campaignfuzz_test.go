package meta

import (
	"encoding/json"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/outbound"
	"usher/internal/provider"
)

// FuzzBatchReply: whatever comes as the answer to a batch of two, there is an outcome
// for each of its edits, and nothing counts as done that was not said to be.
func FuzzBatchReply(f *testing.F) {
	for _, seed := range []string{
		replies(reply1(200, good), reply1(200, `{"id":"12"}`)).body,
		replies("null", reply1(400, `{"error":{"code":100,"error_data":"{\"blame_field_specs\":[[\"name\"],[]]}"}}`)).body,
		replies(reply1(400, `{"error":{"code":"17","error_subcode":2446079}}`), reply1(500, "<html>")).body,
		`[{"code":200,"headers":null,"body":"{\"success\":null,\"error\":null}"},{"code":200}]`,
		`{"error":{"code":190}}`, `[]`, `[[],{}]`, `null`,
	} {
		f.Add([]byte(seed))
	}
	p, err := newPublisher(provider.Deps{Auth: map[string]provider.Secret{"access_token": testToken}, Account: testAccount, Now: time.Now})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		parts, ok := readParts(body, 2)
		if !ok {
			return
		}
		if len(parts) != 2 {
			t.Fatalf("%d parts", len(parts))
		}
		for i, one := range parts {
			if one == nil {
				continue
			}
			s := posting{edit: edited("10", map[string]string{"name": "A"})}
			if i == 1 {
				s.edit = created(1, typeCampaign, activation.ObjectRef{}, map[string]string{"name": "A"})
			}
			err := p.settle(&s, one.answer())
			o := s.outcome
			var said struct {
				ID      json.RawMessage `json:"id"`
				Success bool            `json:"success"`
				Error   json.RawMessage `json:"error"`
			}
			_ = json.Unmarshal([]byte(one.Body), &said)
			failed := len(said.Error) > 0 && string(said.Error) != "null"
			switch {
			case (err == nil) != (o.State == provider.EditDone):
				t.Fatalf("%+v with the error %v", o, err)
			case o.State == provider.EditDone && (one.Code/100 != 2 || failed || i == 0 && !said.Success || i == 1 && len(said.ID) == 0):
				t.Fatalf("done by %+v", one)
			case o.State != provider.EditDone && (o.Code == "" || o.Text == ""):
				t.Fatalf("no code or text: %+v", o)
			case o.State == provider.EditRefused && !failed && one.Code/100 == 2:
				t.Fatalf("refused by %+v", one)
			}
		}
		_ = p.m.usageOfParts(outbound.Answer{}, parts)
	})
}
