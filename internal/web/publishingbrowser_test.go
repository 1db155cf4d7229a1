package web_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"

	"usher/internal/activation"
)

// TestPublishingBrowser looks at the pages of publishers with a browser, wide and
// light, narrow and dark, edits a cell in place, selects by keys and cancels by the
// question in numbers.
func TestPublishingBrowser(t *testing.T) {
	b := chromium(t)
	w := startPublishing(t)
	act(b, "size", chromedp.EmulateViewport(1440, 900))
	b.open(w.signIn)
	act(b, "sign in", chromedp.Click("form .btn-primary"))
	b.until("signed in", "location.pathname === '/'")
	for name, path := range map[string]string{
		"pub-log": "/activity", "pub-order": "/activity?publisher=shop&view=order", "pub-conflict": "/activity/1038", "pub-failed": "/activity/1030", "pub-waits": "/activity/1037", "pub-upload-entry": "/activity/1041",
		"pub-list": "/publishers", "pub-new": "/publishers/new", "pub-link": "/publishers/new?provider=adverts", "pub-account": "/publishers/shop", "pub-grid": "/publishers/shop/structure", "pub-keywords": "/publishers/shop/structure?kind=keyword",
		"pub-create": "/publishers/shop/structure/new?type=keyword", "pub-object": "/publishers/shop/object/campaign/11", "pub-upload": "/publishers/shop/upload", "pub-schedules": "/publishers/shop/schedules", "pub-bidding": "/publishers/shop/bidding", "pub-strategy": "/publishers/shop/bidding/b1",
	} {
		act(b, "size", chromedp.EmulateViewport(1440, 900))
		b.open(w.url + path)
		b.glance(name)
	}
	cellInPlace(b, w)
	manyAndFile(b, w)
	keysAndQuestion(b, w)
	b.quiet()
}

// cellInPlace opens a cell, is refused, and saves it, all on one page.
func cellInPlace(b *tab, w *publishWorld) {
	act(b, "size", chromedp.EmulateViewport(1440, 900))
	b.open(w.url + "/publishers/shop/structure?kind=keyword")
	act(b, "mark", chromedp.Evaluate[chromedp.Void]("void (window.same = true)"))
	act(b, "open a cell", chromedp.Click("#o-keyword-32 a.edit[href*='bid']"))
	b.until("the cell is open", "document.activeElement.matches('#o-keyword-32 .cell-form input')")
	act(b, "type", chromedp.SetValue("#o-keyword-32 .cell-form input:not([type=hidden])", "cheap"))
	act(b, "save", chromedp.Click("#o-keyword-32 .cell-form .btn-primary"))
	b.until("it is refused beside the cell", "document.querySelector('#o-keyword-32 [role=alert]')?.innerText.includes('must be an amount')")
	b.until("the name keeps its room, and stays when the grid is moved sideways", "document.querySelector('#o-keyword-32 td.first').offsetWidth >= 150 && getComputedStyle(document.querySelector('#o-keyword-32 td.first')).position === 'sticky'")
	b.glance("pub-cell")
	act(b, "size", chromedp.EmulateViewport(1440, 900))
	act(b, "type", chromedp.SetValue("#o-keyword-32 .cell-form input:not([type=hidden])", "0.61"))
	act(b, "save", chromedp.Click("#o-keyword-32 .cell-form .btn-primary"))
	b.until("the row has the value, and what the publisher has", "!document.querySelector('.cell-form') && document.querySelector('#o-keyword-32').innerText.includes('0.61') && document.querySelector('#o-keyword-32 .was').innerText.includes('0.55') && window.same")
	b.until("the focus is where it was", "document.activeElement.matches('#o-keyword-32 a[data-cell=bid]')")
	act(b, "open it by key", chromedp.KeyEvent("\r"))
	b.until("the cell is open again", "document.activeElement.matches('#o-keyword-32 .cell-form input')")
	act(b, "escape", chromedp.KeyEvent("\u001b"))
	b.until("it is as it was, and so is the focus", "!document.querySelector('.cell-form') && document.activeElement.matches('#o-keyword-32 a[data-cell=bid]')")
}

// manyAndFile looks at what is asked before many objects, or those of a file, change.
func manyAndFile(b *tab, w *publishWorld) {
	b.open(w.url + "/publishers/shop/structure?kind=campaign")
	act(b, "tick all", chromedp.Click("[data-tick-all]"))
	b.until("all are ticked", "document.querySelector('[data-selected]').innerText === '4'")
	act(b, "pause…", chromedp.Click("#bulk [value=pause]"))
	b.until("the numbers", "document.querySelector('main h2').innerText === 'Pause 4 campaigns?'")
	b.glance("pub-many")
	act(b, "size", chromedp.EmulateViewport(1440, 900))
	act(b, "pause", chromedp.Click("button[name=sure]"))
	b.until("two are paused", "document.querySelector('.note[role=status]')?.innerText.includes('2 edits.')")

	file := filepath.Join(b.t.TempDir(), "q4.csv")
	if err := os.WriteFile(file, []byte("wrong rows"), 0o600); err != nil {
		b.t.Fatal(err)
	}
	b.open(w.url + "/publishers/shop/upload")
	act(b, "choose", chromedp.SetUploadFiles("#file", []string{file}))
	act(b, "preview", chromedp.Click("form[enctype] .btn-primary"))
	b.until("the preview", "document.querySelector('#errors')?.innerText.includes('cheap')")
	b.glance("pub-preview")
	act(b, "size", chromedp.EmulateViewport(1440, 900))
	act(b, "leave out", chromedp.Click("[name=skip_errors]"))
	act(b, "take", chromedp.Click("#preview .btn-primary"))
	b.until("the upload is in the log", "location.pathname === '/activity/1041'")
}

// keysAndQuestion selects with the keyboard, is asked, and sees the log follow what
// happens while it is open.
func keysAndQuestion(b *tab, w *publishWorld) {
	b.open(w.url + "/activity?publisher=shop")
	b.until("live", "document.querySelector('#live b').innerText === 'Live'")
	for range 2 {
		act(b, "j", chromedp.KeyEvent("j"))
	}
	act(b, "x", chromedp.KeyEvent("x"))
	b.until("one is selected", "document.querySelector('[data-selected]').innerText === '1' && document.querySelector('#t-1040').checked")
	act(b, "e", chromedp.KeyEvent("e"))
	b.until("the row is open", "document.querySelector('#x-1040:not([hidden])')?.innerText.includes('100,000 deletes by upload')")
	w.desk.mu.Lock()
	for i := range w.desk.entries {
		if w.desk.entries[i].ID == 1034 {
			w.desk.entries[i].Status = activation.EntryDone
		}
	}
	w.desk.mu.Unlock()
	b.until("the log follows, and the tick stays", "document.querySelector('#run-1034 .chip').innerText === 'Done' && document.querySelector('#t-1040').checked && document.querySelector('[data-selected]').innerText === '1'")
	act(b, "cancel…", chromedp.Click("#bulk [value=cancel]"))
	b.until("the question", "document.querySelector('#asked-t')?.innerText === 'Cancel 1 change?' && document.activeElement.innerText === 'Keep changes'")
	for range 2 {
		act(b, "tab", chromedp.KeyEvent("\t"))
	}
	b.until("Tab stays in the question", "document.activeElement.innerText === 'Keep changes'")
	b.glance("pub-cancel")
	act(b, "size", chromedp.EmulateViewport(1440, 900))
	act(b, "cancel", chromedp.Click("#asked .btn-bad.solid"))
	b.until("it is cancelled", "document.querySelector('#run-1040 .chip')?.innerText === 'Cancelled' && document.querySelector('.note[role=status]')?.innerText.includes('Cancelled 1 change.')")
}
