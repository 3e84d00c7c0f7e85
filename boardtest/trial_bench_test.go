package boardtest

import (
	"testing"

	"github.com/cactuscon/saguarota/rehearse"
)

// A board that had no manifest goes back although the manifest of a later release, which it could not
// take, is there already.
func TestTrialRevertToNoManifest(t *testing.T) {
	onBoth(t, func(t *testing.T, fs rehearse.FileSystem) {
		r := newRig(t, setup{fs: fs, empty: true, main: "print('confirmed', ota.confirm_update())"})
		before := r.live()
		r.site.publish(200, release2)
		says(t, r.run(), "app two", "confirmed True")
		r.site.offerBytes([]byte(`{"version": 300, "files": [{"path": "saguarota_backup/x", "version": 300}]}`))
		says(t, r.bootTo(rehearse.AtREPL).Output, "error manifest_fetch_failed", "app two")
		r.set("", "import app\nif app.NAME == 'two': ota.revert_update()")
		before["settings.py"] = sumOf(string(r.settings()))
		r.bootTo(rehearse.Reset)
		r.holds(before)
	})
}

// An application on trial that removes a folder which its release has emptied.
func TestTrialRemovesAFolder(t *testing.T) {
	onBoth(t, func(t *testing.T, fs rehearse.FileSystem) {
		one := release1.with(release{"a/b/old.py": "OLD = 1\n"})
		r := newRig(t, setup{
			fs: fs, factory: one, main: "import app, os\nif app.NAME == 'two' and 'a' in os.listdir():\n    os.rmdir('a/b')\n    os.rmdir('a')",
			options: `delete_files_not_in_manifest_policy="custom_extensions", delete_files_not_in_manifest_extensions=[".py"]`,
		})
		before := r.live()
		two := one.with(release{"app.py": "NAME = 'two'\n", "a/b/old.py": "", "settings.py": string(r.settings())})
		r.site.publish(200, two)
		r.bootTo(rehearse.Reset)
		for range trialBoots {
			says(t, r.bootTo(rehearse.AtREPL).Output, "app two")
		}
		says(t, r.run(), "undoing it", "app one")
		r.holds(before)
	})
}

// Somebody removes the state folder, or what is in it, while boot.py is a stand-in: the board starts
// main.py.
func TestTrialWithoutStateFolder(t *testing.T) {
	onBoth(t, func(t *testing.T, fs rehearse.FileSystem) {
		r := newRig(t, setup{fs: fs, main: "print('up')"})
		r.site.publish(200, release2)
		r.bootTo(rehearse.Reset)
		r.remove(stateFolder + "/plan")
		says(t, r.run(), "app two", "up")
		says(t, r.run(), "app two", "up")
		r.set("", confirm)
		main := "import settings\nota = settings.ota()\nota.check_and_perform_ota()\n" + mainPy
		r.write("main.py", main)
		next := release3.with(release{"boot.py": bootPy + "\n", "main.py": main + "\n"})
		r.site.publish(300, next)
		r.updates(next)
	})
}

// A board without timers, or whose timers do not take confirm_timeout_s, does without.
func TestTrialNoTimer(t *testing.T) {
	r := newRig(t, setup{})
	r.write("boot.py", "")
	r.write("main.py", `import sys
from saguarota.undo import arm
class Machine: pass
class Short:
    ONE_SHOT = 0
    def __init__(self, id): pass
    def init(self, **kw): raise OverflowError("period")
sys.modules["machine"] = machine = Machine()
arm(None, 60)
machine.Timer = Short
arm(None, 5000000)
`)
	const warning = "OTA: warning: no timer is free for confirm_timeout_s"
	res := r.bootTo(rehearse.AtREPL)
	says(t, res.Output, warning, warning)
	if res.Raised != "" {
		t.Errorf("%s raised; the board said\n%s", res.Raised, res.Output)
	}
}
