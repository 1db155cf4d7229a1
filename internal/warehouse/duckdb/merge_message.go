package duckdb

import (
	"context"
	"fmt"
	"strings"
)

// messageID is SQL for the digest of the columns that name a message, NULL
// where none of them has a value or the stream declares none.
func (s *slice) messageID() string {
	var present []string
	for i, c := range s.st.MessageID {
		if s.has(c) {
			present = append(present, tagged(i, s.st.column(c)))
		}
	}
	return digest(present)
}

// contentHash is SQL for the digest of everything a message says, whatever the
// order of its columns. Only streams that name their messages need it.
func (s *slice) contentHash() string {
	if len(s.st.MessageID) == 0 {
		return `NULL::UHUGEINT`
	}
	var present []string
	for i, c := range s.st.columns {
		if s.has(c) {
			present = append(present, tagged(i, s.st.column(c)))
		}
	}
	return digest(present)
}

func (s *slice) has(column string) bool {
	for _, c := range s.load.Columns {
		if c == column {
			return true
		}
	}
	return false
}

// tagged writes a value with its place and length, so that no two lists of
// values read the same; a missing one writes nothing.
func tagged(n int, column string) string {
	return fmt.Sprintf("coalesce('%d:' || strlen(%s) || ':' || %s, '')", n, column, column)
}

func digest(parts []string) string {
	if len(parts) == 0 {
		return `NULL::UHUGEINT`
	}
	text := strings.Join(parts, " || ")
	return fmt.Sprintf("CASE WHEN %s <> '' THEN md5_number(%s) END", text, text)
}

// matchMessages compares the rows with the messages of the same id that came
// before, in the stream or in the slice: one that says the same is dropped, one
// that says otherwise takes the place of the earlier. It fills dirty with the
// profiles that lose a message and lost with the keys of a reference stream
// that do.
func (s *slice) matchMessages(ctx context.Context) error {
	for _, t := range []string{`dirty (pid BIGINT)`, `lost (key VARCHAR)`} {
		if _, err := s.exec(ctx, "match messages", `CREATE OR REPLACE TEMP TABLE `+t); err != nil {
			return err
		}
	}
	if len(s.st.MessageID) == 0 {
		return nil
	}
	if _, err := s.exec(ctx, "match messages", `CREATE OR REPLACE TEMP TABLE seen AS
		SELECT _seq, _mid, _hash, _pid FROM `+s.st.table()+` WHERE _mid IN (SELECT _mid FROM rows)`); err != nil {
		return err
	}
	if _, err := s.exec(ctx, "match messages", `CREATE OR REPLACE TEMP TABLE verdict AS
		SELECT _seq, _mid, before IS NOT NULL AND before = _hash AS duplicate, before IS NOT NULL AND before <> _hash AS corrects
		FROM (SELECT _seq, _mid, _hash, fresh, lag(_hash) OVER (PARTITION BY _mid ORDER BY _seq) AS before
			FROM (SELECT _seq, _mid, _hash, true AS fresh FROM rows WHERE _mid IS NOT NULL UNION ALL SELECT _seq, _mid, _hash, false FROM seen))
		WHERE fresh`); err != nil {
		return err
	}
	if err := queryRow(ctx, s.tx, "match messages", `SELECT count(*) FILTER (duplicate), count(*) FILTER (corrects) FROM verdict`, nil, &s.result.Duplicates, &s.result.Corrected); err != nil {
		return err
	}
	if s.result.Duplicates == 0 && s.result.Corrected == 0 {
		return nil
	}
	// Of several rows with one id the last that says something new stays.
	if _, err := s.exec(ctx, "drop duplicates", `DELETE FROM rows WHERE _mid IS NOT NULL
		AND _seq NOT IN (SELECT max(_seq) FROM verdict WHERE NOT duplicate GROUP BY _mid)`); err != nil {
		return err
	}
	if s.result.Corrected == 0 {
		return nil
	}
	return s.takeBack(ctx)
}

// takeBack deletes the messages that were corrected.
func (s *slice) takeBack(ctx context.Context) error {
	if _, err := s.exec(ctx, "take back messages", `DELETE FROM seen WHERE _mid NOT IN (SELECT _mid FROM rows WHERE _mid IS NOT NULL)`); err != nil {
		return err
	}
	if key := s.st.column(s.st.ReferenceKey); key != "" {
		if _, err := s.exec(ctx, "take back messages", `INSERT INTO lost SELECT DISTINCT trim(`+key+`) FROM `+s.st.table()+` WHERE _seq IN (SELECT _seq FROM seen)`); err != nil {
			return err
		}
	}
	if err := s.d.noteLost(ctx, s.tx, `SELECT _seq FROM seen`); err != nil {
		return err
	}
	if _, err := s.exec(ctx, "take back messages", `DELETE FROM `+s.st.table()+` WHERE _seq IN (SELECT _seq FROM seen)`); err != nil {
		return err
	}
	if _, err := s.exec(ctx, "take back messages", `INSERT INTO dirty
		SELECT DISTINCT coalesce(l.pid, s._pid) FROM seen s LEFT JOIN profile_merges l ON l.old = s._pid WHERE s._pid IS NOT NULL`); err != nil {
		return err
	}
	return queryRow(ctx, s.tx, "take back messages", `SELECT count(*) FROM dirty`, nil, &s.dirty)
}
