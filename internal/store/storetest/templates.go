package storetest

import (
	"usher/internal/activation"
)

// templates have unique names, are found by id and name, and stay while a job
// uses them.
func templates(w *world) {
	ctx := w.t.Context()
	first, err := w.CreateTemplate(ctx, activation.Template{Name: "Orders", Description: "to the shop", Text: "{}", CreatedBy: "ann"})
	w.ok(err)
	_, err = w.CreateTemplate(ctx, activation.Template{Name: "Orders", Text: "{}", CreatedBy: "ann"})
	w.is(activation.ErrConflict, err)
	second, err := w.CreateTemplate(ctx, activation.Template{Name: "Alarms %_", Text: "[]", CreatedBy: "ann"})
	w.ok(err)
	for _, name := range []string{first.ID, "Orders"} {
		got, err := w.Template(ctx, name)
		w.ok(err)
		w.equal(first.Text, got.Text)
		w.equal(first.ID, got.ID)
	}
	all, err := w.Templates(ctx)
	w.ok(err)
	w.equal(2, len(all))
	w.equal("Alarms %_", all[0].Name)

	second.Name = "Orders"
	_, err = w.UpdateTemplate(ctx, second, "bob")
	w.is(activation.ErrConflict, err)
	second.Name, second.Text = "Alarms", "{a: 1}"
	_, err = w.UpdateTemplate(ctx, second, "bob")
	w.ok(err)
	got, err := w.Template(ctx, second.ID)
	w.ok(err)
	w.equal("{a: 1}", got.Text)
	w.equal("ann", got.CreatedBy)
	_, err = w.UpdateTemplate(ctx, activation.Template{ID: "nobody", Name: "x"}, "bob")
	w.is(activation.ErrNotFound, err)

	vips := w.audience("vips")
	j, err := w.CreateJob(ctx, activation.Job{
		Name: "hook", Workflow: "webhook_triggers", Provider: "webhook", Destination: w.dest.ID, Audiences: []activation.AudienceID{vips.ID},
		Config: map[string]string{"template_id": first.ID, "http_method": "PUT"}, CreatedBy: "ann",
	})
	w.ok(err)
	w.is(activation.ErrConflict, w.DeleteTemplate(ctx, first.ID, "ann"))
	w.is(activation.ErrConflict, w.DeleteTemplate(ctx, "Orders", "ann"))
	w.ok(w.DeleteTemplate(ctx, "Alarms", "ann"))
	w.is(activation.ErrNotFound, w.DeleteTemplate(ctx, second.ID, "ann"))
	w.ok(w.DeleteJob(ctx, j.ID, "ann"))
	w.ok(w.DeleteTemplate(ctx, first.ID, "ann"))
	_, err = w.Template(ctx, "Orders")
	w.is(activation.ErrNotFound, err)
	entries, err := w.Audit(ctx, storeAudit("template", first.ID))
	w.ok(err)
	w.equal(2, len(entries))
}
