package ingest

import (
	"bytes"
	"time"
)

// dateOrder says how dates with the year last are written.
type dateOrder string

const (
	orderUnknown dateOrder = ""
	monthFirst   dateOrder = "mdy"
	dayFirst     dateOrder = "dmy"
	yearFirst    dateOrder = "ymd"
)

func (o dateOrder) valid() bool {
	return o == orderUnknown || o == monthFirst || o == dayFirst || o == yearFirst
}

const microsPerSecond = 1_000_000

// parseTime reads a message time into Unix microseconds. reason is "" or says
// why it can't be read. Times without a zone are UTC. Nothing is guessed: a
// date with the year last needs a declared order, and years have four digits.
func parseTime(text []byte, order dateOrder) (micros int64, reason string) {
	text = bytes.TrimSpace(text)
	switch {
	case len(text) == 0:
		return 0, "the time is empty"
	case isDigits(text) || unixFraction(text):
		return parseUnix(text)
	case text[0] >= '0' && text[0] <= '9':
		s := timeScanner{b: text}
		micros, reason = s.parse(order)
		if reason == notATime && bytes.ContainsAny(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") {
			return parseNamed(text)
		}
		return micros, reason
	default:
		return parseNamed(text)
	}
}

const (
	notATime    = "not a time in a known format"
	outOfRange  = "the date or time is out of range"
	declareIt   = "day and month can't be told apart: declare date_order (mdy or dmy) for the stream"
	orderIsLast = "the declared date_order is ymd, but the year comes last"
	twoDigits   = "the year must have four digits"
	badUnix     = "a Unix time has 9 or 10 digits (seconds), 12 or 13 (milliseconds) or 15 or 16 (microseconds)"
)

// parseUnix tells seconds, milliseconds and microseconds apart by the number of
// digits, which holds for times from March 1973 to November 2286.
func parseUnix(b []byte) (int64, string) {
	whole, fraction := b, []byte(nil)
	if i := bytes.IndexByte(b, '.'); i >= 0 {
		whole, fraction = b[:i], b[i+1:]
	}
	if len(whole) > 16 || whole[0] == '0' {
		return 0, badUnix
	}
	var n int64
	for _, c := range whole {
		n = n*10 + int64(c-'0')
	}
	switch len(whole) {
	case 9, 10:
		return n*microsPerSecond + fractionMicros(fraction), ""
	case 12, 13:
		return n * 1000, ""
	case 15, 16:
		return n, ""
	}
	return 0, badUnix
}

// unixFraction reports whether b is seconds with a fraction, as 1700000000.25.
func unixFraction(b []byte) bool {
	i := bytes.IndexByte(b, '.')
	return (i == 9 || i == 10) && isDigits(b[:i]) && isDigits(b[i+1:])
}

// parseNamed reads dates with the name of the month.
func parseNamed(b []byte) (int64, string) {
	text := string(b)
	for _, layout := range namedLayouts {
		if t, err := time.Parse(layout, text); err == nil {
			if t.UnixMicro() < yearOne {
				return 0, outOfRange
			}
			return t.UnixMicro(), ""
		}
	}
	return 0, notATime
}

// namedLayouts leave out zone names, which mean different things in different
// places, except GMT.
var namedLayouts = []string{
	"Mon, 02 Jan 2006 15:04:05 GMT", time.RFC1123Z,
	"2 Jan 2006", "2 Jan 2006 15:04", "2 Jan 2006 15:04:05",
	"2 January 2006", "2 January 2006 15:04", "2 January 2006 15:04:05",
	"Jan 2, 2006", "Jan 2, 2006 15:04", "Jan 2, 2006 15:04:05", "Jan 2, 2006 3:04 PM", "Jan 2, 2006 3:04:05 PM",
	"January 2, 2006", "January 2, 2006 15:04", "January 2, 2006 15:04:05",
	"2-Jan-2006", "2-Jan-2006 15:04", "2-Jan-2006 15:04:05",
}

// timeScanner reads a date of three numbers, and then perhaps a time and a zone.
type timeScanner struct {
	b []byte
	i int
}

func (s *timeScanner) parse(order dateOrder) (int64, string) {
	year, month, day, reason := s.date(order)
	if reason != "" {
		return 0, reason
	}
	if year < 1 || month < 1 || month > 12 || day < 1 || day > daysIn(year, month) {
		return 0, outOfRange
	}
	micros := daysSince1970(year, month, day) * 86400 * microsPerSecond
	if s.i == len(s.b) {
		return micros, ""
	}
	if c := s.b[s.i]; c != 'T' && c != 't' && c != ' ' {
		return 0, notATime
	}
	s.i++
	s.spaces()
	clock, reason := s.clock()
	if reason != "" {
		return 0, reason
	}
	zone, reason := s.zone()
	if reason != "" {
		return 0, reason
	}
	if micros += clock - zone; micros < yearOne {
		return 0, outOfRange
	}
	return micros, ""
}

// yearOne is the first microsecond of year 1.
const yearOne = -62135596800 * microsPerSecond

// date reads year, month and day in the order written.
func (s *timeScanner) date(order dateOrder) (year, month, day int, reason string) {
	a, an := s.number(4)
	sep := s.separator()
	b, bn := s.number(2)
	if sep == 0 || an == 0 || bn == 0 || s.separator() != sep {
		return 0, 0, 0, notATime
	}
	if an == 4 {
		day, n := s.number(2)
		if n == 0 {
			return 0, 0, 0, notATime
		}
		return a, b, day, ""
	}
	year, n := s.number(4)
	switch {
	case n == 0 || an == 3:
		return 0, 0, 0, notATime
	case n != 4:
		return 0, 0, 0, twoDigits
	case order == monthFirst:
		return year, a, b, ""
	case order == dayFirst:
		return year, b, a, ""
	case order == yearFirst:
		return 0, 0, 0, orderIsLast
	}
	return 0, 0, 0, declareIt
}

// clock reads 15:04, 15:04:05, 15:04:05.999 and 3:04 PM.
func (s *timeScanner) clock() (micros int64, reason string) {
	hour, n := s.number(2)
	if n == 0 || !s.eat(':') {
		return 0, notATime
	}
	minute, n := s.number(2)
	if n != 2 {
		return 0, notATime
	}
	second := 0
	if s.eat(':') {
		if second, n = s.number(2); n != 2 {
			return 0, notATime
		}
		if s.eat('.') || s.eat(',') {
			begin := s.i
			for s.i < len(s.b) && isDigit(s.b[s.i]) {
				s.i++
			}
			if s.i == begin {
				return 0, notATime
			}
			micros = fractionMicros(s.b[begin:s.i])
		}
	}
	if half, ok := s.half(); ok {
		if hour < 1 || hour > 12 {
			return 0, outOfRange
		}
		hour = hour%12 + half
	}
	if hour > 23 || minute > 59 || second > 59 {
		return 0, outOfRange
	}
	return micros + int64(hour*3600+minute*60+second)*microsPerSecond, ""
}

// half reads AM or PM and returns the hours it adds.
func (s *timeScanner) half() (hours int, ok bool) {
	rest := bytes.TrimLeft(s.b[s.i:], " ")
	if len(rest) < 2 || rest[1]|0x20 != 'm' {
		return 0, false
	}
	switch rest[0] | 0x20 {
	case 'a':
		hours = 0
	case 'p':
		hours = 12
	default:
		return 0, false
	}
	s.i = len(s.b) - len(rest) + 2
	return hours, true
}

// zone reads nothing, Z, UTC, GMT, +01:00, +0100 or +01 and returns the offset
// in microseconds.
func (s *timeScanner) zone() (micros int64, reason string) {
	s.spaces()
	rest := s.b[s.i:]
	if len(rest) == 0 || bytes.EqualFold(rest, []byte("Z")) || bytes.EqualFold(rest, []byte("UTC")) || bytes.EqualFold(rest, []byte("GMT")) {
		return 0, ""
	}
	sign := int64(1)
	switch rest[0] {
	case '-':
		sign = -1
	case '+':
	default:
		return 0, notATime
	}
	s.i++
	hours, n := s.number(2)
	if n != 2 {
		return 0, notATime
	}
	minutes := 0
	if s.i < len(s.b) {
		s.eat(':')
		if minutes, n = s.number(2); n != 2 || s.i < len(s.b) {
			return 0, notATime
		}
	}
	if hours > 15 || minutes > 59 {
		return 0, outOfRange
	}
	return sign * int64(hours*3600+minutes*60) * microsPerSecond, ""
}

// number reads at most most digits and returns how many there were.
func (s *timeScanner) number(most int) (value, digits int) {
	for digits < most && s.i < len(s.b) && isDigit(s.b[s.i]) {
		value = value*10 + int(s.b[s.i]-'0')
		s.i++
		digits++
	}
	return value, digits
}

func (s *timeScanner) separator() byte {
	if s.i < len(s.b) {
		if c := s.b[s.i]; c == '-' || c == '/' || c == '.' {
			s.i++
			return c
		}
	}
	return 0
}

func (s *timeScanner) eat(c byte) bool {
	if s.i < len(s.b) && s.b[s.i] == c {
		s.i++
		return true
	}
	return false
}

func (s *timeScanner) spaces() {
	for s.eat(' ') {
	}
}

// fractionMicros turns the digits after the point into microseconds, cutting
// what is finer.
func fractionMicros(digits []byte) int64 {
	var n int64
	for i := range 6 {
		n *= 10
		if i < len(digits) {
			n += int64(digits[i] - '0')
		}
	}
	return n
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isDigits(b []byte) bool {
	for _, c := range b {
		if !isDigit(c) {
			return false
		}
	}
	return len(b) > 0
}

func daysIn(year, month int) int {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}

// daysSince1970 counts days in the Gregorian calendar, for years from 1: years
// are made to begin in March, so that the leap day is the last.
func daysSince1970(year, month, day int) int64 {
	if month <= 2 {
		year--
		month += 12
	}
	return int64(365*year + year/4 - year/100 + year/400 + (153*(month-3)+2)/5 + day - 1 - 719468)
}
