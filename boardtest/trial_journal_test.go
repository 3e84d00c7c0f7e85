package boardtest

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cactuscon/saguarota/rehearse"
)

// The journal is spoilt in each of its states, in its newest slot and in both. The board must
// come to run one of the two releases, whole, and take the next one.
func TestTrialJournalSpoilt(t *testing.T) {
	states := []struct {
		name  string
		state string
		// replaces boot.py: there are stand-ins, and a confirmation is finished in state F
		boot bool
		next string // if set, half-way from the one state to the other
	}{
		{"swapping", "S", false, ""}, {"swapping behind stand-ins", "S", true, ""},
		{"in the middle of the swap", "S", false, "T"}, {"in the middle of the swap, behind stand-ins", "S", true, "T"},
		{"on trial", "T", false, ""}, {"on trial behind stand-ins", "T", true, ""},
		{"finishing", "F", true, ""}, {"confirmed", "C", false, ""}, {"confirmed behind stand-ins", "C", true, ""},
		{"undoing", "U", false, ""}, {"undoing behind stand-ins", "U", true, ""},
		{"in the middle of the undo", "U", false, "I"}, {"idle", "I", false, ""},
	}
	onBoth(t, func(t *testing.T, fs rehearse.FileSystem) {
		for _, s := range states {
			t.Run(s.name, func(t *testing.T) {
				t.Parallel()
				main := "print('confirmed', ota.confirm_update())"
				switch s.state {
				case "U":
					main = "pass"
				case "I":
					main = confirm
				}
				r := newRig(t, setup{fs: fs, main: main})
				two := release2
				if s.boot {
					two = two.with(release{"boot.py": bootPy + "\n"})
				}
				base := filepath.Join(t.TempDir(), "base.img")
				if err := r.board.CopyImage(base); err != nil {
					t.Fatal(err)
				}
				r.site.publish(200, two)
				r.board.Log = filepath.Join(t.TempDir(), "log")
				if s.state == "U" {
					r.bootTo(rehearse.Reset)
					for range trialBoots {
						r.bootTo(rehearse.AtREPL)
					}
				}
				r.run()
				log, err := rehearse.ReadLog(r.board.Log)
				if err != nil {
					t.Fatal(err)
				}
				r.board.Log = ""
				n := r.firstIn(s.state, base, log)
				if s.next == "I" {
					n = (n + len(log)) / 2
				} else if s.next != "" {
					n = (n + r.firstIn(s.next, base, log)) / 2
				}
				for _, spoil := range []struct {
					name string
					do   func()
				}{
					{"the newest slot is empty", func() { r.write(stateFolder+"/"+r.newest(), "") }},
					{"the newest slot is garbage", func() { r.write(stateFolder+"/"+r.newest(), "\xff\x00\tgarbage\t") }},
					{"the newest slot has another state", func() {
						name := stateFolder + "/" + r.newest()
						r.write(name, strings.Replace(r.read(name), "\t"+s.state+"\t", "\tC\t", 1)+map[bool]string{true: "x"}[s.state == "C"])
					}},
					{"the newest slot is gone", func() { r.remove(stateFolder + "/" + r.newest()) }},
					{"both are empty", func() { r.write(stateFolder+"/s0", ""); r.write(stateFolder+"/s1", "") }},
					{"both are garbage", func() { r.write(stateFolder+"/s0", "\xff"); r.write(stateFolder+"/s1", "ota1\t1\tS\n") }},
				} {
					if err := r.board.ReplayTo(base, log, n, 0); err != nil {
						t.Fatal(err)
					}
					spoil.do()
					said := r.run()
					if r.isWhole(release1) == r.isWhole(two) {
						t.Errorf("%s: the board runs neither release; it said\n%s", spoil.name, said)
					}
				}
				r.set("", confirm)
				r.run() // release 2 may be on trial
				r.site.publish(300, release3)
				r.updates(release3)
			})
		}
	})
}

// newest returns the name of the journal's newest slot.
func (r *rig) newest() string {
	r.t.Helper()
	newest, seq := "", -1
	for _, name := range []string{"s0", "s1"} {
		var n int
		data, err := r.board.ReadFile(r.t.Context(), stateFolder+"/"+name)
		if err != nil {
			continue
		}
		fields := strings.Split(string(data), "\t")
		if len(fields) < 3 {
			continue
		}
		if _, err := fmt.Sscan(fields[1], &n); err == nil && n > seq {
			newest, seq = name, n
		}
	}
	return newest
}

// firstIn returns how many writes it takes from base until the journal is in a state.
func (r *rig) firstIn(state, base string, log []rehearse.Write) int {
	r.t.Helper()
	image, err := os.ReadFile(base)
	if err != nil {
		r.t.Fatal(err)
	}
	blockSize := 4096
	if r.setup.fs == rehearse.FAT {
		blockSize = 512
	}
	for n, w := range log {
		if err := w.Apply(image, blockSize, -1); err != nil {
			r.t.Fatal(err)
		}
		// To look for it in the image is quick, but it may not be a file yet.
		if !bytes.Contains(image, []byte("\t"+state+"\t")) {
			continue
		}
		if err := r.board.ReplayTo(base, log, n+1, 0); err != nil {
			r.t.Fatal(err)
		}
		if name := r.newest(); name != "" && strings.Split(r.read(stateFolder+"/"+name), "\t")[2] == state {
			return n + 1
		}
	}
	r.t.Fatalf("the journal was never in state %s", state)
	return 0
}

// isWhole reports whether the board has every file of a release, and none of release2's that it
// has not.
func (r *rig) isWhole(rel release) bool {
	r.t.Helper()
	got := r.live()
	for name, text := range release2.with(rel) {
		if rel[name] == "" {
			if _, there := got[name]; there {
				return false
			}
		} else if got[name] != sumOf(text) && (name != "boot.py" || !strings.Contains(r.read(name), "stands in")) {
			return false
		}
	}
	return true
}
