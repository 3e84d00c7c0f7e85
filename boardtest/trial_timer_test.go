package boardtest

import (
	"fmt"
	"testing"
	"time"

	"github.com/cactuscon/saguarota/rehearse"
)

// Releases on trial that nobody helps: the board must go back by itself, with no power cycle from
// outside. Where main.py has ended, time jumps to the timer; where it hangs, the test waits for it.
func TestTrialEndsByItself(t *testing.T) {
	const (
		timer    = "confirm_timeout_s=1"
		watchdog = "watchdog_ms=700"
	)
	for _, tt := range []struct {
		name    string
		options string
		changes release
		says    string
		ending  rehearse.Ending
	}{
		{"a syntax error in main.py, a timer", timer, release{"main.py": "def main(:\n"}, "SyntaxError", rehearse.Reset},
		{"main.py computes for ever, a timer", timer, release{"main.py": "print('hangs')\nwhile True:\n    pass\n"}, "hangs", rehearse.Reset},
		{"boot.py computes for ever, a timer", timer, release{"boot.py": "print('hangs')\nwhile True:\n    pass\n"}, "hangs", rehearse.Reset},
		{"main.py sleeps for ever, a timer", timer, release{"main.py": "import time\nprint('hangs')\nwhile True:\n    time.sleep(100)\n"}, "hangs", rehearse.Reset},
		{"main.py computes for ever, a watchdog", watchdog, release{"main.py": "print('hangs')\nwhile True:\n    pass\n"}, "hangs", rehearse.Watchdog},
		{"an import error in a deep module, a timer", timer, release{
			"app.py": "from parts import screen\nNAME = screen.NAME\n", "parts/__init__.py": "",
			"parts/screen.py": "from parts.deep.font import NAME\n", "parts/deep/__init__.py": "\n", "parts/deep/font.py": "import no_such_module\n",
		}, "no module named 'no_such_module'", rehearse.Reset},
		{"it never confirms and sits at the REPL, a timer", timer, release{"main.py": "print('up')\n"}, "up", rehearse.Reset},
		{"it never confirms and sits at the REPL, a watchdog", watchdog, release{"main.py": "print('up')\n"}, "up", rehearse.Watchdog},
		{"run() and an exception in the application", "", release{"main.py": "import saguarota\nsaguarota.run('app')\n", "app.py": "1 / 0\n"}, "ZeroDivisionError", rehearse.Reset},
	} {
		t.Run(tt.name, func(t *testing.T) {
			onBoth(t, func(t *testing.T, fs rehearse.FileSystem) {
				r := newRig(t, setup{fs: fs, options: tt.options, main: "import app\nif app.NAME == 'two': " + confirm})
				r.board.REPL = 24 * time.Hour
				before := r.live()
				r.site.publish(200, release1.with(release{"new.py": "NEW = 2\n"}).with(tt.changes))
				r.bootTo(rehearse.Reset)
				for range trialBoots {
					says(t, r.bootTo(tt.ending).Output, tt.says)
				}
				says(t, r.bootTo(rehearse.Reset).Output, "OTA: the update was not confirmed; undoing it")
				// The old release has the watchdog, too, and nobody feeds it.
				r.set("", confirm)
				before["settings.py"] = sumOf(string(r.settings()))
				says(t, r.bootTo(rehearse.AtREPL).Output, "error version_rejected", "app one")
				r.holds(before)
				r.site.publish(300, release3)
				r.updates(release3)
			})
		})
	}
}

// Without a timer, a watchdog or run(), a release that ends at the REPL waits for somebody to
// restart the board: nothing else can.
func TestTrialAtTheREPLWaits(t *testing.T) {
	r := newRig(t, setup{main: "import app\nif app.NAME == 'one': " + confirm})
	r.board.REPL = 24 * time.Hour
	r.site.publish(200, release2)
	r.bootTo(rehearse.Reset)
	for range trialBoots {
		if res := r.bootTo(rehearse.AtREPL); len(res.Armed) > 0 {
			t.Errorf("something is armed: %v", res.Armed)
		}
	}
	says(t, r.bootTo(rehearse.Reset).Output, "undoing it")
}

// A release that confirms ends the timer.
func TestTrialTimerEndsWithConfirmation(t *testing.T) {
	onBoth(t, func(t *testing.T, fs rehearse.FileSystem) {
		r := newRig(t, setup{fs: fs, options: "confirm_timeout_s=1"})
		r.board.REPL = 24 * time.Hour
		r.site.publish(200, release2)
		r.bootTo(rehearse.Reset)
		for range 2 {
			res := r.bootTo(rehearse.AtREPL)
			says(t, res.Output, "app two")
			if len(res.Armed) > 0 {
				t.Errorf("armed after a confirmation: %v", res.Armed)
			}
		}
	})
}

// run() imports the application and returns it; an exception outside a trial is raised as ever.
func TestTrialRun(t *testing.T) {
	r := newRig(t, setup{})
	const main = "import saguarota, settings\napp = saguarota.run('app')\nprint('app', app.NAME)\nsettings.main(globals())\n"
	two := release2.with(release{"main.py": main})
	r.site.publish(200, two)
	r.updates(two)
	r.write("app.py", "1 / 0\n")
	if res := r.bootTo(rehearse.AtREPL); res.Raised != "main.py" {
		t.Errorf("main.py did not raise; the board said\n%s", res.Output)
	}
}

// An application that confirms while an update is being installed confirms nothing.
func TestTrialConfirmInTheMiddle(t *testing.T) {
	const boot = `import saguarota, settings
ota = settings.ota()
answers = set()
def journal():
    text = ""
    for name in ("s0", "s1"):
        try:
            text += open("saguarota_backup/" + name).read()
        except OSError:
            pass
    return text
for _ in ota.steps():
    answers.add(ota.confirm_update())
    answers.add(settings.ota().confirm_update(True))
    if "\tS\t" in journal():
        print("while files are swapped:", answers)
`
	onBoth(t, func(t *testing.T, fs rehearse.FileSystem) {
		one, two := release1.with(release{"boot.py": boot}), release2.with(release{"boot.py": boot})
		r := newRig(t, setup{fs: fs, factory: one})
		r.site.publish(200, two)
		said := r.bootTo(rehearse.Reset).Output
		says(t, said, "while files are swapped: {False}")
		saysNot(t, said, "True")
		says(t, r.bootTo(rehearse.AtREPL).Output, "app two", "confirmed True")
		says(t, r.bootTo(rehearse.AtREPL).Output, "app two", "confirmed False")
		r.holdsRelease(two)
		r.isClean()
	})
}

// A release on trial is decided on before the next one is looked for.
func TestTrialTwoUpdatesInARow(t *testing.T) {
	onBoth(t, func(t *testing.T, fs rehearse.FileSystem) {
		r := newRig(t, setup{fs: fs, main: "import app\nif app.NAME == 'three': " + confirm})
		r.site.publish(200, release2)
		r.bootTo(rehearse.Reset)
		r.site.publish(300, release3)
		r.site.asked()
		for range trialBoots {
			says(t, r.bootTo(rehearse.AtREPL).Output, "OTA: an update waits for confirm_update(); not looking for another", "app two")
		}
		if asked := r.site.asked(); len(asked) > 0 {
			t.Errorf("on trial, the board asked for %q", asked)
		}
		says(t, r.bootTo(rehearse.Reset).Output, "undoing it")
		// From the old release it goes to the newest at once.
		r.set("", confirm)
		r.updates(release3)
		r.isClean()
	})
}

// A clock that runs backwards at each look: no wait may end too late for that, or never.
func TestTrialClockRunsBackwards(t *testing.T) {
	for name, step := range map[string]string{"by seconds": "-7000", "by days": "-86400000"} {
		t.Run(name, func(t *testing.T) {
			onBoth(t, func(t *testing.T, fs rehearse.FileSystem) {
				clock := fmt.Sprintf(`import sys, time as real
class Clock:
    def __getattr__(self, name):
        return getattr(real, name)
clock = Clock()
now = 1 << 29
def tick(scale=1):
    def read():
        global now
        now = real.ticks_add(now, %s)
        return now // scale
    return read
clock.ticks_ms = tick()
clock.ticks_us = tick()
clock.time = tick(1000)
sys.modules["time"] = clock
`, step)
				one := release1.with(release{"boot.py": clock + bootPy})
				two := release2.with(release{"boot.py": clock + bootPy})
				r := newRig(t, setup{fs: fs, factory: one, options: "download_retries=2"})
				r.site.misbehave(on("app.py", status(503)))
				r.site.publish(200, two)
				says(t, r.run(), "answered 503; trying again in ", "app one")
				r.site.misbehave(nil)
				r.updates(two)
				r.isClean()
			})
		})
	}
}
