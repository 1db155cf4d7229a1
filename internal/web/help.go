package web

import (
	"path"
	"strings"

	"usher/docs"
	"usher/internal/activation"
)

// helpPath is the console's address of a page of docs/troubleshooting, "" when
// there is no such page.
func helpPath(page string) string {
	name := strings.TrimSuffix(path.Base(page), ".md")
	if _, err := docs.Troubleshooting.ReadFile("troubleshooting/" + name + ".md"); err != nil {
		return ""
	}
	return "/help/" + name
}

// block is a piece of a help page: a heading, a list item, lines of code or a
// paragraph.
type block struct {
	Kind string // h2, li, pre, p
	Text []span
}

// span is a stretch of text, as code or not.
type span struct {
	Text string
	Code bool
}

func (c *Console) help(v visit) (view, error) {
	raw, err := docs.Troubleshooting.ReadFile("troubleshooting/" + path.Base(v.PathValue("page")) + ".md")
	if err != nil {
		return view{}, activation.ErrNotFound
	}
	title, blocks := blocksOf(string(raw))
	return view{Template: "help", Title: title, Section: "/sync", Crumbs: []link{{"/sync", "Sync tracking"}}, Body: blocks}, nil
}

// blocksOf reads the part of Markdown that these pages use.
func blocksOf(text string) (title string, blocks []block) {
	code := false
	for _, part := range strings.Split(text, "\n") {
		line := strings.TrimSpace(part)
		switch {
		case strings.HasPrefix(line, "```"):
			code = !code
			if code {
				blocks = append(blocks, block{Kind: "pre"})
			}
		case code:
			last := &blocks[len(blocks)-1]
			last.Text = append(last.Text, span{Text: part + "\n"})
		case strings.HasPrefix(line, "# "):
			title = line[2:]
		case strings.HasPrefix(line, "## "):
			blocks = append(blocks, block{"h2", spans(line[3:])})
		case strings.HasPrefix(line, "- "), strings.HasPrefix(line, "* "):
			blocks = append(blocks, block{"li", spans(line[2:])})
		case line != "":
			blocks = append(blocks, block{"p", spans(line)})
		}
	}
	return title, blocks
}

// spans splits a line at its backticks.
func spans(line string) []span {
	var out []span
	for i, text := range strings.Split(strings.ReplaceAll(line, "**", ""), "`") {
		if text != "" {
			out = append(out, span{text, i%2 == 1})
		}
	}
	return out
}
