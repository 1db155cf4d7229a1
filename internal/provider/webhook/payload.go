package webhook

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"slices"

	"usher/internal/activation"
	"usher/internal/matchkey"
	"usher/internal/provider"
)

// The names within data that are Usher's own.
const (
	dataEvents   = "segment_events"
	dataSegments = "segments"
	dataEvent    = "event"
)

// body is the payload of one event.
type body struct {
	ID   string         `json:"id"`
	Data map[string]any `json:"data"`
	Meta meta           `json:"meta"`
}

// meta is what is not the person's.
type meta struct {
	Object    string `json:"object"`
	EventID   string `json:"event_id"`
	Timestamp string `json:"timestamp,omitempty"`
	Stream    string `json:"stream,omitempty"`
	Run       int64  `json:"run"`
}

// segmentEvent is one change of membership. Enter and Exit are when it happened;
// of somebody who leaves, Usher does not know any more when they came.
type segmentEvent struct {
	ID    string `json:"id"`
	Slug  string `json:"slug"`
	Event string `json:"event"`
	Enter string `json:"enter,omitempty"`
	Exit  string `json:"exit,omitempty"`
}

// split returns the keys of the event and those of the person's columns.
func split(keys, events []matchkey.Key) (own, columns []matchkey.Key) {
	n := 0
	for _, k := range events {
		if n < len(keys) && keys[n].Name == k.Name {
			n++
		}
	}
	return keys[:n], keys[n:]
}

// checkColumns refuses columns whose names are Usher's own within data.
func checkColumns(w provider.Workflow, columns []matchkey.Key) error {
	taken := []string{dataEvents, dataSegments}
	if w.Feed == provider.FeedStream {
		taken = []string{dataEvent}
	}
	for _, k := range columns {
		if slices.Contains(taken, k.Name) {
			return settings("mapping", "has the column "+k.Name+", which is the name of something that Usher sends itself")
		}
	}
	return nil
}

// compose makes the payload of one row. Its bytes are the same each time.
func (d *destination) compose(b provider.Batch, j job, i int, own, columns []matchkey.Key) (message, error) {
	row := b.Row(i)
	value := map[string]string{}
	for n, k := range own {
		value[k.Name] = string(row[n])
	}
	m := message{ordinal: i, id: messageID(b.Audience.Marker, value[keyID]), person: value[keyPerson]}
	if m.person == "" {
		m.person = m.id // an event of nobody known waits for nobody
	}
	p := body{ID: m.id, Data: map[string]any{}, Meta: meta{Object: "user", EventID: value[keyID], Timestamp: value[keyTime], Run: b.RunNumber}}
	for n, k := range columns {
		v := row[len(own)+n]
		switch {
		case v == nil || j.columns != nil && !slices.Contains(j.columns, k.Name):
		case k.Hash:
			p.Data[k.Name] = hex.EncodeToString(v)
		default:
			p.Data[k.Name] = string(v)
		}
	}
	if d.workflow.Feed == provider.FeedStream {
		p.Meta.Object, p.Meta.Stream = "event", value[keyStream]
		if text := value[keyMessage]; json.Valid([]byte(text)) {
			p.Data[dataEvent] = json.RawMessage(text)
		} else if text != "" {
			p.Data[dataEvent] = text
		}
	} else {
		p.Data[dataEvents] = []segmentEvent{change(value)}
		if j.segments {
			p.Data[dataSegments] = segments(value[keyAudiences])
		}
	}
	var err error
	m.body, err = encode(p)
	return m, err
}

func change(value map[string]string) segmentEvent {
	e := segmentEvent{ID: value[keyAudienceID], Slug: value[keyAudience], Event: value[keyEvent]}
	if e.Event == "exit" {
		e.Exit = value[keyTime]
	} else {
		e.Enter = value[keyTime]
	}
	return e
}

// segments reads the list of a person's audiences.
func segments(text string) []string {
	out := []string{}
	if json.Unmarshal([]byte(text), &out) != nil || out == nil {
		return []string{}
	}
	return out
}

// encode writes JSON as it is, without the escapes that HTML needs.
func encode(v any) ([]byte, error) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, &activation.Error{Kind: activation.Internal, Message: "the event cannot be written as JSON"}
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}

// messageID names one event at the receiver: the same however often, and together
// with whichever others, it is sent, and another for each target that sends it.
func messageID(marker string, event ...string) string {
	h := sha256.New()
	for _, part := range append([]string{marker}, event...) {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(part)))
		h.Write(n[:])
		h.Write([]byte(part))
	}
	return "msg_" + hex.EncodeToString(h.Sum(nil)[:16])
}
