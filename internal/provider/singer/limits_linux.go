package singer

import "golang.org/x/sys/unix"

// bound limits what a process and those it starts may use. A dump of its memory
// would hold credentials.
func bound(pid int, memory uint64) error {
	if err := unix.Prlimit(pid, unix.RLIMIT_CORE, &unix.Rlimit{}, nil); err != nil {
		return err
	}
	return unix.Prlimit(pid, unix.RLIMIT_AS, &unix.Rlimit{Cur: memory, Max: memory}, nil)
}
