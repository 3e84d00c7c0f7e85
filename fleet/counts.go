package fleet

// Counts are how many boards of a rollout are in each stage; how many of them are
// offered the release Again, is beside that. Boards that wait are not counted.
type Counts [stages + 1]int64

// Updating returns how many boards are being updated.
func (c *Counts) Updating() int64 { return c[Offered] + c[Downloading] + c[Trial] + c[Again] }

// Finished returns for how many boards the update has ended, well or not.
func (c *Counts) Finished() int64 { return c[Confirmed] + c.Failures(KindAll) }

// Failures returns for how many boards it has ended badly, in the given way.
func (c *Counts) Failures(kind FailureKind) int64 {
	switch kind {
	case KindUndone:
		return c[Undone]
	case KindFailed:
		return c[Failed]
	case KindTimedOut:
		return c[TimedOut]
	}
	return c[Undone] + c[Failed] + c[TimedOut]
}

// Move counts a board that goes from one stage to another.
func (c *Counts) Move(from, to Stage) {
	if from != Waiting {
		c[from]--
	}
	if to != Waiting {
		c[to]++
	}
}

// Minus returns how many more there are than in o, and none where there are less.
func (c *Counts) Minus(o *Counts) Counts {
	var d Counts
	for i := range c {
		d[i] = max(0, c[i]-o[i])
	}
	return d
}
