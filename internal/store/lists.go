package store

import (
	"context"
	"fmt"
	"slices"

	"usher/internal/activation"
)

const listColumns = `l.id, l.name, l.destination_id, l.audiences, l.created_at, l.updated_at`

func scanList(r scanner) (activation.PriorityList, error) {
	var l activation.PriorityList
	err := r.Scan(&l.ID, &l.Name, &l.Destination, object{&l.Audiences}, stamp{&l.CreatedAt}, stamp{&l.UpdatedAt})
	return l, err
}

// PriorityLists lists the priority lists of a destination by name; "" = of all.
func (s *Store) PriorityLists(ctx context.Context, d activation.DestinationID) ([]activation.PriorityList, error) {
	var out []activation.PriorityList
	err := s.view(ctx, func(t *tx) (err error) {
		out, err = t.lists(d)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list priority lists: %w", err)
	}
	return out, nil
}

func (t *tx) lists(d activation.DestinationID) ([]activation.PriorityList, error) {
	var w where
	equal(&w, "l.destination_id", d)
	rows, err := t.query(`SELECT `+listColumns+` FROM priority_lists l`+w.sql()+` ORDER BY l.name`, w.args...)
	return collect(rows, err, scanList)
}

// PriorityList returns one priority list, or ErrNotFound.
func (s *Store) PriorityList(ctx context.Context, id activation.PriorityListID) (activation.PriorityList, error) {
	l, err := scanList(s.read.QueryRowContext(ctx, `SELECT `+listColumns+` FROM priority_lists l WHERE l.id = $1`, id))
	return found(l, err, "priority list", id)
}

// listFace is what the audit log keeps of a priority list.
func listFace(l activation.PriorityList) string {
	return encode(struct {
		Name        string                   `json:"name"`
		Destination activation.DestinationID `json:"destination_id"`
		Audiences   []activation.AudienceID  `json:"segment_ids"`
	}{l.Name, l.Destination, l.Audiences})
}

// CreatePriorityList stores an order of audiences at a destination. An audience
// is in one list of a destination; the targets that it changes are made due.
func (s *Store) CreatePriorityList(ctx context.Context, l activation.PriorityList, user string) (activation.PriorityList, error) {
	err := s.do(ctx, func(t *tx) error {
		l.ID = orNew(l.ID)
		l.CreatedAt, l.UpdatedAt = t.now, t.now
		if err := t.fitList(l); err != nil {
			return err
		}
		_, err := t.exec(`INSERT INTO priority_lists (id, name, destination_id, audiences, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $5)`,
			l.ID, l.Name, l.Destination, list(l.Audiences), t.micros())
		if isConflict(err) {
			return conflict("a priority list named %q exists already", l.Name)
		}
		if err != nil {
			return err
		}
		if err := t.reordered(l.Destination, nil, l.Audiences); err != nil {
			return err
		}
		return t.audit(activation.AuditEntry{Actor: user, Verb: "create", SubjectType: "priority_list", SubjectID: string(l.ID), After: listFace(l)})
	})
	if err != nil {
		return activation.PriorityList{}, fmt.Errorf("create priority list: %w", err)
	}
	return l, nil
}

// UpdatePriorityList changes name and order of a list, which stays with its
// destination.
func (s *Store) UpdatePriorityList(ctx context.Context, l activation.PriorityList, user string) (activation.PriorityList, error) {
	given := l
	err := s.do(ctx, func(t *tx) error {
		l = given
		before, err := scanList(t.row(`SELECT `+listColumns+` FROM priority_lists l WHERE l.id = $1`+t.d.ForUpdate, l.ID))
		if before, err = found(before, err, "priority list", l.ID); err != nil {
			return err
		}
		if l.Destination != "" && l.Destination != before.Destination {
			return invalid("destination_id", "a priority list stays with its destination; make another one there")
		}
		l.Destination, l.CreatedAt, l.UpdatedAt = before.Destination, before.CreatedAt, t.now
		if err := t.fitList(l); err != nil {
			return err
		}
		if err := t.saveList(before, l); err != nil {
			return err
		}
		return t.audit(activation.AuditEntry{Actor: user, Verb: "update", SubjectType: "priority_list", SubjectID: string(l.ID), Before: listFace(before), After: listFace(l)})
	})
	if err != nil {
		return activation.PriorityList{}, fmt.Errorf("update priority list: %w", err)
	}
	return l, nil
}

func (t *tx) saveList(before, l activation.PriorityList) error {
	_, err := t.exec(`UPDATE priority_lists SET name = $1, audiences = $2, updated_at = $3 WHERE id = $4`, l.Name, list(l.Audiences), t.micros(), l.ID)
	if isConflict(err) {
		return conflict("a priority list named %q exists already", l.Name)
	}
	if err != nil {
		return err
	}
	return t.reordered(l.Destination, before.Audiences, l.Audiences)
}

// DeletePriorityList removes a list: everybody goes wherever they belong.
func (s *Store) DeletePriorityList(ctx context.Context, id activation.PriorityListID, user string) error {
	err := s.do(ctx, func(t *tx) error {
		l, err := scanList(t.row(`SELECT `+listColumns+` FROM priority_lists l WHERE l.id = $1`+t.d.ForUpdate, id))
		if l, err = found(l, err, "priority list", id); err != nil {
			return err
		}
		if _, err := t.exec(`DELETE FROM priority_lists WHERE id = $1`, id); err != nil {
			return err
		}
		if err := t.reordered(l.Destination, l.Audiences, nil); err != nil {
			return err
		}
		return t.audit(activation.AuditEntry{Actor: user, Verb: "delete", SubjectType: "priority_list", SubjectID: string(id), Before: listFace(l)})
	})
	if err != nil {
		return fmt.Errorf("delete priority list: %w", err)
	}
	return nil
}

// fitList checks what a list names.
func (t *tx) fitList(l activation.PriorityList) error {
	if n, err := t.count(`SELECT count(*) FROM destinations WHERE id = $1`, l.Destination); err != nil || n == 0 {
		return orErr(err, invalid("destination_id", "there is no destination %q", l.Destination))
	}
	if len(l.Audiences) == 0 {
		return invalid("segment_ids", "a priority list needs audiences, the strongest first")
	}
	others, err := t.lists(l.Destination)
	if err != nil {
		return err
	}
	for i, audience := range l.Audiences {
		if slices.Contains(l.Audiences[:i], audience) {
			return invalid("segment_ids", "the audience %q is in the list twice", audience)
		}
		if n, err := t.count(`SELECT count(*) FROM audiences WHERE id = $1`, audience); err != nil || n == 0 {
			return orErr(err, invalid("segment_ids", "there is no audience %q", audience))
		}
		for _, other := range others {
			if other.ID != l.ID && slices.Contains(other.Audiences, audience) {
				return invalid("segment_ids", "segment_ids: number %d is in the priority list %q of this destination already", i+1, other.Name)
			}
		}
	}
	return nil
}

// unlist takes an audience out of every priority list.
func (t *tx) unlist(id activation.AudienceID) error {
	lists, err := t.lists("")
	if err != nil {
		return err
	}
	for _, before := range lists {
		after := before
		after.Audiences = slices.DeleteFunc(slices.Clone(before.Audiences), func(x activation.AudienceID) bool { return x == id })
		if len(after.Audiences) == len(before.Audiences) {
			continue
		}
		if err := t.saveList(before, after); err != nil {
			return err
		}
	}
	return nil
}

// before returns the audiences that come before one in an order.
func before(order []activation.AudienceID, id activation.AudienceID) []activation.AudienceID {
	return order[:max(0, slices.Index(order, id))]
}

// reordered has the targets at a destination watch the audiences that come before
// them now; those before which others come are due.
func (t *tx) reordered(d activation.DestinationID, from, to []activation.AudienceID) error {
	named := slices.Clone(from)
	for _, id := range to {
		if !slices.Contains(named, id) {
			named = append(named, id)
		}
	}
	targets, err := t.targetsAt(d, named)
	if err != nil {
		return err
	}
	var due []activation.TargetID
	for _, target := range targets {
		changed, err := t.watch(target)
		if err != nil {
			return err
		}
		if changed {
			due = append(due, target.ID)
		}
	}
	return t.makeDue(due, activation.CauseManual, false)
}

// targetsAt lists the targets of some audiences at a destination.
func (t *tx) targetsAt(d activation.DestinationID, audiences []activation.AudienceID) ([]activation.Target, error) {
	if len(audiences) == 0 {
		return nil, nil
	}
	var w where
	equal(&w, "t.destination_id", d)
	in(&w, "t.audience_id", audiences)
	rows, err := t.query(`SELECT `+targetColumns+` FROM targets t`+w.sql()+` ORDER BY t.id`, w.args...)
	return collect(rows, err, scanTarget)
}

// Outranking returns the audiences before a target's own in a priority list of
// its destination, the strongest first: those that a living job sends there.
func (s *Store) Outranking(ctx context.Context, id activation.TargetID) ([]activation.AudienceID, error) {
	var out []activation.AudienceID
	err := s.view(ctx, func(t *tx) error {
		target, err := scanTarget(t.row(`SELECT `+targetColumns+` FROM targets t WHERE t.id = $1`, id))
		if target, err = found(target, err, "target", id); err != nil || target.Audience == "" {
			return err
		}
		out, err = t.outranking(target)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read what outranks target %q: %w", id, err)
	}
	return out, nil
}

func (t *tx) outranking(target activation.Target) ([]activation.AudienceID, error) {
	lists, err := t.lists(target.Destination)
	if err != nil {
		return nil, err
	}
	var first []activation.AudienceID
	for _, l := range lists {
		first = append(first, before(l.Audiences, target.Audience)...)
	}
	if len(first) == 0 {
		return nil, nil
	}
	sent, err := t.sentAt(target.Destination, first)
	return slices.DeleteFunc(first, func(x activation.AudienceID) bool { return !sent[x] }), err
}

// sentAt returns which of some audiences a living job sends at a destination.
func (t *tx) sentAt(d activation.DestinationID, audiences []activation.AudienceID) (map[activation.AudienceID]bool, error) {
	var w where
	equal(&w, "t.destination_id", d)
	in(&w, "t.audience_id", audiences)
	rows, err := t.query(`SELECT t.audience_id FROM targets t JOIN jobs j ON j.id = t.job_id AND j.deleted_at IS NULL AND j.state NOT IN ('killed', 'completed')`+w.sql()+` AND t.release_mode IS NULL`, w.args...)
	ids, err := collect(rows, err, scanID)
	sent := map[activation.AudienceID]bool{}
	for _, id := range ids {
		sent[activation.AudienceID(id)] = true
	}
	return sent, err
}

// sent does what follows when a job has begun, or ceased, to send audiences to a
// destination: their targets watch what they have to, and those that come behind
// them are due, for people are taken from them, or no more.
func (t *tx) sent(d activation.DestinationID, audiences []activation.AudienceID) error {
	if d == "" || len(audiences) == 0 {
		return nil
	}
	lists, err := t.lists(d)
	if err != nil {
		return err
	}
	var behind []activation.AudienceID
	for _, l := range lists {
		if i := slices.IndexFunc(l.Audiences, func(x activation.AudienceID) bool { return slices.Contains(audiences, x) }); i >= 0 {
			behind = append(behind, l.Audiences[i+1:]...)
		}
	}
	targets, err := t.targetsAt(d, append(behind, audiences...))
	if err != nil {
		return err
	}
	var due []activation.TargetID
	for _, target := range targets {
		changed, err := t.watch(target)
		if err != nil {
			return err
		}
		if changed && !slices.Contains(audiences, target.Audience) {
			due = append(due, target.ID)
		}
	}
	return t.makeDue(due, byTarget, false)
}
