package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cactuscon/saguarota/rehearse"
)

// strip is one line of cuts of the picture: all of one kind.
type strip struct {
	Title string
	Cuts  []rehearse.Cut
}

// strips sorts a report's cuts by kind.
func strips(r *rehearse.Report) []strip {
	list := []strip{{Title: "no network afterwards"}, {Title: "the server in reach afterwards"}, {Title: "in the middle of a write"}, {Title: "cut again during recovery"}}
	for _, c := range r.Cuts {
		i := 0
		switch {
		case c.Second >= 0:
			i = 3
		case c.Torn:
			i = 2
		case c.Network:
			i = 1
		}
		list[i].Cuts = append(list[i].Cuts, c)
	}
	return slices.DeleteFunc(list, func(s strip) bool { return len(s.Cuts) == 0 })
}

// letter is what stands for a cut in the picture.
func letter(c rehearse.Cut) byte {
	switch {
	case c.Outcome == rehearse.Stuck:
		return 'X'
	case c.Outcome == rehearse.Mixed:
		return 'M'
	case c.Bootless:
		return 'b'
	case c.Outcome == rehearse.OldRelease:
		return 'o'
	}
	return 'n'
}

// badness orders letters, for a cell that stands for several cuts.
func badness(letter byte) int { return strings.IndexByte("nobMX", letter) }

const (
	cellsInLine = 64
	maxCells    = 1280 // in a strip: 20 lines
)

// text is the report for people.
func (f *rehearsed) text(colour bool) string {
	var b strings.Builder
	fmt.Fprintf(&b, "update from %s to %s\n", f.Old, f.New)
	if len(f.Faults) > 0 {
		b.WriteString("\nfiles that a board cannot load:\n")
		for _, fault := range f.Faults {
			fmt.Fprintf(&b, "  %s\n", fault)
		}
	}
	for _, r := range f.Reports {
		fmt.Fprintf(&b, "\n%s, %s of flash, %s of heap\n", r.FileSystem, bytesText(f.Size), bytesText(f.Heap))
		if r.Problem != "" {
			fmt.Fprintf(&b, "  %s\n", r.Problem)
			if strings.HasPrefix(r.Problem, rehearse.NeverLooked) {
				b.WriteString("  --with FOLDER puts on the board what boards have besides the release, such as settings\n")
			}
			b.WriteString("\nconsole of the board:\n")
			quote(&b, r.Console)
			continue
		}
		for _, row := range rows(r) {
			fmt.Fprintf(&b, "  %-11s %s\n", row[0], row[1])
		}
		for _, s := range strips(r) {
			group := (len(s.Cuts) + maxCells - 1) / maxCells
			fmt.Fprintf(&b, "\n  %s: %s", s.Title, plural(len(s.Cuts), "cut"))
			if group > 1 {
				fmt.Fprintf(&b, ", %d in a letter (the worst of them)", group)
			}
			b.WriteString("\n")
			picture(&b, s.Cuts, group, colour)
		}
		fmt.Fprintf(&b, "\n  %s\n", verdict(r))
		for i, c := range slices.DeleteFunc(slices.Clone(r.Cuts), func(c rehearse.Cut) bool { return c.Outcome < rehearse.Mixed }) {
			if i == 2 {
				b.WriteString("\n  (--json or --html has the others)\n")
				break
			}
			fmt.Fprintf(&b, "\n  %s, %s:\n", c.Outcome, where(c))
			quote(&b, c.Console)
		}
	}
	if f.Safe {
		b.WriteString("\nsafe to publish\n")
	} else {
		b.WriteString("\nNOT safe to publish\n")
	}
	return b.String()
}

// quote writes what a board printed, up to where a reader gives up.
func quote(b *strings.Builder, console string) {
	const most = 60
	n := 0
	for line := range strings.Lines(console) {
		if n++; n <= most {
			fmt.Fprintf(b, "  | %s\n", strings.TrimRight(line, "\r\n"))
		}
	}
	if n > most {
		fmt.Fprintf(b, "  (%s more; --json and --html have all)\n", plural(n-most, "line"))
	}
}

// rows are a report's figures.
func rows(r *rehearse.Report) [][2]string {
	list := [][2]string{
		{"changes", fmt.Sprintf("%d of %s, %s with the manifest", r.ChangedFiles, plural(r.Files, "file"), bytesText(r.ChangedBytes))},
		{"download", fmt.Sprintf("%s in %s", bytesText(r.Downloaded), plural(r.Requests, "request"))},
		{"flash", fmt.Sprintf("%s written in %s, %s erased; %s of free space needed", bytesText(r.Written), plural(r.Writes, "write"), plural(r.Erases, "block"), bytesText(r.RoomNeeded))},
	}
	if r.PeakHeap > 0 {
		list = append(list, [2]string{"peak heap", fmt.Sprintf("%s, the application's own included (%s simulated: 64 bits)", bytesText(r.PeakHeap/2), bytesText(r.PeakHeap))})
	}
	return list
}

func picture(b *strings.Builder, cuts []rehearse.Cut, group int, colour bool) {
	colours := map[byte]string{'o': "44;97", 'n': "42;30", 'b': "43;30", 'M': "41;97", 'X': "45;97"}
	for i := 0; i < len(cuts); {
		fmt.Fprintf(b, "  %6d ", cuts[i].Write)
		before := byte(0)
		for cell := 0; cell < cellsInLine && i < len(cuts); cell++ {
			l := byte('n')
			for j := i; j < min(i+group, len(cuts)); j++ {
				if k := letter(cuts[j]); j == i || badness(k) > badness(l) {
					l = k
				}
			}
			i += group
			if colour && l != before {
				fmt.Fprintf(b, "\x1b[%sm", colours[l])
				before = l
			}
			b.WriteByte(l)
		}
		if colour {
			b.WriteString("\x1b[0m")
		}
		b.WriteString("\n")
	}
}

// verdict sums up a report's cuts.
func verdict(r *rehearse.Report) string {
	text := fmt.Sprintf("%s: %d kept the old release (o), %d got the new one (n), %d ran a mix (M), %d were stuck (X)",
		plural(len(r.Cuts), "cut"), r.Count(rehearse.OldRelease), r.Count(rehearse.NewRelease), r.Count(rehearse.Mixed), r.Count(rehearse.Stuck))
	if n := r.LeftBehind(); n > 0 {
		text += fmt.Sprintf("\n  %d kept the old release although the server was in reach", n)
	}
	if n := r.Bootless(); n > 0 {
		text += fmt.Sprintf("\n  %d started main.py once without boot.py before they recovered (b): let boot.py\n  call the updater before it imports or opens anything else", n)
	}
	return text
}

func where(c rehearse.Cut) string {
	text := fmt.Sprintf("cut after write %d", c.Write)
	if c.Torn {
		text = fmt.Sprintf("cut in the middle of write %d", c.Write+1)
	}
	if c.Second >= 0 {
		text += fmt.Sprintf(" and again after write %d of the recovery", c.Second)
	}
	if c.Network {
		return text + ", with the server in reach"
	}
	return text + ", without network"
}

func bytesText(n int) string {
	switch {
	case n >= 10<<20 || n >= 1<<20 && n%(1<<20) == 0:
		return fmt.Sprintf("%d MB", n>>20)
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MB", float64(n)/(1<<20))
	case n >= 100<<10 || n >= 1<<10 && n%(1<<10) == 0:
		return fmt.Sprintf("%d kB", n>>10)
	case n >= 1<<10:
		return fmt.Sprintf("%.1f kB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d bytes", n)
}
