package web_test

import (
	"fmt"
	"testing"

	"github.com/chromedp/chromedp"
)

// TestDataInBrowser looks at the pages of data that comes in with a browser, wide
// and light, narrow and dark, and presses what has a dialog or a preview.
func TestDataInBrowser(t *testing.T) {
	b := chromium(t)
	d := startData(t)
	act(b, "size", chromedp.EmulateViewport(1440, 900))
	b.open(d.signIn)
	act(b, "sign in", chromedp.Click("form .btn-primary"))
	b.until("signed in", "location.pathname === '/'")
	job := "/jobs/" + string(d.job.ID)
	for name, path := range map[string]string{
		"in-stream": "/data/streams/customers", "in-messages": "/data/streams/customers/messages", "in-forget": "/data/forget", "in-receipt": "/data/forget/f1", "in-job": job,
	} {
		b.open(d.url + path)
		b.glance(name)
	}
	act(b, "size", chromedp.EmulateViewport(1440, 900))
	b.open(d.url + "/data/streams/customers/mappings?column=Notes")
	act(b, "choose", chromedp.SetValue(".map-row:last-of-type select, .map-row:nth-of-type(4) select", "first_name"))
	act(b, "preview", chromedp.Click("footer button[value=preview]"))
	b.until("the preview", "document.querySelector('#preview')?.innerText.includes('not parsed')")
	b.glance("in-mapping-preview")

	b.open(d.url + "/data/profile")
	act(b, "whom", chromedp.SetValue("#f-field", "email"))
	act(b, "value", chromedp.SendKeys("#f-value", private))
	act(b, "find", chromedp.Click("form[action='/data/profile'] .btn-primary"))
	b.until("the person", "document.body.innerText.includes('Profile 4,711') && !document.body.innerHTML.includes('"+private+"')")
	act(b, "forget…", chromedp.Click("#ask-forget > summary"))
	b.glance("in-person-forget")

	b.open(d.url + "/jobs/new")
	act(b, "provider", chromedp.Click("input[value=files]"))
	act(b, "continue", chromedp.Click("form[method=post] .btn-primary"))
	b.until("the type", "location.pathname.endsWith('/type')")
	act(b, "continue", chromedp.Click("form[method=post] .btn-primary"))
	b.until("the settings", "location.pathname.endsWith('/configure')")
	act(b, "name", chromedp.SendKeys("#f-name", "Customers"))
	act(b, "folder", chromedp.SendKeys("#f-config\\.folder", "in"))
	act(b, "first rows", chromedp.Click("button[value=preview]"))
	b.until("the first rows", "document.querySelector('#first-rows')")
	b.glance("in-wizard-rows")

	b.open(d.url + "/data/fields/income")
	act(b, "rank", chromedp.SetValue("#f-identifier_rank", "3"))
	act(b, "save", chromedp.Click("form[action='/data/fields'] > .btn"))
	b.until("the question", "document.querySelector('#sure')")
	b.glance("in-field-sure")

	// A rebuild is under way under the reader's eyes.
	b.open(d.url + "/data")
	act(b, "rebuild…", chromedp.Click("#ask-rebuild > summary"))
	act(b, "rebuild", chromedp.Click("#ask-rebuild .btn-primary"))
	b.until("progress", "document.querySelector('#data-rebuild').innerText.includes('4,537 of 18,148')")
	d.work.mu.Lock()
	d.work.rebuilds[0].Done = 9074
	d.work.mu.Unlock()
	b.until("it gets on", "document.querySelector('#data-rebuild').innerText.includes('9,074 of 18,148')")
	b.glance("in-rebuild")
	b.quiet()
}

// glance looks at the page wide and light, and narrow and dark.
func (b *tab) glance(name string) {
	b.t.Helper()
	act(b, "axe", chromedp.EvaluateAsDevTools[any](axe+";1"))
	for _, as := range []struct {
		width int64
		theme string
	}{{390, "dark"}, {1440, "light"}} {
		act(b, "size", chromedp.EmulateViewport(as.width, 900))
		act(b, "theme", chromedp.Evaluate[chromedp.Void](fmt.Sprintf("void document.documentElement.setAttribute('data-bs-theme', %q)", as.theme)))
		full := fmt.Sprintf("%s-%d-%s", name, as.width, as.theme)
		if wide := act(b, "width", chromedp.Evaluate[int64]("document.documentElement.scrollWidth")); wide > as.width {
			b.t.Errorf("%s scrolls sideways: %d wide", full, wide)
		}
		b.accessible(full)
		b.shot(full)
	}
}
