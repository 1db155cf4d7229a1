package store

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"usher/internal/activation"
)

// The statuses of what waits, and of what is released, as SQL lists them. Indexes are
// made for just these texts.
const (
	waitingStatuses  = `('held', 'to_be_sent', 'queued', 'processing')`
	releasedStatuses = `('queued', 'processing')`
)

const entryColumns = `e.id, e.publisher_id, coalesce(e.parent_id, 0), e.file_row, e.status, e.reason, e.origin, e.made_by, e.source, e.operation, e.kind, e.object_id, e.type, e.object_name,
	e.parent_kind, e.parent_object, e.changes, e.refers, e.wording, e.detail, e.attempt, e.batch, e.answer, e.error_code, e.error_text, e.error_field, e.request_id, e.children,
	e.created_at, e.released_at, e.posted_at, e.ended_at, e.place, e.turn`

func scanEntry(r scanner) (activation.Entry, error) {
	var e activation.Entry
	var place, turn int64
	err := r.Scan(&e.ID, &e.Publisher, &e.Parent, &e.Row, &e.Status, &e.Reason, &e.Origin, &e.By, &e.Source, &e.Operation, &e.Object.Kind, &e.Object.ID, &e.Type, &e.ObjectName,
		&e.ObjectParent.Kind, &e.ObjectParent.ID, sparse{&e.Changes}, sparse{&e.Refers}, &e.Text, sparse{&e.Detail}, &e.Attempt, &e.Batch, &e.Answer, &e.ErrorCode, &e.ErrorText, &e.ErrorField, &e.RequestID, sparse{&e.Children},
		stamp{&e.CreatedAt}, stamp{&e.ReleasedAt}, stamp{&e.PostedAt}, stamp{&e.EndedAt}, &place, &turn)
	if e.Status == activation.EntryQueued || e.Status == activation.EntryProcessing {
		place = turn
	}
	if first := rootOf(place); e.Status.Waits() && !e.IsParent() && first != e.ID {
		e.For = first
	}
	return e, err
}

// keyBits are those of an entry's id in a packed key.
const keyBits = 50

// packed is a key in one number, which compares as the key does.
func packed(k activation.EntryKey) int64 {
	return ((int64(k.Origin)*8+int64(k.Object+1))*4+int64(k.Operation))<<keyBits | int64(k.ID)
}

// rootOf is the entry in whose place a packed key is.
func rootOf(key int64) activation.EntryID { return activation.EntryID(key & (1<<keyBits - 1)) }

// entryTally gathers what becomes of the numbers of entries by status, of an account
// and of its uploads, until it is stored.
type entryTally struct {
	account activation.PublisherID
	n       map[activation.EntryStatus]int64
	parents map[activation.EntryID]map[activation.EntryStatus]int64
	// stretches of the order of what is released are counted again.
	stretches map[int64]bool
}

func newTally(account activation.PublisherID) *entryTally {
	return &entryTally{account: account, n: map[activation.EntryStatus]int64{}, parents: map[activation.EntryID]map[activation.EntryStatus]int64{}, stretches: map[int64]bool{}}
}

// move counts an entry of a parent (0 = none) that goes from one status to another; ""
// stands for an entry that was not there.
func (c *entryTally) move(parent activation.EntryID, from, to activation.EntryStatus) {
	add := func(n map[activation.EntryStatus]int64) {
		if from != "" {
			n[from]--
		}
		n[to]++
	}
	add(c.n)
	if parent != 0 {
		if c.parents[parent] == nil {
			c.parents[parent] = map[activation.EntryStatus]int64{}
		}
		add(c.parents[parent])
	}
}

// add counts what another has gathered too.
func (c *entryTally) add(o *entryTally) {
	for status, n := range o.n {
		c.n[status] += n
	}
	for id, children := range o.parents {
		if c.parents[id] == nil {
			c.parents[id] = map[activation.EntryStatus]int64{}
		}
		for status, n := range children {
			c.parents[id][status] += n
		}
	}
	maps.Copy(c.stretches, o.stretches)
}

// tallied stores what was gathered, when all entries have their status and place;
// parents get the status that their children make.
func (t *tx) tallied(c *entryTally) error {
	if err := t.countStretches(c); err != nil {
		return err
	}
	for _, status := range slices.Sorted(maps.Keys(c.n)) {
		if c.n[status] == 0 {
			continue
		}
		if _, err := t.exec(`INSERT INTO entry_counts (publisher_id, status, n) VALUES ($1, $2, $3) ON CONFLICT (publisher_id, status) DO UPDATE SET n = entry_counts.n + excluded.n`,
			c.account, status, c.n[status]); err != nil {
			return err
		}
	}
	for _, id := range slices.Sorted(maps.Keys(c.parents)) {
		parent, err := t.entry(id)
		if err != nil {
			return err
		}
		children := parent.Children
		if children == nil {
			children = map[activation.EntryStatus]int64{}
		}
		for status, n := range c.parents[id] {
			if children[status] += n; children[status] == 0 {
				delete(children, status)
			}
		}
		status, ended := activation.ParentStatus(children), parent.EndedAt
		switch {
		case status.Waits():
			ended = time.Time{}
		case ended.IsZero():
			ended = t.now
		}
		if _, err := t.exec(`UPDATE entries SET children = $1, status = $2, ended_at = $3 WHERE id = $4`, encode(children), status, at(ended), id); err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) entry(id activation.EntryID) (activation.Entry, error) {
	e, err := scanEntry(t.row(`SELECT `+entryColumns+` FROM entries e WHERE e.id = $1`, id))
	return found(e, err, "entry", strconv.FormatInt(int64(id), 10))
}

// entriesByID reads entries in no order.
func (t *tx) entriesByID(ids []activation.EntryID) (out []activation.Entry, err error) {
	err = inChunks(0, ids, func(marks string, args []any) error {
		rows, err := t.query(`SELECT `+entryColumns+` FROM entries e WHERE e.id IN `+marks, args...)
		some, err := collect(rows, err, scanEntry)
		out = append(out, some...)
		return err
	})
	return out, err
}

// Entry returns one entry, or ErrNotFound.
func (s *Store) Entry(ctx context.Context, id activation.EntryID) (e activation.Entry, err error) {
	err = s.view(ctx, func(t *tx) error {
		unseen, err := t.hidden(id)
		if err != nil {
			return err
		}
		if unseen {
			return fmt.Errorf("entry %d: %w", id, activation.ErrNotFound)
		}
		e, err = t.entry(id)
		return err
	})
	return e, err
}

// EntryCounts counts entries by status, of one account or of all (""). Uploads are not
// counted.
func (s *Store) EntryCounts(ctx context.Context, id activation.PublisherID) (map[activation.EntryStatus]int64, error) {
	var w where
	equal(&w, "publisher_id", id)
	w.add("n > 0")
	rows, err := s.read.QueryContext(ctx, `SELECT status, CAST(sum(n) AS BIGINT) FROM entry_counts`+w.sql()+` GROUP BY status`, w.args...)
	out, err := counts[activation.EntryStatus](rows, err)
	if err != nil {
		return nil, fmt.Errorf("count entries: %w", err)
	}
	return out, nil
}

// entryConditions are those of a query but account, status and order.
func entryConditions(w *where, q activation.EntryQuery) {
	if len(q.IDs) > 0 {
		numbers := make([]string, len(q.IDs))
		for i, id := range q.IDs {
			numbers[i] = w.next(int64(id))
		}
		w.conditions = append(w.conditions, "e.id IN ("+strings.Join(numbers, ", ")+")")
	}
	in(w, "e.origin", q.Origins)
	in(w, "e.kind", q.Kinds)
	in(w, "e.operation", q.Ops)
	if q.Parent != 0 {
		w.add("e.parent_id = $%d", int64(q.Parent))
	}
	if q.Top {
		w.add("e.parent_id IS NULL")
	}
	if q.Object.ID != "" {
		w.add("e.kind = $%d AND e.object_id = $%d", string(q.Object.Kind), q.Object.ID)
	}
	if q.Text != "" {
		like := "%" + likeLiteral(strings.ToLower(q.Text)) + "%"
		number, err := strconv.ParseInt(strings.TrimPrefix(q.Text, "#"), 10, 64)
		if err != nil {
			number = -1
		}
		w.add(`(lower(e.wording) LIKE $%d ESCAPE '!' OR lower(e.object_name) LIKE $%d ESCAPE '!' OR e.object_id = $%d OR e.id = $%d)`, like, like, q.Text, number)
	}
	w.compare("e.created_at", ">=", q.Since)
	w.compare("e.created_at", "<", q.Until)
	w.compare("e.ended_at", ">=", q.EndedSince)
}

// entryCursor is where a page of entries ended: an id, and in the order of posting a
// place.
type entryCursor struct {
	ID     activation.EntryID `json:"i,omitempty"`
	Place  int64              `json:"p,omitempty"`
	Before int64              `json:"b,omitempty"`
}

// Entries returns a page, and the cursor of the next one or "".
func (s *Store) Entries(ctx context.Context, q activation.EntryQuery) (page []activation.Entry, next string, err error) {
	limit := orDefault(q.Limit, 50)
	var keys []entryCursor
	err = s.view(ctx, func(t *tx) error {
		page, next = nil, ""
		var until *entryCursor
		if keys, until, err = t.entryPage(q, limit+1); err != nil {
			return err
		}
		if len(keys) > limit {
			keys = keys[:limit]
			until = &keys[limit-1]
		}
		if until != nil {
			next = cursorOf(*until)
		}
		at := make(map[activation.EntryID]int, len(keys))
		wanted := make([]activation.EntryID, len(keys))
		for i, k := range keys {
			at[k.ID], wanted[i] = i, k.ID
		}
		page, err = t.entriesByID(wanted)
		slices.SortFunc(page, func(a, b activation.Entry) int { return at[a.ID] - at[b.ID] })
		return err
	})
	if err != nil {
		return nil, "", fmt.Errorf("list entries: %w", err)
	}
	return page, next, nil
}

// searched reports whether entries of q are found by looking at each, and not in an
// index.
func searched(q activation.EntryQuery) bool {
	few := len(q.IDs) > 0 || q.Object.ID != "" || !q.EndedSince.IsZero() || q.Posting && q.Publisher == ""
	return !few && (q.Text != "" || len(q.Origins)+len(q.Kinds)+len(q.Ops) > 0 || !q.Since.IsZero() || !q.Until.IsZero())
}

// indexed is the part of q that an index has.
func indexed(q activation.EntryQuery) activation.EntryQuery {
	q.Text, q.Origins, q.Kinds, q.Ops, q.Since, q.Until = "", nil, nil, nil, time.Time{}, time.Time{}
	return q
}

// entryRange is the part of a list that is read: what comes after one entry, up to and
// with another.
type entryRange struct{ after, until *entryCursor }

// entryPage finds the entries of a page in indexes alone, for each account and status
// by itself, since they are in the order of an index only so. until is where it ended
// because it had looked at as many as it may, nil = it did not.
func (t *tx) entryPage(q activation.EntryQuery, limit int) (out []entryCursor, until *entryCursor, err error) {
	var from entryRange
	if q.After != "" {
		from.after = &entryCursor{}
		if err := readCursor(q.After, from.after); err != nil {
			return nil, nil, err
		}
	}
	accounts, statuses := []activation.PublisherID{q.Publisher}, q.Statuses
	if len(statuses) == 0 {
		statuses = activation.EntryStatuses
	}
	if q.Posting {
		statuses = slices.DeleteFunc(slices.Clone(statuses), func(s activation.EntryStatus) bool { return !s.Waits() })
	}
	whole := !q.Posting && !q.Top && (q.Publisher == "" && len(q.Statuses) == 0 && q.Parent == 0 || len(q.IDs) > 0 || q.Object.ID != "" || !q.EndedSince.IsZero())
	if q.Publisher == "" && !whole && q.Parent == 0 {
		rows, err := t.query(`SELECT id FROM publishers ORDER BY id`)
		if accounts, err = collect(rows, err, func(r scanner) (id activation.PublisherID, err error) { return id, r.Scan(&id) }); err != nil {
			return nil, nil, err
		}
	}
	if whole {
		statuses = nil
	}
	for _, account := range accounts {
		part := from
		if q.Most > 0 && searched(q) {
			last, err := t.entryKeys(indexed(q), account, statuses, from, 1, max(1, q.Most/len(accounts))-1)
			if err != nil {
				return nil, nil, err
			}
			if len(last) > 0 {
				part.until = &last[0]
				if until == nil || until.ID < last[0].ID {
					until = &last[0]
				}
			}
		}
		some, err := t.entryKeys(q, account, statuses, part, limit, 0)
		if err != nil {
			return nil, nil, err
		}
		out = append(out, some...)
	}
	if len(accounts) > 1 {
		if until != nil { // what is beyond it in one account may not be all there is
			out = slices.DeleteFunc(out, func(k entryCursor) bool { return k.ID < until.ID })
		}
		slices.SortFunc(out, func(a, b entryCursor) int { return int(b.ID - a.ID) })
		out = out[:min(limit, len(out))]
	}
	return out, until, nil
}

// entryKeys are the first entries in a range, but skip, of one account, or of all (""),
// of these statuses, or of those that q says (nil).
func (t *tx) entryKeys(q activation.EntryQuery, account activation.PublisherID, statuses []activation.EntryStatus, within entryRange, limit, skip int) ([]entryCursor, error) {
	columns, order, back := `e.id, 0 AS place, 0 AS place_before`, `e.id DESC`, `s.id DESC`
	if q.Posting {
		columns, order, back = `e.id, e.place, e.place_before`, `e.place, e.place_before`, `s.place, s.place_before`
	}
	bound := func(w *where, sign, back string, c *entryCursor) {
		switch {
		case c == nil:
		case q.Posting:
			w.add("(e.place, e.place_before) "+sign+" ($%d, $%d)", c.Place, c.Before)
		default:
			w.add("e.id "+back+" $%d", int64(c.ID))
		}
	}
	hiding, err := t.hiding()
	if err != nil {
		return nil, err
	}
	var w where
	one := func(status activation.EntryStatus, most int) string {
		w.conditions = nil
		if q.Parent == 0 {
			equal(&w, "e.publisher_id", account)
		} else {
			equal(&w, "e.publisher_id || ''", account) // the index of children is the one to read
		}
		if status != "" {
			w.conditions = append(w.conditions, `e.status = '`+string(status)+`'`) // one of ours
		} else {
			in(&w, "e.status", q.Statuses)
		}
		if q.Posting {
			w.conditions = append(w.conditions, `e.status IN `+waitingStatuses+` AND e.operation <> 'upload'`) // as the index says it
		}
		entryConditions(&w, q)
		if hiding != "" {
			w.conditions = append(w.conditions, strings.TrimPrefix(hiding, " AND "))
		}
		bound(&w, ">", "<", within.after)
		bound(&w, "<=", ">=", within.until)
		return `SELECT ` + columns + ` FROM entries e` + w.sql() + ` ORDER BY ` + order + ` LIMIT ` + w.next(most)
	}
	var text string
	if statuses == nil {
		text = one("", limit) + ` OFFSET ` + w.next(skip)
	} else {
		if len(statuses) == 0 {
			return nil, nil
		}
		parts := make([]string, len(statuses))
		for i, status := range statuses {
			if !slices.Contains(activation.EntryStatuses, status) {
				return nil, invalid("status", "there is no status %q of entries", status)
			}
			parts[i] = `SELECT * FROM (` + one(status, limit+skip) + `) AS p` + strconv.Itoa(i)
		}
		text = `SELECT s.id, s.place, s.place_before FROM (` + strings.Join(parts, ` UNION ALL `) + `) AS s ORDER BY ` + back + ` LIMIT ` + w.next(limit) + ` OFFSET ` + w.next(skip)
	}
	rows, err := t.query(text, w.args...)
	return collect(rows, err, func(r scanner) (k entryCursor, err error) { return k, r.Scan(&k.ID, &k.Place, &k.Before) })
}

// eachPage is how many entries EachEntry reads at a time.
const eachPage = 1000

// EachEntry calls yield with every entry of q, by id, without holding them all.
func (s *Store) EachEntry(ctx context.Context, q activation.EntryQuery, yield func(activation.Entry) error) error {
	last := activation.EntryID(0)
	for {
		var page []activation.Entry
		err := s.view(ctx, func(t *tx) error {
			var w where
			equal(&w, "e.publisher_id", q.Publisher)
			in(&w, "e.status", q.Statuses)
			entryConditions(&w, q)
			w.add("e.id > $%d", int64(last))
			if err := t.hideFrom(&w); err != nil {
				return err
			}
			rows, err := t.query(`SELECT `+entryColumns+` FROM entries e`+w.sql()+` ORDER BY e.id LIMIT `+w.next(eachPage), w.args...)
			page, err = collect(rows, err, scanEntry)
			return err
		})
		if err != nil {
			return fmt.Errorf("read entries: %w", err)
		}
		for _, e := range page {
			if err := yield(e); err != nil {
				return err
			}
			last = e.ID
		}
		if len(page) < eachPage {
			return nil
		}
	}
}
