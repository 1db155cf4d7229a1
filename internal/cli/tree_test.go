package cli_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"usher/internal/cli"
)

// walk calls fn for every command that does something.
func walk(c *cobra.Command, fn func(*cobra.Command)) {
	if !c.HasSubCommands() || c.Flags().HasFlags() && c.Name() == "sandbox" {
		fn(c)
	}
	for _, sub := range c.Commands() {
		if sub.Name() != "completion" && sub.Name() != "help" {
			walk(sub, fn)
		}
	}
}

// examples are the words of commands that make or send something: their help
// shows how.
var examples = []string{"create", "declare", "set", "edit", "import", "serve", "demo", "sandbox", "validate", "run"}

// TestHelp: each command says in a line what it does, and those that make or
// send something show an example that the command itself understands.
func TestHelp(t *testing.T) {
	n := 0
	walk(cli.Commands(), func(c *cobra.Command) {
		n++
		if c.Short == "" || strings.HasSuffix(c.Short, ".") {
			t.Errorf("%s: the short help is %q", c.CommandPath(), c.Short)
		}
		if slices.Contains(examples, c.Name()) && c.Example == "" {
			t.Errorf("%s has no example", c.CommandPath())
		}
		if c.Example != "" && !strings.Contains(c.Example, c.CommandPath()) {
			t.Errorf("%s: its example does not use it: %s", c.CommandPath(), c.Example)
		}
		r := run(t, "", append(strings.Fields(strings.TrimPrefix(c.CommandPath(), "usher ")), "--help")...)
		if r.code != 0 || !strings.Contains(r.out, "Usage:") {
			t.Errorf("%s --help: exit code %d: %s", c.CommandPath(), r.code, r.err)
		}
	})
	if n < 40 {
		t.Errorf("%d commands: is the tree walked at all?", n)
	}
}

// TestCompletion: the scripts of the shells go to standard output.
func TestCompletion(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		r := run(t, "", "completion", shell)
		if r.code != 0 || !strings.Contains(r.out, "usher") || r.err != "" {
			t.Errorf("completion %s: exit code %d, %d bytes, %q", shell, r.code, len(r.out), r.err)
		}
	}
}

// commandOf is the command of each operation; a reason in brackets where there
// is none.
var commandOf = map[string]string{
	"health": "(doctor asks readyz)", "ready": "doctor",
	"list-jobs": "job list", "show-job": "job show", "create-job": "(the same as create-workflow-job)", "create-workflow-job": "job create",
	"job-logs": "job logs", "plan-job": "job plan", "run-job": "job run", "pause-job": "job pause", "resume-job": "job resume", "bounce-job": "job bounce", "kill-job": "job kill",
	"jobs-logs": "job logs", "job-passes": "job passes", "workflow-job-passes": "(older form)",
	"metrics": "metric", "job-metrics": "metric", "workflow-job-metrics": "(older form)",
	"edit-job": "job edit", "delete-job": "job delete", "edit-workflow-job": "(older form)", "delete-workflow-job": "(older form)",
	"show-workflow-job": "(older form)", "workflow-job-logs": "(older form)", "plan-workflow-job": "(older form)", "run-workflow-job": "(older form)",
	"pause-workflow-job": "(older form)", "resume-workflow-job": "(older form)", "bounce-workflow-job": "(older form)", "kill-workflow-job": "(older form)",
	"list-runs": "run list", "show-run": "run show", "run-items": "run items", "run-item": "run item", "run-errors": "run errors",
	"retry-run": "run retry", "approve-run": "run approve", "decline-run": "run decline", "withdraw-run": "run withdraw", "list-targets": "target list", "show-target": "target show", "release-target": "target release",
	"list-audiences": "audience list", "show-audience": "audience show", "create-audience": "audience create", "edit-audience": "audience edit", "delete-audience": "audience delete",
	"validate-audience": "audience validate", "audience-size": "audience size", "scan-audience": "audience members", "run-audience": "audience run",
	"list-destinations": "destination list", "show-destination": "destination show", "create-destination": "destination create", "delete-destination": "destination delete", "test-destination": "destination test",
	"list-authorizations": "auth list", "show-authorization": "auth show", "create-authorization": "auth create", "connect-authorization": "auth connect", "delete-authorization": "auth delete", "list-providers": "provider list",
	"show-stream": "stream show", "stream-names": "stream names", "stream-fields": "stream fields", "stream-stats": "stream stats", "scan-rule": "audience scan",
	"edit-destination": "destination edit", "show-typed-authorization": "(older form)", "edit-authorization": "auth edit", "edit-typed-authorization": "(older form)",
	"test-authorization": "auth test", "replace-authorization": "auth replace", "show-vault": "vault show", "rotate-vault": "vault rotate",
	"show-provider": "provider show", "list-workflows": "workflow list", "show-workflow": "workflow show",
	"old-list-jobs": "(older form)", "old-show-job": "(older form)", "old-list-authorizations": "(older form)", "old-show-authorization": "(older form)",
	"old-list-providers": "(older form)", "old-show-provider": "(older form)", "old-list-audiences": "(older form)", "old-show-audience": "(older form)",
	"old-audience-size": "(older form)", "old-show-profile": "(older form)",
	"list-streams": "stream list", "declare-stream": "stream declare", "stream-messages": "stream messages", "rebuild": "rebuild start", "list-rebuilds": "rebuild list", "show-rebuild": "rebuild show", "cancel-rebuild": "rebuild cancel", "rebuild-cost": "rebuild cost",
	"preview-mappings": "mapping preview", "delete-mapping": "mapping delete", "stream-drift": "stream drift", "accept-drift": "stream accept", "show-identity": "identity show", "set-identity": "identity set", "list-merges": "profile merges",
	"forget": "forget person", "list-forgets": "forget list", "show-forget": "forget show", "compact": "forget compact", "rejected-rows": "load rejected",
	"breakdown-audience": "audience breakdown", "overlap-audiences": "audience overlap", "audience-reach": "audience reach", "audience-trend": "audience trend",
	"preview-import": "job preview", "import-position": "job position", "reset-import": "job reset",
	"list-fields": "field list", "declare-field": "field create", "delete-field": "field delete", "list-mappings": "mapping list", "set-mappings": "mapping set", "show-load": "load show", "list-loads": "load list", "retry-load": "load retry", "discard-load": "load discard",
	"collect-bulk": "import", "collect-json": "(import takes JSON by the bulk route)",
	"apply": "apply", "export": "export", "show-visitor": "web audiences",
	"lookup-profile": "profile show", "count-profiles": "profile count", "audit-log": "audit",
	"list-users": "user list", "show-user": "user show", "create-user": "user create", "edit-user": "user edit", "delete-user": "user delete", "change-password": "user password",
	"list-alerts": "alert list", "acknowledge-alert": "alert acknowledge", "silence-alert": "alert silence", "unsilence-alert": "alert unsilence", "test-alert": "alert test", "list-notices": "notice list",
	"list-templates": "template list", "show-template": "template show", "create-template": "template create", "edit-template": "template edit", "delete-template": "template delete", "test-template": "template test",
	"reconcile-target": "target reconcile", "list-reconciliations": "target reconciliations", "target-drift": "target drift", "repair-target": "target repair", "replace-target": "target replace", "run-target": "target run",
	"list-priority-lists": "priority-list list", "show-priority-list": "priority-list show", "create-priority-list": "priority-list create", "edit-priority-list": "priority-list edit", "delete-priority-list": "priority-list delete",
	"list-publishers": "publisher list", "show-publisher": "publisher show", "create-publisher": "publisher link", "edit-publisher": "publisher edit", "delete-publisher": "publisher unlink", "test-publisher": "publisher test", "sync-publisher": "publisher sync",
	"next-entries": "publisher next", "post-all-entries": "publisher post-all", "publisher-costs": "publisher cost",
	"list-objects": "publisher object list", "show-object": "publisher object show", "edit-object": "publisher object set", "new-object": "publisher object create", "delete-object": "publisher object delete",
	"bulk-edit": "publisher bulk", "upload-edits": "publisher upload", "upload-template": "publisher template",
	"list-schedules": "publisher schedule list", "create-schedule": "publisher schedule create", "edit-schedule": "publisher schedule edit", "delete-schedule": "publisher schedule delete",
	"list-strategies": "publisher strategy list", "create-strategy": "publisher strategy create", "edit-strategy": "publisher strategy edit", "delete-strategy": "publisher strategy delete",
	"run-strategy": "publisher strategy run", "list-proposals": "publisher strategy proposals", "give-bids": "publisher strategy bids", "override-bid": "publisher strategy override",
	"list-entries": "entry list", "count-entries": "entry count", "show-entry": "entry show", "entry-position": "entry position", "entry-errors": "entry errors",
	"post-entries": "entry post", "hold-entries": "entry hold", "release-entries": "entry release", "cancel-entries": "entry cancel", "retry-entries": "entry retry",
	"list-issues": "paid issue list", "create-issue": "paid issue create", "edit-issue": "paid issue edit", "delete-issue": "paid issue delete",
	"list-groups": "paid group list", "create-group": "paid group create", "edit-group": "paid group edit", "delete-group": "paid group delete",
	"list-actions": "paid action list", "show-action": "paid action show", "create-action": "paid action create", "edit-action": "paid action edit", "delete-action": "paid action delete",
	"decide": "paid decide", "preview-decision": "paid preview", "capture-response": "paid response", "push-history": "paid history", "explain": "explain",
	"list-tokens": "token list", "show-token": "token show", "create-token": "token create", "delete-token": "token delete",
}
