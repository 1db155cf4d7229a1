package linkedin

import (
	"net/http"

	"usher/internal/activation"
	"usher/internal/outbound"
)

// sheet is what became of the rows of one batch. A row is accepted until
// something else is known of it.
type sheet struct {
	outcomes []activation.Outcome // "" = accepted
	codes    []string
	sent     []int // the row of each element under way
}

func newSheet(rows int) *sheet {
	return &sheet{outcomes: make([]activation.Outcome, rows), codes: make([]string, rows)}
}

// send makes row i the next element.
func (s *sheet) send(i int) { s.sent = append(s.sent, i) }

func (s *sheet) set(i int, o activation.Outcome, code string) { s.outcomes[i], s.codes[i] = o, code }

// reject takes row i for refused.
func (s *sheet) reject(i int) { s.set(i, activation.Rejected, codeRow) }

// rest gives all elements under way one outcome.
func (s *sheet) rest(o activation.Outcome, code string) {
	for _, i := range s.sent {
		s.set(i, o, code)
	}
}

// answer reads the status of each element. Another number of them than was sent
// says nothing about any.
func (s *sheet) answer(got statuses, a outbound.Answer) error {
	if len(got.Elements) != len(s.sent) {
		e := classAnswer.New()
		e.Message = "linkedin answered for another number of rows than was sent"
		e.RequestID, e.MayHaveApplied = requestID(a.Header), true
		return e
	}
	for j, el := range got.Elements {
		switch i := s.sent[j]; {
		case el.Status/100 == 2:
		case el.Status == http.StatusTooManyRequests: // refused for its time, not for itself
			s.set(i, activation.Unsent, classThrottle.Code)
		case el.Status/100 == 4:
			s.reject(i)
		case el.Status/100 == 5:
			s.set(i, activation.Unknown, classUnavailable.Code)
		default:
			s.set(i, activation.Unknown, classAnswer.Code)
		}
	}
	return nil
}

// receipt adds the rows up.
func (s *sheet) receipt(a outbound.Answer) activation.Receipt {
	rc := activation.Receipt{RequestID: requestID(a.Header), HTTPStatus: a.Status, Headers: keptHeaders(a.Header)}
	for i, o := range s.outcomes {
		switch o {
		case activation.Rejected:
			rc.Rejected++
		case activation.Unknown:
			rc.Unknown++
		case activation.Unsent:
			rc.Unsent++
		default:
			rc.Accepted++
			continue
		}
		rc.Exceptions = append(rc.Exceptions, activation.Exception{Ordinal: int64(i), Outcome: o, Code: s.codes[i]})
	}
	return rc
}
