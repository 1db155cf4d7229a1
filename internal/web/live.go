package web

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	// renewEvery is the least time between two messages of a stream.
	renewEvery = 500 * time.Millisecond
	// lookEvery is how often a page is looked at though nothing was announced:
	// the progress of a run is not.
	lookEvery = 2 * time.Second
	// beatEvery is how often a stream says that it lives. The page calls itself
	// stale after 10 s without a sign.
	beatEvery = 4 * time.Second
)

// hub tells open pages that something changed. Signals are coalesced: a slow
// page misses none and gets no queue of them.
type hub struct {
	mu     sync.Mutex
	pages  map[chan struct{}]bool
	closed chan struct{}
	once   sync.Once
}

func newHub() *hub { return &hub{pages: map[chan struct{}]bool{}, closed: make(chan struct{})} }

func (h *hub) changed() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for p := range h.pages {
		select {
		case p <- struct{}{}:
		default: // told already
		}
	}
}

func (h *hub) join() chan struct{} {
	p := make(chan struct{}, 1)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.pages[p] = true
	return p
}

func (h *hub) leave(p chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.pages, p)
}

func (h *hub) close() { h.once.Do(func() { close(h.closed) }) }

// events is the stream of one page: every region when it begins, then those
// that have become different.
func (c *Console) events(w http.ResponseWriter, r *http.Request) {
	v, ok := c.visitor(r)
	load := c.live[r.URL.Query().Get("page")]
	if !ok || load == nil {
		http.Error(w, "no such stream", http.StatusNotFound)
		return
	}
	r.SetPathValue("id", r.URL.Query().Get("id"))
	secure(w)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	s := &stream{c: c, v: v, w: w, load: load, sent: map[string][sha256.Size]byte{}}
	s.run()
}

// stream is one open page.
type stream struct {
	c    *Console
	v    visit
	w    http.ResponseWriter
	load loader
	sent map[string][sha256.Size]byte
}

func (s *stream) run() {
	changed := s.c.hub.join()
	defer s.c.hub.leave(changed)
	look, beat := time.NewTicker(lookEvery), time.NewTicker(beatEvery)
	defer look.Stop()
	defer beat.Stop()
	for {
		if !s.renew() {
			return
		}
		// Not sooner than renewEvery, whatever is announced meanwhile.
		if !s.sleep(renewEvery) {
			return
		}
		for waiting := true; waiting; {
			select {
			case <-s.v.Context().Done():
				return
			case <-s.c.hub.closed:
				return
			case <-changed:
				waiting = false
			case <-look.C:
				waiting = false
			case <-beat.C:
				if !s.write("event: beat\ndata: 1\n\n") {
					return
				}
			}
		}
	}
}

func (s *stream) sleep(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-s.v.Context().Done():
		return false
	case <-s.c.hub.closed:
		return false
	case <-t.C:
		return true
	}
}

// renew sends the regions that differ from what was sent. A page that cannot be
// read now is tried again; one whose session ended is closed.
func (s *stream) renew() bool {
	who, ok := s.c.visitor(s.v.Request)
	if !ok {
		return false
	}
	out, err := s.load(who)
	if err != nil {
		if s.v.Context().Err() == nil {
			s.c.Log.WarnContext(s.v.Context(), "page not renewed", slog.Any("err", err))
		}
		return s.write("event: beat\ndata: 1\n\n")
	}
	d := s.c.data(who, out)
	var message bytes.Buffer
	for _, region := range out.Regions {
		var b bytes.Buffer
		if err := s.c.templates[out.Template].ExecuteTemplate(&b, region, d); err != nil {
			s.c.Log.ErrorContext(s.v.Context(), "region not rendered", slog.String("region", region), slog.Any("err", err))
			return false
		}
		sum := sha256.Sum256(b.Bytes())
		if s.sent[region] == sum {
			continue
		}
		s.sent[region] = sum
		fmt.Fprintf(&message, "<hx-partial hx-target=\"#%s\" hx-swap=\"innerMorph\">%s</hx-partial>", region, b.Bytes())
	}
	if message.Len() == 0 {
		return true
	}
	id := s.c.Now().UnixNano()
	return s.write(fmt.Sprintf("id: %d\ndata: %s\n\n", id, strings.ReplaceAll(strings.TrimSpace(message.String()), "\n", "\ndata: ")))
}

func (s *stream) write(text string) bool {
	if _, err := s.w.Write([]byte(text)); err != nil {
		return false
	}
	return http.NewResponseController(s.w).Flush() == nil
}
