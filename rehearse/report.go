package rehearse

// Outcome is what became of a board whose power was cut.
type Outcome int

const (
	OldRelease Outcome = iota // it runs the old release, whole
	NewRelease                // it runs the new release, whole
	Mixed                     // main.py started in a tree that is neither
	Stuck                     // main.py does not start any more
)

func (o Outcome) String() string { return [...]string{"old", "new", "mixed", "stuck"}[o] }

// MarshalText writes the outcome by its name.
func (o Outcome) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// NeverLooked is how Report.Problem begins where the old release asked the server for nothing.
const NeverLooked = "the old release never looked for an update"

// Cut is one cut and what became of the board.
type Cut struct {
	Write   int     `json:"write"`             // the writes that were carried out before it
	Torn    bool    `json:"torn,omitempty"`    // half of the next one was, too
	Second  int     `json:"second,omitempty"`  // -1, or how many writes of the recovery were carried out before a second cut
	Network bool    `json:"network,omitempty"` // the server could be reached afterwards
	Outcome Outcome `json:"outcome"`
	Boots   int     `json:"boots"`
	// Bootless says that main.py was once started by an empty or missing boot.py, in a tree
	// that was whole otherwise. See Report.Bootless.
	Bootless bool   `json:"bootless,omitempty"`
	Console  string `json:"console,omitempty"` // of a board that came to harm
}

// Report is what a rehearsal found.
type Report struct {
	FileSystem FileSystem `json:"file_system"`
	// Problem says why the update cannot be published even without a power cut; "" if it can.
	Problem string `json:"problem,omitempty"`
	// Console is what the board printed during the update without a cut.
	Console string `json:"console"`

	Files         int `json:"files"`          // in the new release
	ChangedFiles  int `json:"changed_files"`  // added or with another content
	ChangedBytes  int `json:"changed_bytes"`  // of these, and of versions.json
	Downloaded    int `json:"downloaded"`     // bytes of answers' bodies, until the release was installed
	Requests      int `json:"requests"`       // until then; later polls depend on how often the board starts
	Writes        int `json:"writes"`         // of the update and its trial, to the flash
	InstallWrites int `json:"install_writes"` // of these, before the reset into the trial
	Written       int `json:"written"`        // bytes, of the update and its trial
	// InstallWritten are the bytes before the reset into the trial.
	InstallWritten int `json:"install_written"`
	Erases         int `json:"erases"`
	RoomNeeded     int `json:"room_needed"` // bytes that were taken at the most while it was under way
	// PeakHeap is the smallest heap in which the update works, in bytes, without what the
	// simulation takes; 0 if it was not asked for. A 32-bit board needs about half.
	PeakHeap int `json:"peak_heap,omitempty"`

	Cuts []Cut `json:"cuts"`
}

// Count returns how many cuts had an outcome.
func (r *Report) Count(o Outcome) int {
	return r.count(func(c Cut) bool { return c.Outcome == o })
}

func (r *Report) count(these func(Cut) bool) int {
	n := 0
	for _, c := range r.Cuts {
		if these(c) {
			n++
		}
	}
	return n
}

// LeftBehind returns how many boards stayed with the old release although they could reach
// the server: whole, but not updated.
func (r *Report) LeftBehind() int {
	return r.count(func(c Cut) bool { return c.Network && c.Outcome == OldRelease })
}

// Bootless returns how many boards started main.py once without boot.py, and then were whole.
// On FAT nothing can be done about it where boot.py does not call the updater: a file is empty
// while it is replaced, and only main.py is left to repair it.
func (r *Report) Bootless() int { return r.count(func(c Cut) bool { return c.Bootless }) }

// Safe reports whether the update works and no cut does harm.
func (r *Report) Safe() bool {
	return r.Problem == "" && len(r.Cuts) > 0 && r.Count(Mixed)+r.Count(Stuck) == 0
}
