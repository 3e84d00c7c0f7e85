package boardtest

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/cactuscon/saguarota/rehearse"
)

// fillDisk is what an application does that takes all the room there is, while it is on trial.
const fillDisk = `import app
if app.NAME == 'two':
    for n in (4096, 512):
        try:
            with open("log", "ab") as f:
                while True:
                    f.write(bytes(n))
        except OSError as e:
            print("full", e.errno)
`

// An application on trial fills the flash. A release that confirms itself then must be kept, and one
// that does not must be undone, whatever the start files need room for.
func TestTrialFillsTheFlash(t *testing.T) {
	long := strings.Repeat("# a start file of several blocks\n", 600)
	for _, tt := range []struct {
		name     string
		one, two release // changes
		confirms bool
	}{
		{"confirmed, boot.py grows", nil, release{"boot.py": long + bootPy}, true},
		{"confirmed, boot.py and main.py grow", nil, release{"boot.py": long + bootPy, "main.py": long + mainPy}, true},
		{"confirmed, boot.py is added", release{"boot.py": "", "main.py": "import settings\nota = settings.ota()\nota.check_and_perform_ota()\n" + mainPy}, release{"boot.py": long + "print('boot')\n"}, true},
		{"undone, boot.py is kept", release{"boot.py": long + bootPy}, release{"boot.py": long + bootPy}, false},
		{"undone, both start files are kept", release{"boot.py": long + bootPy, "main.py": long + mainPy}, release{"boot.py": long + bootPy, "main.py": long + mainPy}, false},
		{"undone, both start files shrink", release{"boot.py": long + bootPy, "main.py": long + mainPy}, release{"boot.py": bootPy, "main.py": mainPy}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			onBoth(t, func(t *testing.T, fs rehearse.FileSystem) {
				main := fillDisk
				if tt.confirms {
					main += confirm
				}
				one := release1.with(tt.one)
				r := newRig(t, setup{fs: fs, factory: one, main: main})
				before := r.live()
				two := one.with(release{"app.py": "NAME = 'two'\n", "new.py": "NEW = 2\n"}).with(tt.two)
				r.site.publish(200, two)
				r.bootTo(rehearse.Reset)
				if tt.confirms {
					says(t, r.run(), "app two", "full 28", "confirmed True")
					r.holdsRelease(two)
					says(t, r.run(), "app two")
					return
				}
				for range trialBoots {
					says(t, r.bootTo(rehearse.AtREPL).Output, "app two", "full 28")
				}
				says(t, r.run(), "undoing it", "app one")
				r.remove("log")
				r.holds(before)
			})
		})
	}
}

// On FAT, a cut while a file is put back must not lose the room that it needs: here the application
// has taken all other room, and the power goes once more in each undo.
func TestTrialFullAndCut(t *testing.T) {
	one := release1.with(release{"big.txt": strings.Repeat("0123456789abcdef", 4000)})
	r := newRig(t, setup{
		fs: rehearse.FAT, factory: one, main: fillDisk,
		options: `delete_files_not_in_manifest_policy="custom_extensions", delete_files_not_in_manifest_extensions=[".txt"]`,
	})
	before := r.live()
	r.site.publish(200, one.with(release{"app.py": "NAME = 'two'\n", "big.txt": ""}))
	r.bootTo(rehearse.Reset)
	for range trialBoots {
		says(t, r.bootTo(rehearse.AtREPL).Output, "app two", "full 28")
	}
	base := filepath.Join(t.TempDir(), "base.img")
	for range 3 {
		if err := r.board.CopyImage(base); err != nil {
			t.Fatal(err)
		}
		r.board.Log = filepath.Join(t.TempDir(), "log")
		r.bootTo(rehearse.Reset)
		log, err := rehearse.ReadLog(r.board.Log)
		if err != nil {
			t.Fatal(err)
		}
		r.board.Log = ""
		// The last of the file's data: the most that can be lost.
		n := 0
		for i, w := range log {
			if strings.Contains(string(w.Data), "89abcdef0123456789abcdef") {
				n = i + 1
			}
		}
		if err := r.board.ReplayTo(base, log, n, 0); err != nil {
			t.Fatal(err)
		}
	}
	said := r.run()
	says(t, said, "app one")
	saysNot(t, said, "app two", "Traceback")
	r.remove("log")
	r.holds(before)
}
