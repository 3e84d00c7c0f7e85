package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// A pair is an update, from one tree to another.
type pair struct {
	name     string
	old, new map[string]string
}

// pairs makes updates of applications of several sizes: some files changed in some lines, one added,
// one renamed, one removed. The same ones in every run.
func pairs() []pair {
	var out []pair
	for _, p := range []struct {
		name                    string
		files, lines, changed   int
		linesChanged, linesMore int
	}{
		{"a fix: 10 files, 3 changed", 10, 60, 3, 2, 1},
		{"a release: 40 files, 15 changed", 40, 130, 15, 5, 4},
		{"a large one: 120 files, 50 changed", 120, 210, 50, 8, 6},
	} {
		r := rand.New(rand.NewPCG(1, uint64(p.files)))
		old, new := map[string]string{}, map[string]string{}
		for i := range p.files {
			name := fmt.Sprintf("app/part%d/module%03d.py", i%5, i)
			lines := source(r, p.lines)
			old[name] = strings.Join(lines, "\n") + "\n"
			if i < p.changed {
				for range p.linesChanged {
					lines[r.IntN(len(lines))] = line(r)
				}
				at := r.IntN(len(lines))
				for range p.linesMore {
					lines = append(lines[:at], append([]string{line(r)}, lines[at:]...)...)
				}
			}
			new[name] = strings.Join(lines, "\n") + "\n"
		}
		new["app/added.py"] = strings.Join(source(r, p.lines/2), "\n") + "\n"
		last := fmt.Sprintf("app/part%d/module%03d.py", (p.files-1)%5, p.files-1)
		new["app/renamed.py"] = new[last]
		delete(new, last)
		out = append(out, pair{p.name, old, new})
	}
	return out
}

var (
	nouns = strings.Fields("display buffer sensor value state config handler timer event pin screen button network client message topic payload reading sample offset index width height colour brightness battery menu item page cursor font glyph")
	verbs = strings.Fields("read write update draw reset start stop poll send receive connect close parse format scroll select toggle clear fill blit")
)

func word(r *rand.Rand) string { return nouns[r.IntN(len(nouns))] }

// line makes a line of a program: no sense in it, but the words and the punctuation of one.
func line(r *rand.Rand) string {
	verb := verbs[r.IntN(len(verbs))]
	switch r.IntN(7) {
	case 0:
		return fmt.Sprintf("    self.%s = %s_%s", word(r), word(r), word(r))
	case 1:
		return fmt.Sprintf("    if self._%s.%s(%s, %d):", word(r), verb, word(r), r.IntN(400))
	case 2:
		return fmt.Sprintf("        return self.%s_%s(%q)", verb, word(r), word(r)+" "+word(r))
	case 3:
		return fmt.Sprintf("    for %s in range(%d, len(self.%ss)):", word(r), r.IntN(9), word(r))
	case 4:
		return fmt.Sprintf("        self.%s[%s + %d] = 0x%04x", word(r), word(r), r.IntN(64), r.IntN(1<<16))
	case 5:
		return fmt.Sprintf("    # %s the %s when its %s is %s", verb, word(r), word(r), word(r))
	}
	return fmt.Sprintf("def %s_%s(self, %s, %s=None):", verb, word(r), word(r), word(r))
}

func source(r *rand.Rand, n int) []string {
	lines := make([]string, n)
	for i := range lines {
		lines[i] = line(r)
	}
	return lines
}
