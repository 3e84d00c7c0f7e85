package boardtest

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cactuscon/saguarota/rehearse"
)

// revertEnv, the variable that `make powercut` reads: "all" plays every cut, and every cut of the
// recovery from each, which takes long.
const revertEnv = "POWERCUT"

// A revertCase is a release that is confirmed, kept with a way back, and then reverted.
type revertCase struct {
	name     string
	one, two release
	every    map[rehearse.FileSystem]int // distance of two cuts that are played
	bootless bool                        // main.py may run once without boot.py, and repairs that
}

func revertCases(t *testing.T) []revertCase {
	t.Helper()
	l, err := readLibrary()
	if err != nil {
		t.Fatal(err)
	}
	modules := release{"boot.py": "import neta\n" + bootPy, "neta.py": "from netb import f1\n", "netb.py": "def f1(): pass\n"}
	first, second, moved := release1, release2, release2
	for name, f := range l.mpy {
		text := string(f.Data)
		first = first.with(release{"lib/saguarota/" + name: text})
		if slices.Contains([]string{"recover.mpy", "undo.mpy", "trial.mpy", "saguarota.mpy", "install.mpy"}, name) {
			text += "\x00" // nobody looks behind the code
		}
		second = second.with(release{"lib/saguarota/" + name: text})
		moved = moved.with(release{"saguarota/" + name: text})
	}
	cases := []revertCase{
		{
			name:  "modules that boot.py imports",
			one:   release1.with(modules),
			two:   release1.with(modules).with(release{"app.py": "NAME = 'two'\n", "neta.py": "from netb import f2\n", "netb.py": "def f2(): pass\n"}),
			every: map[rehearse.FileSystem]int{rehearse.Littlefs: 2, rehearse.FAT: 5},
		},
		{name: "modules of the library", one: first, two: second, every: map[rehearse.FileSystem]int{rehearse.Littlefs: 4, rehearse.FAT: 13}},
		{name: "the place of the library", one: release1, two: moved, every: map[rehearse.FileSystem]int{rehearse.Littlefs: 7, rehearse.FAT: 17}},
	}
	for _, calls := range [][2]bool{{true, true}, {true, false}, {false, true}, {false, false}} {
		trees := [2]release{}
		for i, name := range []string{"one", "two"} {
			boot := "print('boot of " + name + "')\n"
			call := "from saguarota import OTAUpdater\nota = OTAUpdater('http://updates/ota/versions.json', 'http://updates/ota/', download_retries=0)\nota.check_and_perform_ota()\n"
			main := "# of " + name + "\n" + mainPy
			if calls[i] {
				boot += call
			} else {
				main = call + main
			}
			trees[i] = release{"boot.py": boot, "main.py": main, "app.py": "NAME = '" + name + "'\n"}
		}
		cases = append(cases, revertCase{
			name: fmt.Sprintf("start files, boot.py calls %v", calls), one: trees[0], two: trees[1],
			every: map[rehearse.FileSystem]int{rehearse.Littlefs: 3, rehearse.FAT: 5}, bootless: !calls[0] || !calls[1],
		})
	}
	return cases
}

// The power goes at a write of a revert from a confirmed release, and at one of the recovery from that:
// each time main.py starts, the board has one of the two releases, whole, and in the end the old one.
// A sample of the cuts, without the network; on FAT in the middle of writes, too.
func TestTrialRevertIsCut(t *testing.T) {
	all := os.Getenv(revertEnv) == "all"
	for _, c := range revertCases(t) {
		t.Run(c.name, func(t *testing.T) {
			onBoth(t, func(t *testing.T, fs rehearse.FileSystem) {
				v := newRevert(t, fs, c)
				every, every2 := max(c.every[fs], 1), 7
				if all {
					every, every2 = 1, 1
				}
				for n := 0; n <= len(v.log); n += every {
					v.cut(n, 0, 0)
					if fs == rehearse.FAT && n < len(v.log) {
						v.cut(n, v.log[n].Length/2, 0)
					}
					if all || n/every%every2 == 0 {
						v.cut(n, 0, every2*every)
					}
				}
				t.Logf("%d writes, %d cuts, %d of them twice; main.py ran without boot.py after %d", len(v.log), v.cuts, v.twice, v.bootless)
				if v.bootless > 0 && !c.bootless {
					t.Errorf("main.py ran without boot.py after %d cuts", v.bootless)
				}
			})
		})
	}
}

// A revert is one that was played without a cut.
type revert struct {
	*rig
	dir      string
	base     string // the image before it
	log      []rehearse.Write
	one, two rehearse.Result // how main.py starts in each release

	cuts, twice, bootless, failed int
}

// newRevert has a board install and confirm the second release, and revert it.
func newRevert(t *testing.T, fs rehearse.FileSystem, c revertCase) *revert {
	t.Helper()
	r := newRig(t, setup{fs: fs, factory: c.one, main: "print('confirmed', ota.confirm_update())"})
	v := &revert{rig: r, dir: t.TempDir()}
	v.base = filepath.Join(v.dir, "base.img")
	address, err := url.Parse(r.site.server.URL)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(address.Port())
	if err != nil {
		t.Fatal(err)
	}
	r.board.Network = &rehearse.Network{Port: port}
	r.site.publish(200, c.two)
	says(t, r.run(), "installed; restarting", "app two", "confirmed True")
	r.holdsRelease(c.two)

	paths := map[string]bool{"versions.json": true}
	for _, rel := range []release{c.one, c.two} {
		for name := range rel {
			paths[name] = true
		}
	}
	var list []string
	for name := range paths {
		list = append(list, name)
	}
	slices.Sort(list)
	r.board.Judge = filepath.Join(v.dir, "paths")
	if err := os.WriteFile(r.board.Judge, []byte(strings.Join(list, "\n")+"\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	r.board.Network = &rehearse.Network{}
	const once = "download_retries=0" // it would only wait
	r.set(once, "pass")
	v.two = r.bootTo(rehearse.AtREPL)
	// Where boot.py was cut off, nobody has made an updater yet.
	r.set(once, "import app, settings\nif app.NAME == 'two': (ota or settings.ota()).revert_update()")
	v.log = v.logged(v.base, func() {
		v.one = r.bootTo(rehearse.Reset)
		v.one = r.bootTo(rehearse.AtREPL)
	})
	if v.one.Tree == "" || v.two.Tree == "" || v.one.Tree == v.two.Tree {
		t.Fatalf("the releases look like %q and %q", v.one.Tree, v.two.Tree)
	}
	says(t, v.one.Output, "app one")
	r.isClean()
	return v
}

// logged copies the image to base and returns the writes of what is done then.
func (v *revert) logged(base string, do func()) []rehearse.Write {
	v.t.Helper()
	if err := v.board.CopyImage(base); err != nil {
		v.t.Fatal(err)
	}
	v.board.Log = filepath.Join(v.dir, "log")
	if err := os.RemoveAll(v.board.Log); err != nil {
		v.t.Fatal(err)
	}
	do()
	log, err := rehearse.ReadLog(v.board.Log)
	if err != nil {
		v.t.Fatal(err)
	}
	v.board.Log = ""
	return log
}

// cut plays a cut after n writes and torn bytes of the next; with every2, cuts of the recovery from
// it instead, as far from each other.
func (v *revert) cut(n, torn, every2 int) {
	v.t.Helper()
	if err := v.board.ReplayTo(v.base, v.log, n, torn); err != nil {
		v.t.Fatal(err)
	}
	if every2 == 0 {
		v.cuts++
		v.recovers(fmt.Sprintf("after write %d of %d and %d bytes", n, len(v.log), torn))
		return
	}
	base := filepath.Join(v.dir, "second.img")
	log := v.logged(base, func() {
		if _, err := v.board.Run(v.t.Context(), maxBoots); err != nil {
			v.t.Fatal(err)
		}
	})
	for m := 1 + n%every2; m < len(log); m += every2 {
		if err := v.board.ReplayTo(base, log, m, 0); err != nil {
			v.t.Fatal(err)
		}
		v.twice++
		v.recovers(fmt.Sprintf("after write %d of %d, and again after write %d of %d", n, len(v.log), m, len(log)))
	}
}

const maxBoots = 12

// recovers starts the board until it is at rest, and once more.
func (v *revert) recovers(when string) {
	v.t.Helper()
	results, err := v.board.Run(v.t.Context(), maxBoots)
	if err != nil {
		v.t.Fatal(err)
	}
	results = append(results, v.boot())
	wrong := ""
	for i, res := range results {
		switch {
		case res.Tree == "" || res.Tree == v.one.Tree || res.Tree == v.two.Tree:
		case res.Bootless && (res.Rest == v.one.Rest || res.Rest == v.two.Rest) && res.Ending.Reboots():
			v.bootless++
		default:
			wrong = fmt.Sprintf("main.py started in neither release at boot %d", i+1)
		}
	}
	for _, res := range results[len(results)-2:] {
		if res.Ending != rehearse.AtREPL || res.Raised != "" || res.Tree != v.one.Tree {
			wrong += fmt.Sprintf("; in the end the board is %v, raised %q", res.Ending, res.Raised)
			break
		}
	}
	if wrong == "" {
		return
	}
	if v.failed++; v.failed > 5 {
		return
	}
	var said strings.Builder
	for i, res := range results {
		fmt.Fprintf(&said, "--- boot %d: %v\n%s", i+1, res.Ending, res.Output)
	}
	v.t.Errorf("cut %s: %s; it said\n%s", when, strings.TrimPrefix(wrong, "; "), said.String())
}

// The newest slot of the journal is lost at any point of a revert: the slot before it must not have the
// board run what is half undone.
func TestTrialRevertJournalSpoilt(t *testing.T) {
	c := revertCases(t)[0]
	onBoth(t, func(t *testing.T, fs rehearse.FileSystem) {
		v := newRevert(t, fs, c)
		every := 1
		if fs == rehearse.FAT {
			every = 4
		}
		for n := v.firstIn("F", v.base, v.log); n < len(v.log); n += every {
			if err := v.board.ReplayTo(v.base, v.log, n, 0); err != nil {
				t.Fatal(err)
			}
			name := v.newest()
			v.remove(stateFolder + "/" + name)
			v.recovers(fmt.Sprintf("after write %d of %d, and %s is lost", n, len(v.log), name))
		}
	})
}

// An application fills the flash of a board on FAT after a release was confirmed: a revert that could not
// be completed does not begin.
func TestTrialRevertOnAFullFlash(t *testing.T) {
	const policy = `delete_files_not_in_manifest_policy="custom_extensions", delete_files_not_in_manifest_extensions=[".txt"]`
	one := release1.with(release{"big.txt": strings.Repeat("0123456789abcdef", 4000)})
	two := one.with(release{"app.py": "NAME = 'two'\n", "big.txt": ""})
	r := newRig(t, setup{fs: rehearse.FAT, factory: one, main: "print('confirmed', ota.confirm_update())", options: policy})
	r.site.publish(200, two)
	says(t, r.run(), "confirmed True")
	r.set(policy, fillDisk+"    ota.revert_update()")
	says(t, r.bootTo(rehearse.AtREPL).Output, "app two", "full 28", "OTA error [apply_failed]")
	r.holdsRelease(two)
	r.remove("log")
	r.set(policy, "import app\nif app.NAME == 'two': ota.revert_update()")
	says(t, r.run(), "app two", "app one")
	r.isClean()
}
