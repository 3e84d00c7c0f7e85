package boardtest

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/cactuscon/saguarota/rehearse"
)

// However little is free, an update is refused before anything is fetched, or it fits.
func TestUpdateRoom(t *testing.T) {
	big := strings.Repeat("# 4 kB or so\n", 300)
	for _, tt := range []struct {
		name     string
		from, to release
	}{
		{"small files", release1, release2},
		{"many small files", release1.with(many(25, "x")), release2.with(many(25, "y"))},
		{"a longer file", release1.with(release{"big.py": "x = 1\n"}), release2.with(release{"big.py": big})},
		{"a shorter file", release1.with(release{"big.py": big}), release2.with(release{"big.py": "x = 1\n"})},
		{"start files", release1, release2.with(release{"boot.py": "# new\n" + bootPy, "main.py": "# new\n" + mainPy})},
		{"a library file", release1, release2.with(release{"lib/saguarota/py.typed": big})},
	} {
		t.Run(tt.name, func(t *testing.T) {
			onBoth(t, func(t *testing.T, fs rehearse.FileSystem) {
				refused, fits := false, false
				for free := 8_000; free <= 480_000 && !fits; free += max(8_000, free/4) {
					r := newRig(t, setup{fs: fs, factory: tt.from})
					r.leaveFree(free)
					r.site.publish(200, tt.to)
					before := r.live()
					r.site.asked()
					said := r.run()
					// Where there is no room for the list of what to do, this is known even earlier.
					if !strings.Contains(said, "error apply_failed the update needs ") && !strings.Contains(said, "error apply_failed the file system is full") {
						fits = true
						says(t, said, "OTA: installed; restarting", "app two", "confirmed True")
						if t.Failed() {
							t.Fatalf("with %d bytes free", free)
						}
						r.holdsRelease(tt.to)
						r.isClean()
						continue
					}
					refused = true
					r.holds(before)
					if asked := r.site.asked(); len(asked) != 1 {
						t.Errorf("the board asked for %q before it refused", asked)
					}
				}
				if !refused || !fits {
					t.Errorf("refused: %v; fitted: %v", refused, fits)
				}
			})
		})
	}
}

// An update that does not fit is refused at every check, but written about only once: flash wears
// out. Once there is room it is installed.
func TestUpdateNoRoom(t *testing.T) {
	big := release2.with(release{"big.dat": strings.Repeat("more than there is room for\n", 6000)})
	onBoth(t, func(t *testing.T, fs rehearse.FileSystem) {
		for _, smaller := range []bool{false, true} {
			t.Run(map[bool]string{false: "room is made", true: "a smaller release comes"}[smaller], func(t *testing.T) {
				t.Parallel()
				r := newRig(t, setup{fs: fs})
				r.leaveFree(100_000)
				before := r.live()
				r.site.publish(200, big)
				said := r.bootTo(rehearse.AtREPL).Output
				says(t, said, "error apply_failed the update needs ", " bytes and ", " are free", "app one")
				r.board.Log = filepath.Join(t.TempDir(), "log")
				again := r.bootTo(rehearse.AtREPL).Output
				says(t, again, "error apply_failed the update needs ", " bytes and ", " are free", "app one")
				if writes, err := rehearse.ReadLog(r.board.Log); err != nil || len(writes) > 0 {
					t.Errorf("the board wrote %d times to its flash: %v", len(writes), err)
				}
				r.board.Log = ""
				r.holds(before)
				next := big
				if smaller {
					next = release2
					r.site.publish(300, next)
				} else {
					r.remove("fill")
				}
				r.updates(next)
				r.isClean()
			})
		}
	})
}
