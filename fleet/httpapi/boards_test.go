package httpapi_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/cactuscon/saguarota/fleet"
	"github.com/cactuscon/saguarota/internal/releases"
	"github.com/cactuscon/saguarota/rehearse"
)

// A real board: MicroPython, the library, and a boot.py that asks the rig's server.
type realBoard struct {
	r     *rig
	id    string
	flash *rehearse.Board
}

func (r *rig) realBoard(id string, library map[string]string) *realBoard {
	r.t.Helper()
	tree := fstest.MapFS{"boot.py": {Data: fmt.Appendf(nil, `from saguarota import OTAUpdater
def show(event, details):
    if event == "pack_failed":
        print(event, details)
base = %q
ota = OTAUpdater(base + "versions.json", base, public_keys=[%q], app="badge", device_id=%q, progress_callback=show, trial_boots=1)
ota.check_and_perform_ota()
`, r.web.URL+"/ota/badge/", r.key.PublicKey(), id)}}
	for name, text := range library {
		tree[name] = &fstest.MapFile{Data: []byte(text)}
	}
	b := &realBoard{r: r, id: id, flash: &rehearse.Board{Image: filepath.Join(r.t.TempDir(), id+".img")}}
	r.must(b.flash.Format(r.t.Context(), tree))
	return b
}

// run switches the board on until it rests, and returns what its main.py said last.
func (b *realBoard) run() (said string) {
	b.r.t.Helper()
	results, err := b.flash.Run(b.r.t.Context(), 10)
	b.r.must(err)
	for _, res := range results {
		if strings.Contains(res.Output, "pack_failed") {
			b.r.t.Errorf("%s had to do without a pack:\n%s", b.id, res.Output)
		}
		for line := range strings.Lines(res.Output) {
			if rest, ok := strings.CutPrefix(line, "main "); ok {
				said = strings.TrimSpace(rest)
			}
		}
	}
	if results[len(results)-1].Ending != rehearse.AtREPL {
		b.r.t.Errorf("%s does not come to rest; it said\n%s", b.id, results[len(results)-1].Output)
	}
	return said
}

// release builds and publishes a release whose main.py says a name and then does something.
func (r *rig) release(name, then string) int64 {
	r.t.Helper()
	r.clock.Add(60)
	r.build(map[string]string{
		"main.py":     fmt.Sprintf("print('main %s')\n%s\n", name, then),
		"lib/util.py": strings.Repeat("# the same in all releases\n", 100),
	}, r.key)
	rel, err := r.server.Publish(r.t.Context(), r.ada(), "badge", r.publication())
	r.must(err)
	return rel.Version()
}

// Three real boards on a channel: a good release gets to one of them, then to all; a bad one is undone by
// the first board, and halts before the others see it.
func TestRealBoards(t *testing.T) {
	const confirm = "ota.confirm_update(True)"
	library, err := releases.Compiled(t.Context(), releases.Library(""))
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t)
	// One of the three is in the first third.
	var first *realBoard
	var others []*realBoard
	for i := 0; first == nil || len(others) < 2; i++ {
		id := fmt.Sprintf("board-%d", i)
		if in := fleet.Share(3300).Includes("salt", id); in && first == nil {
			first = r.realBoard(id, library)
		} else if !in && len(others) < 2 {
			others = append(others, r.realBoard(id, library))
		}
	}
	boards := append([]*realBoard{first}, others...)
	say := func(when string, want ...string) {
		t.Helper()
		for i, b := range boards {
			if got := b.run(); got != want[i] {
				t.Errorf("%s, %s says %q, want %q", when, b.id, got, want[i])
			}
		}
	}

	one := r.release("one", confirm)
	r.give("stable", one)
	say("new", "one", "one", "one")

	two := r.release("two", confirm)
	id := r.start(two, func(p *fleet.Plan) {
		p.Steps = []fleet.Step{{Share: 3300, Every: time.Hour}, {Share: fleet.All, Every: time.Hour}}
	})
	say("at a third", "two", "one", "one")
	r.pass(time.Hour)
	say("at the end", "two", "two", "two")
	if ro, err := r.store.Rollout(t.Context(), id); err != nil || ro.Counts != (fleet.Counts{fleet.Confirmed: 3}) {
		t.Errorf("the rollout counts %v, %v", ro.Counts, err)
	}
	r.pass(time.Hour)

	bad := r.release("bad", "raise ValueError('bad')")
	id = r.start(bad, func(p *fleet.Plan) {
		p.MaxUpdating = 1
		p.Halt = fleet.HaltRule{Percent: 1, AtLeast: 1, Kind: fleet.KindUndone}
	})
	// The first runs it until its trial is over, and reports.
	for range 3 {
		first.run()
	}
	say("after the bad one", "two", "two", "two")
	ro, err := r.store.Rollout(t.Context(), id)
	r.must(err)
	if ro.State != fleet.Halted || ro.Counts != (fleet.Counts{fleet.Undone: 1}) {
		t.Errorf("the rollout is %s, %v", ro.State, ro.Counts)
	}
	if got := r.board(first.id).Report; got.Error != "trial_failed" || got.Version != two {
		t.Errorf("the first board reports %+v", got)
	}
}
