package meta

import (
	"encoding/json"
)

// story is object_story_spec of a creative with a link (reference
// ad-creative-object-story-spec).
type story struct {
	Page string    `json:"page_id"`
	Link *linkData `json:"link_data,omitempty"`
}

type linkData struct {
	Link        string  `json:"link"`
	Message     string  `json:"message,omitempty"`
	Name        string  `json:"name,omitempty"`
	Description string  `json:"description,omitempty"`
	Image       string  `json:"image_hash,omitempty"`
	Button      *button `json:"call_to_action,omitempty"`
}

type button struct {
	Type string `json:"type"`
}

// writeStory makes the content of a new creative.
func writeStory(set map[string]string) (string, bool) {
	s := story{Page: set[fieldPage], Link: &linkData{
		Link: set[fieldLink], Message: set["message"], Name: set["headline"], Description: set["description"], Image: set["image"],
	}}
	if b := set["call_to_action"]; b != "" {
		s.Link.Button = &button{Type: b}
	}
	text, err := json.Marshal(s)
	return string(text), err == nil
}

// readStory takes the fields out of a content. A creative of another sort shows
// its content as a whole only.
func readStory(raw json.RawMessage, into map[string]string) {
	var s story
	if json.Unmarshal(raw, &s) == nil {
		put(into, fieldPage, s.Page)
		if l := s.Link; l != nil {
			for field, v := range map[string]string{
				fieldLink: l.Link, "message": l.Message, "headline": l.Name, "description": l.Description, "image": l.Image,
			} {
				put(into, field, v)
			}
			if l.Button != nil {
				put(into, "call_to_action", l.Button.Type)
			}
		}
	}
	put(into, fieldContent, canonical(raw))
}
