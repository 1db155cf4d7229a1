package store

import "usher/internal/activation"

// passEvents writes what the end of a pass says about its job. rest is how the
// job is now.
func (t *tx) passEvents(j activation.Job, p activation.Pass, rest activation.Rest) error {
	switch {
	case p.ErrorKind == "":
		if err := t.fine(j, p.Number); err != nil {
			return err
		}
		if err := t.rejected(j, p.Counts["rejected"], p.Counts["rejected"]+p.Counts["accepted"], p.Number); err != nil || rest.State != activation.TargetCompleted {
			return err
		}
		return t.eventOfJob(j, activation.EventCompleted, "all its work is done")
	case rest.State == activation.TargetFailed:
		return t.gaveUp(j, p.ErrorCode, p.ErrorText, p.Number)
	case p.ErrorCode == activation.CodeStalled:
		return t.worse(activation.Event{
			Source: activation.SourceWork, Type: activation.EventStalled, SubjectID: string(j.ID), SubjectName: j.Name,
			Level: "warn", Code: p.ErrorCode, Message: p.ErrorText, Run: p.Number,
		})
	}
	return t.erred(j, p.ErrorKind, p.ErrorCode, p.ErrorText, p.Number)
}
