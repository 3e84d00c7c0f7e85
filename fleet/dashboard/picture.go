package dashboard

import (
	"fmt"
	"strings"

	"github.com/cactuscon/saguarota/fleet"
)

// a part is one of the things that a bar or a picture is divided into.
type part struct {
	Name  string
	Key   string // of its colour
	Value int64
	Link  string // to the boards behind it
	Hint  string

	X, Width float64 // in the bar, of barWidth
	Squares  int     // in the picture
	Path     string  // of these
}

// A bar is barWidth wide; a picture has so many squares, in rows.
const (
	barWidth   = 1000.0
	squares    = 400
	squaresRow = 50
	squareStep = 20 // from one to the next
	squareSize = 17
)

// layOut finds out where the parts are in the bar, and which squares of the picture
// are theirs. It returns how many boards a square stands for, at most.
func layOut(parts []part) (each int64) {
	var total int64
	for _, p := range parts {
		total += max(0, p.Value)
	}
	if total == 0 {
		return 0
	}
	each = (total + squares - 1) / squares
	shown := min(total, squares)
	// What is there is seen, however little it is: every part has its first square, and
	// the rest are dealt out by how much is left of each.
	left := shown
	for i := range parts {
		if parts[i].Value > 0 {
			parts[i].Squares = 1
			left--
		}
	}
	for ; left > 0; left-- {
		best, need := -1, 0.0
		for i, p := range parts {
			if lacks := float64(max(0, p.Value))*float64(shown)/float64(total) - float64(p.Squares); p.Value > 0 && (best < 0 || lacks > need) {
				best, need = i, lacks
			}
		}
		parts[best].Squares++
	}
	x, square := 0.0, 0
	for i := range parts {
		p := &parts[i]
		p.X, p.Width = x, barWidth*float64(max(0, p.Value))/float64(total)
		x += p.Width
		var path strings.Builder
		for range p.Squares {
			fmt.Fprintf(&path, "M%d %dh%dv%dh-%dz", square%squaresRow*squareStep, square/squaresRow*squareStep, squareSize, squareSize, squareSize)
			square++
		}
		p.Path = path.String()
	}
	return each
}

// rowsOf returns how high a picture of so many squares is.
func rowsOf(parts []part) int {
	n := 0
	for _, p := range parts {
		n += p.Squares
	}
	return (n + squaresRow - 1) / squaresRow * squareStep
}

// stageHints say what the stages mean.
var stageHints = map[fleet.Stage]string{
	fleet.Waiting:     "not begun: not in the share yet, not heard of since, or not meant",
	fleet.Offered:     "told of the release, nothing heard since",
	fleet.Downloading: "getting or installing it",
	fleet.Trial:       "running it, not confirmed yet",
	fleet.Confirmed:   "running it for good",
	fleet.Undone:      "ran it and went back",
	fleet.Failed:      "could not install it; will try again",
	fleet.TimedOut:    "not heard of in time",
}

// stageOrder is the order in which stages are shown: what ended well, what is under
// way, what ended badly, and the rest.
var stageOrder = []fleet.Stage{
	fleet.Confirmed, fleet.Trial, fleet.Downloading, fleet.Offered, fleet.Undone, fleet.Failed, fleet.TimedOut, fleet.Waiting,
}
