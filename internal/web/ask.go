package web

// ask is a question in numbers before something is done: a dialog that opens
// without JavaScript too.
type ask struct {
	// ID is where a link opens it: #ID.
	ID string
	// Text, Icon and Class are those of what opens it.
	Text, Icon, Class string
	// Title asks, Lines say what it does in numbers, the first as one sentence.
	Title string
	Lines []string
	// Do is the button that does it, Keep the safe one beside it.
	Do   button
	Keep string
	// Fields are what is asked for beside.
	Fields []field
	// Word is what a person has to type; "" = nothing.
	Word string
}

// askFirst opens a question where b would be; whoever may not press b sees why.
func askFirst(id, title string, b button, keep string, lines ...string) *ask {
	return &ask{ID: id, Text: b.Text, Icon: b.Icon, Title: title, Lines: lines, Do: b.as("btn-primary"), Keep: keep}
}

// grave makes the button that does it red.
func (a *ask) grave() *ask {
	a.Class, a.Do = "btn-bad", a.Do.as("btn-bad solid")
	return a
}

// main makes what opens it the page's main button.
func (a *ask) main() *ask { a.Class = "btn-primary"; return a }
