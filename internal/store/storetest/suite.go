package storetest

import "testing"

// Run runs the suite against a database.
func Run(t *testing.T, env Env) {
	cases := []struct {
		name string
		run  func(*world)
	}{
		{"a run from open to done", runToDone},
		{"only one run is open", oneOpenRun},
		{"takeover", takeover},
		{"releasing", releasing},
		{"splitting", splitting},
		{"queueing", queueing},
		{"receipts", receipts},
		{"finishing", finishing},
		{"awaiting", awaiting},
		{"new generation", newGeneration},
		{"retry", retrying},
		{"retry withheld", retryWithheld},
		{"retry after kill", retryAfterKill},
		{"approve", approving},
		{"approval overtaken", approvalOvertaken},
		{"decline", declining},
		{"removals", removals},
		{"sleep", sleeping},
		{"provider's wait", waiting},
		{"schedule", scheduled},
		{"due", due},
		{"time of day", timeOfDay},
		{"schedule and errors", scheduleAndErrors},
		{"rescheduled", rescheduled},
		{"once at a time", onceAt},
		{"quiet window", quietWindow},
		{"quiet window and other sleep", quietAndOther},
		{"expiring", expiring},
		{"turns", turns},
		{"refused", refused},
		{"parked", parked},
		{"commands", commands},
		{"adopt", adopting},
		{"update", updating},
		{"forget", forgetting},
		{"forgets", forgets},
		{"rebuilds", rebuilds},
		{"overdue", overdue},
		{"declared", declared},
		{"templates of payloads", templates},
		{"credentials", credentials},
		{"credentials sealed anew", resealed},
		{"credentials that end", credentialsEnd},
		{"consents", consenting},
		{"credentials in use", authorizationUsed},
		{"credentials replaced, audiences left behind", replacedAnew},
		{"credentials replaced under a run", replacedOpen},
		{"destination switched off", switchedOff},
		{"leases", leases},
		{"listing", listing},
		{"tokens", tokens},
		{"sessions", sessions},
		{"one-time sign-in", oneTimeSignIn},
		{"set-up", settingUp},
		{"people", people},
		{"what ends sessions", endsSessions},
		{"the last administrator", lastAdministrator},
		{"two last administrators", twoLastAdministrators},
		{"settings", settings},
		{"wake-ups", wakeUps},
		{"events of jobs", eventsOfJobs},
		{"events of authorizations", eventsOfAuthorizations},
		{"events of the server", eventsOfServer},
		{"unusual counts", unusualCounts},
		{"rejected rows", rejectedShare},
		{"reading events", readingEvents},
		{"notices", noticesOfAlerts},
		{"unstaging", unstaging},
		{"unstaging of events", unstagingEvents},
		{"raising streams", raisingStreams},
		{"the rest of an item", restOfItems},
		{"runs that rest", restingRuns},
		{"reopening", reopening},
		{"events that are left", eventsLeft},
		{"mending", mending},
		{"stalls", stalling},
		{"stalls count as errors", stallsCount},
		{"a wait within a run is a sleep", waitsWithin},
		{"runs in hand", restless},
		{"runs opened ahead", opensAhead},
		{"passes", passing},
		{"errors of passes", passErrors},
		{"commands and passes", passCommands},
		{"passes asked about", passAsked},
		{"parked passes", passParked},
		{"stalled passes", passStalled},
		{"passes of two nodes", passRace},
		{"publisher accounts", publisherAccounts},
		{"writing entries", writing},
		{"writing many entries", loading},
		{"commands on entries", moving},
		{"conflicts", conflicting},
		{"what was pulled goes back", pulledBack},
		{"objects", listingObjects},
		{"the log", listingEntries},
		{"what is created", createdObjects},
		{"plans", plans},
		{"costs", costs},
		{"logs", logs},
		{"metrics", metrics},
		{"series", seriesOf},
		{"purge", purging},
		{"purge of much", purgingMuch},
		{"purge of entries", purgingEntries},
		{"two nodes", twoNodes},
		{"two owners", twoOwners},
		{"ending together", endTogether},
		{"working together", workTogether},
		{"odd text", oddText},
		{"one remote audience", oneRemote},
		{"hierarchy", hierarchy},
		{"priority lists", priorityLists},
		{"exclusions", exclusions},
		{"pushes", pushes},
		{"conversion targets", conversionTargets},
		{"reconciling", reconciling},
		{"many verdicts", manyVerdicts},
		{"causes", causes},
		{"changed keys", changedKeys},
		{"asked meanwhile", askedMeanwhile},
		{"asked under way", askedUnderWay},
		{"approved now", approvedNow},
		{"stranded keys", strandedKeys},
		{"moved since", movedSince},
		{"fills at once", fillsAtOnce},
		{"an audience once", onceAudience},
		{"keys elsewhere", keysElsewhere},
		{"modes", modes},
		{"keys of runs", runKeys},
		{"switched off, keys", switchedOffKeys},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, env)
			c.run(w)
			w.sound()
		})
	}
	t.Run("lives of jobs", func(t *testing.T) {
		t.Parallel()
		lives(t, env)
	})
	t.Run("any order of commands", func(t *testing.T) {
		t.Parallel()
		anyOrder(t, env)
	})
	t.Run("writing many entries, cut", func(t *testing.T) {
		t.Parallel()
		loadsCut(t, env)
	})
	t.Run("the Activity Log in any order", func(t *testing.T) {
		t.Parallel()
		logInAnyOrder(t, env)
	})
}
