package providertest

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"usher/internal/activation"
	"usher/internal/provider"
)

// publishDeclarationChecks are about what is declared, and about the account.
func publishDeclarationChecks() []publishCheck {
	return []publishCheck{
		{"the declaration is well formed", never, func(w *publisherWorld) error { return declaration(w.def) }},
		{"check tells name, currency and zone and writes nothing", never, checkTells},
		{"check with a bad token", never, checkBadToken},
	}
}

// declaration says what of a provider's publishing part is not well formed.
func declaration(d provider.Definition) error {
	p := d.Publishing
	var wrong []error
	say := func(format string, a ...any) { wrong = append(wrong, fmt.Errorf(format, a...)) }
	for _, name := range []string{p.Sync, p.Post} {
		w, ok := d.Workflow(name)
		if !ok || w.Direction != provider.Editing || w.Subject != provider.Campaigns {
			say("there is no workflow %q that edits campaigns", name)
		}
	}
	if p.Sync != d.Name+"_sync" || p.Post != d.Name+"_post" {
		say("the workflows are %q and %q", p.Sync, p.Post)
	}
	if p.AccountHelp == "" || p.MaxEdits < 1 || p.Settles < 0 || p.CostDays < 1 || p.New == nil || len(p.Objects) == 0 {
		say("help for the account, the most edits, the days of costs, the objects and the client are needed")
	}
	for _, f := range p.Fields {
		if f.Name == "" || f.Label == "" || f.Help == "" || f.Secret || (f.Type == typeSelect) != (len(f.Options) > 0) {
			say("the setting %q is not whole", f.Name)
		}
	}
	seen := map[string]bool{}
	for _, t := range p.Objects {
		switch {
		case t.Name == "" || t.Title == "" || seen[t.Name] || strings.ToLower(t.Name) != t.Name:
			say("the type %q is there twice, or without a title", t.Name)
		case !slices.Contains(activation.ObjectKinds, t.Kind):
			say("the type %q is of kind %q", t.Name, t.Kind)
		case t.Parent != "" && !seen[t.Parent]:
			say("the type %q comes before the %q it lies in", t.Name, t.Parent)
		}
		seen[t.Name] = true
		wrong = append(wrong, declaredFields(p, t)...)
	}
	return errors.Join(wrong...)
}

var fieldOperations = []activation.Operation{"", activation.OpEdit, activation.OpBid, activation.OpGeo, activation.OpStatus}

func declaredFields(p *provider.Publishing, t provider.ObjectType) (wrong []error) {
	say := func(f provider.ObjectField, text string) {
		wrong = append(wrong, fmt.Errorf("%s.%s: %s", t.Name, f.Name, text))
	}
	seen := map[string]string{}
	names := map[string]bool{}
	for _, f := range t.Fields {
		_, refers := p.Object(f.Object)
		twice := names[f.Name]
		names[f.Name] = true
		switch {
		case twice:
			say(f, "it is there twice")
		case f.Name == "" || f.Label == "" || f.Help == "":
			say(f, "it lacks name, label or help")
		case strings.Trim(f.Name, "abcdefghijklmnopqrstuvwxyz_0123456789") != "":
			say(f, "the name is not snake case")
		case !slices.Contains(fieldTypes, f.Type):
			say(f, "its type "+f.Type+" is unknown")
		case (f.Type == typeSelect) != (len(f.Options) > 0):
			say(f, "options go with select")
		case (f.Type == typeObject) != (f.Object != "") || f.Object != "" && !refers:
			say(f, "it refers to no declared type")
		case f.Shown && (f.Required || f.Fixed):
			say(f, "what can only be read is neither required nor fixed")
		case !slices.Contains(fieldOperations, f.Operation):
			say(f, "a change of it is called "+string(f.Operation))
		case f.Max < 0:
			say(f, "its limit is negative")
		case f.Name == activation.FieldStatus && (!slices.Equal(slices.Sorted(slices.Values(f.Options)), []string{activation.StatusEnabled, activation.StatusPaused}) || f.Operation != activation.OpStatus):
			say(f, "the status is enabled or paused, and a change of it is called status")
		case (f.Name == activation.FieldBid || f.Name == activation.FieldBudget) && f.Type != typeAmount:
			say(f, "it is no amount")
		case f.Name == activation.FieldBid && f.Operation != activation.OpBid:
			say(f, "a change of a bid is called bid")
		}
		for _, name := range append([]string{f.Name, f.Label}, f.Aliases...) {
			name = strings.Map(func(r rune) rune {
				if strings.ContainsRune(" _-", r) {
					return -1
				}
				return r
			}, strings.ToLower(name))
			if other := seen[name]; other != "" && other != f.Name {
				say(f, "it is called like "+other)
			}
			seen[name] = f.Name
		}
	}
	if t.Creates && !slices.ContainsFunc(t.Fields, func(f provider.ObjectField) bool { return f.Required && !f.Shown }) {
		wrong = append(wrong, fmt.Errorf("%s: a create needs no field", t.Name))
	}
	return wrong
}

func checkTells(w *publisherWorld) error {
	got, err := w.pub.Check(w.ctx)
	w.said.hear(err)
	switch {
	case err != nil:
		return err
	case got != w.net.Info():
		return fmt.Errorf("it tells %+v, the account is %+v", got, w.net.Info())
	case w.net.Writes() != 0:
		return errors.New("it wrote something")
	case w.net.Calls() == 0:
		return errors.New("it asked nobody")
	}
	return nil
}

func checkBadToken(w *publisherWorld) error {
	if err := w.net.Fail(Fault{Kind: BadToken}); err != nil {
		return err
	}
	_, err := w.pub.Check(w.ctx)
	w.said.hear(err)
	if _, err := wantError(checkError(activation.Receipt{}, err), activation.Unauthorized, false); err != nil {
		return err
	}
	w.net.Heal()
	_, err = w.pub.Check(w.ctx)
	return err
}
