package web_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// testRules turns rules from text into trees and back, and counts them.
func testRules(t *testing.T, b *browser) {
	t.Helper()
	for _, c := range []struct {
		form url.Values
		want []string
	}{
		{url.Values{"segment_ql": {"filter score>50 and exists email"}}, []string{"140 people would be in it", `data-tree="{&#34;op&#34;:&#34;and&#34;`, `data-line="0"`}},
		{url.Values{"tree": {`{"op":"not","args":[{"op":"<","args":[{"ident":"score"},{"val":"50"}]}]}`}}, []string{"140 people would be in it", `data-text="FILTER NOT score &lt; 50"`}},
		{url.Values{"segment_ql": {"FILTER score > 50\n AND nosuch = 1"}}, []string{"Line 2, column 6: unknown field", `data-line="2" data-column="6"`, `data-tree="{`}},
		{url.Values{"segment_ql": {"FILTER score >"}}, []string{"expected a value", `data-line="1" data-column="15"`, `data-tree=""`}},
		{url.Values{"tree": {`{"op":"="}`}}, []string{"Args: expected 2 arguments", `data-line="0"`}},
		{url.Values{"segment_ql": {"FILTER customer = \"<script>\""}}, []string{"0 people would be in it", "&lt;script&gt;"}},
	} {
		_, body := b.submit("/audiences/try", c.form)
		for _, want := range c.want {
			if !strings.Contains(body, want) {
				t.Errorf("%v: %q is not in %s", c.form, want, body)
			}
		}
	}
}

// testInsight looks at what an audience's page counts, part by part and, as
// without a script, within the page.
func testInsight(t *testing.T, b *browser, w *world) {
	t.Helper()
	w.must(http.MethodPost, "/v2/segment", map[string]string{"slug_name": "some", "name": "Some of them", "segment_ql": `FILTER AND (INCLUDE high, customer IN ("id-1", "id-2", "id-3"))`}, nil)
	wantPage(t, b, "/audiences/high", "Included by", "Some of them", `data-load="/audiences/high/parts/reach?"`, `href="/audiences/high?show=overlap#overlap"`, "Size over time", "data-builder=")
	wantPage(t, b, "/audiences/high?show=breakdown&field=score", `140</span> of <span class="num">140</span>`, ">90<", "100.0 %")
	wantPage(t, b, "/audiences/high?show=breakdown&field=email", "140</span> different ones", "Values of personal fields and of identifiers are not shown")
	wantPage(t, b, "/audiences/high?show=breakdown&field=nosuch", "is not declared")
	wantPage(t, b, "/audiences/high?show=overlap&with=some", "Some of them", ">3<", "2.1 %", "100.0 %")
	for path, want := range map[string]string{"/audiences/high/parts/reach": "EXTERN_ID 140", "/audiences/high/parts/overlap": "Some of them", "/audiences/high/parts/breakdown": "140 of 140"} {
		if _, body := b.get(path); strings.Contains(strings.ReplaceAll(body, `<span class="num">`, ""), "<html") || !strings.Contains(plain(body), want) {
			t.Errorf("%s: %s", path, body)
		}
	}
	for _, path := range []string{"/audiences/high/parts/nosuch", "/audiences/none/parts/reach", "/audiences/high?show=overlap&with=none"} {
		if res, _ := b.get(path); res.StatusCode != http.StatusNotFound {
			t.Errorf("%s: status %d", path, res.StatusCode)
		}
	}
	w.must(http.MethodDelete, "/v2/segment/some", nil, nil)
}

// plain is a page without the tags around its numbers.
func plain(body string) string {
	return strings.NewReplacer(`<span class="num">`, "", "</span>", "").Replace(body)
}

// buildRule builds a rule with the keyboard and sees the text follow, and types
// one and sees the builder follow.
func buildRule(b *tab, w *world) {
	b.open(w.url + "/audiences/high")
	b.until("the rule as a form", "document.querySelector('#builder:not([hidden]) .rule input')?.value === '50'")
	b.until("the parts are counted", "!document.querySelector('[data-load]') && document.querySelector('#reach').innerText.includes('EXTERN_ID 3')")
	act(b, "to the button", chromedp.Focus("#builder [aria-label='Condition in the rule']"))
	act(b, "add a condition", chromedp.KeyEvent(kb.Enter))
	b.until("the focus is on what was added", "document.activeElement === document.querySelectorAll('#builder .rule')[1].querySelector('select')")
	b.until("the text follows", "document.querySelector('#f-segment_ql').value === 'FILTER AND (score > 50, EXISTS customer)'")
	act(b, "none of them", chromedp.Focus("#builder .seg button:last-child"))
	act(b, "press", chromedp.KeyEvent(" "))
	b.until("the text is negated", "document.querySelector('#f-segment_ql').value === 'FILTER NOT OR (score > 50, EXISTS customer)'")
	b.until("nobody", "document.querySelector('#tried').innerText === '0 people would be in it'")
	act(b, "type", chromedp.SetValue("#f-segment_ql", "FILTER OR (customer NOT IN ('a,b', 'c'), timewindow(nosuch, 1, 2), NOT AND (score BETWEEN 1 AND 2, EXISTS email)"))
	act(b, "type on", chromedp.SendKeys("#f-segment_ql", ")"))
	b.until("the mistake and its place", "document.querySelector('#tried').innerText.includes('Line 1, column 53: unknown field')")
	b.until("the form follows", "document.querySelectorAll('#builder .rule').length === 4 && document.querySelector('#builder .rule input').value === '\"a,b\", c'")
	act(b, "show the place", chromedp.Click("[data-place]"))
	b.until("the place", "document.activeElement.id === 'f-segment_ql' && document.activeElement.selectionStart === 52")
	act(b, "axe", chromedp.EvaluateAsDevTools[any](axe+";1"))
	b.accessible("audience-builder")
	b.shot("audience-builder")
	act(b, "remove", chromedp.Click("#builder .rule:nth-child(2) button"))
	b.until("the text is right again", `document.querySelector('#f-segment_ql').value === 'FILTER OR (customer NOT IN ("a,b", "c"), NOT AND (score BETWEEN 1 AND 2, EXISTS email))'`)
	b.until("everybody", "document.querySelector('#tried').innerText === '140 people would be in it'")
}
