package boardtest

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cactuscon/saguarota/rehearse"
)

// A release that cannot run or does not confirm itself is undone after trial_boots boots,
// remembered, and not even asked for again; the next one is installed.
func TestUpdateTrial(t *testing.T) {
	library, err := readLibrary()
	if err != nil {
		t.Fatal(err)
	}
	source := func(name string) string { return string(library.source[name].Data) }
	const raise = "raise ValueError('broken')\n"

	for _, tt := range []struct {
		name    string
		changes release
		source  bool // the library is there as .py files, so that the release replaces it
		ending  rehearse.Ending
		options string
	}{
		{name: "main.py raises", changes: release{"main.py": raise}},
		{name: "main.py has a syntax error", changes: release{"main.py": "def main(:\n"}},
		{name: "main.py is empty", changes: release{"main.py": "\n"}},
		{name: "main.py hasn't the confirmation", changes: release{"main.py": "print('up, but not well')\n"}},
		{name: "main.py resets the board", changes: release{"main.py": "import machine\nmachine.reset()\n"}, ending: rehearse.Reset},
		{name: "main.py leaves", changes: release{"main.py": "import sys\nsys.exit()\n"}, ending: rehearse.SoftReset},
		{name: "the application cannot be imported", changes: release{"app.py": "import no_such_module\n"}},
		{name: "the application is not there", changes: release{"app.py": ""}, options: `delete_files_not_in_manifest_policy="custom_extensions", delete_files_not_in_manifest_extensions=["py"]`},
		{name: "boot.py raises", changes: release{"boot.py": raise}},
		{name: "boot.py has a syntax error", changes: release{"boot.py": "def boot(:\n"}},
		{name: "boot.py is empty", changes: release{"boot.py": "\n"}},
		{name: "boot.py is not text", changes: release{"boot.py": "\x00\xff\xfe"}},
		{name: "boot.py resets the board", changes: release{"boot.py": "import machine\nmachine.reset()\n"}, ending: rehearse.Reset},
		{name: "boot.py raises after the updater", changes: release{"boot.py": bootPy + raise}},
		{name: "boot.py raises before the updater", changes: release{"boot.py": raise + bootPy}},
		{name: "both start files raise", changes: release{"boot.py": raise, "main.py": raise}},
		{name: "recover.py raises", changes: release{"lib/saguarota/recover.py": raise}, source: true},
		{name: "recover.py has a syntax error", changes: release{"lib/saguarota/recover.py": "def start(:\n"}, source: true},
		{name: "start raises", changes: release{"lib/saguarota/recover.py": source("recover.py") + "\ndef start(folder):\n    1 / 0\n"}, source: true},
		{name: "undo.py raises", changes: release{"lib/saguarota/undo.py": raise}, source: true},
		{name: "saguarota.py raises", changes: release{"lib/saguarota/saguarota.py": raise}, source: true},
		{name: "__init__.py raises", changes: release{"lib/saguarota/__init__.py": raise}, source: true},
		{name: "trial.py raises", changes: release{"lib/saguarota/trial.py": raise}, source: true},
		{name: "os.py raises", changes: release{"os.py": raise, "main.py": "import os\n"}},
		{name: "os.py raises, and boot.py is new", changes: release{"os.py": raise, "boot.py": bootPy + "import os\n"}},
		{name: "os.py raises, and the library is new", changes: release{"os.py": raise, "main.py": "import os\n", "lib/saguarota/names.py": source("names.py") + "\n"}, source: true},
		{name: "every shadow raises", changes: shadows(raise).with(release{"main.py": "import time\n"})},
		{name: "saguarota.py hides the library", changes: release{"saguarota.py": raise}},
		{name: "all of the library is empty", changes: emptied(in("lib/saguarota", library.source)), source: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			onBoth(t, func(t *testing.T, fs rehearse.FileSystem) {
				r := newRig(t, setup{fs: fs, source: tt.source, options: tt.options})
				factory := release1
				if tt.source {
					// With a boot.py that needs no stand-in on its own account.
					factory = release1.with(release{"boot.py": directBoot(r)})
					r.write("boot.py", factory["boot.py"])
				}
				bad := factory.with(release{"old.py": "OLD = 2\n", "new.py": "NEW = 2\n", "settings.py": string(r.settings())}).with(tt.changes)
				testTrial(t, r, bad, tt.ending)
			})
		})
	}
}

// directBoot is a boot.py that imports nothing from the flash but the updater.
func directBoot(r *rig) string {
	url := r.site.server.URL + "/ota/"
	return fmt.Sprintf(`from saguarota import OTAUpdater
ota = OTAUpdater(%q, %q)
ota.check_and_perform_ota()
print("error", ota.last_error_code, ota.last_error_message)
`, url+"versions.json", url)
}

// shadows are files of the names of the firmware's modules that a file may stand before, but for
// socket and ssl.
func shadows(text string) release {
	r := release{}
	for name := range strings.FieldsSeq("array binascii collections errno gzip hashlib heapq io json machine os platform random re select struct time zlib") {
		r[name+".py"] = text
	}
	return r
}

// Files that hide the firmware's modules, and that the application has no use for: the release
// confirms itself, and the board must get the next one all the same.
func TestUpdateShadows(t *testing.T) {
	onBoth(t, func(t *testing.T, fs rehearse.FileSystem) {
		for name, text := range map[string]string{"and raise": "raise ValueError('broken')\n", "and are empty": "\n"} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				r := newRig(t, setup{fs: fs, options: "confirm_timeout_s=600, watchdog_ms=600000"})
				two := release2.with(shadows(text))
				r.site.publish(200, two)
				r.updates(two)
				three := release3.with(shadows(text))
				r.site.publish(300, three)
				r.updates(three)
				r.isClean()
			})
		}
	})
}

// A boot.py that needs a file of the release before it reaches the updater, as one does that sets
// up the network, and a release that breaks that file.
func TestUpdateTrialBootNeeds(t *testing.T) {
	for _, tt := range []struct{ name, before string }{
		{"import", "import wifi\n"},
		{"from import", "from wifi import UP\n"},
		{"import, behind a comment and a text about the updater", "# saguarota: check_and_perform_ota() below\n\"\"\"Starts the board.\n\nCalls check_and_perform_ota() of saguarota.\n\"\"\"\nimport wifi\n"},
		{"import of two", "import time, wifi\n"},
		{"import from a package", "import net.wifi\n"},
		{"import from another folder", "import sys\nsys.path.append('/net')\nimport wifi2\n"},
		{"__import__", "w = __import__('wifi')\n"},
		{"execfile", "execfile('wifi.py')\n"},
		{"exec", "exec(open('wifi.py').read())\n"},
		{"by another module", "import settings2\n"},
		{"import of a built-in module that the release shadows", "import time\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			onBoth(t, func(t *testing.T, fs rehearse.FileSystem) {
				const up = "UP = True\n"
				factory := release1.with(release{"wifi.py": up, "net/wifi.py": up, "net/wifi2.py": up, "settings2.py": "import wifi\n"})
				r := newRig(t, setup{fs: fs, factory: factory})
				factory["boot.py"] = tt.before + directBoot(r)
				r.write("boot.py", factory["boot.py"])
				const raise = "raise ValueError('broken')\n"
				testTrial(t, r, factory.with(release{"new.py": "x = 1\n", "wifi.py": raise, "net/wifi.py": raise, "net/wifi2.py": raise, "time.py": raise}), 0)
			})
		})
	}
}

// emptied returns files with nothing in them.
func emptied[F any](files map[string]F) release {
	r := release{}
	for name := range files {
		r[name] = "\n"
	}
	return r
}

const trialBoots = 3

func testTrial(t *testing.T, r *rig, bad release, ending rehearse.Ending) {
	before := r.live()
	m := r.site.publish(200, bad)
	r.bootTo(rehearse.Reset)
	if _, ok := r.live()["new.py"]; !ok {
		t.Fatal("the release was not installed")
	}
	if got := r.read("ota_state.txt"); got != "confirm_pending" {
		t.Errorf("the state on trial is %q", got)
	}
	// Each boot of the trial ends in its own way; the one after the last undoes it.
	var said strings.Builder
	undone := false
	boots := 0
	for ; boots < 3*trialBoots && !undone; boots++ {
		res := r.boot()
		said.WriteString(res.Output)
		undone = strings.Contains(res.Output, "OTA: the update was not confirmed; undoing it")
		if ending != 0 && !undone && res.Ending != ending {
			t.Errorf("boot %d ended %v, want %v", boots+1, res.Ending, ending)
		}
	}
	if !undone {
		t.Fatalf("the release was not undone; the board said\n%s", said.String())
	}
	if boots != trialBoots+1 {
		t.Errorf("the release was undone in boot %d, want the one after %d", boots, trialBoots)
	}
	r.site.asked()
	console := r.run()
	says(t, console, "error version_rejected", "app one")
	r.holds(before)
	if got := r.read("ota_state.txt"); got != "idle" {
		t.Errorf("the state is %q", got)
	}
	r.isClean()

	// From now on it costs nothing but a look at the manifest's beginning.
	r.site.asked()
	r.board.Log = filepath.Join(t.TempDir(), "log")
	console = r.bootTo(rehearse.AtREPL).Output
	says(t, console, fmt.Sprintf(".%d was undone before; waiting for a newer one", m.Version), "app one", "confirmed False")
	if got, want := r.site.asked(), []string{"versions.json"}; !slices.Equal(got, want) {
		t.Errorf("the board asked for %q, want %q", got, want)
	}
	if writes, err := rehearse.ReadLog(r.board.Log); err != nil || len(writes) > 0 {
		t.Errorf("the board wrote %d times to its flash: %v", len(writes), err)
	}
	r.board.Log = ""

	good := release3.with(release{"main.py": mainPy})
	for name, text := range bad {
		if strings.HasPrefix(name, "lib/saguarota/") && text != "" {
			library, _ := readLibrary()
			good[name] = string(library.source[strings.TrimPrefix(name, "lib/saguarota/")].Data)
		}
	}
	good["boot.py"] = bootPy
	good["settings.py"] = string(r.settings())
	r.site.publish(300, good)
	r.updates(good)
	r.isClean()
}

// trial_boots says how many boots a release is given.
func TestUpdateTrialBoots(t *testing.T) {
	onBoth(t, func(t *testing.T, fs rehearse.FileSystem) {
		for _, boots := range []int{1, 2, 5} {
			t.Run(fmt.Sprint(boots), func(t *testing.T) {
				t.Parallel()
				r := newRig(t, setup{fs: fs, options: fmt.Sprintf("trial_boots=%d", boots), main: "import app\nif app.NAME == 'two': raise Exception('no good')"})
				before := r.live()
				r.site.publish(200, release2)
				r.bootTo(rehearse.Reset)
				for range boots {
					saysNot(t, r.bootTo(rehearse.AtREPL).Output, "undoing")
				}
				says(t, r.bootTo(rehearse.Reset).Output, "OTA: the update was not confirmed; undoing it")
				says(t, r.bootTo(rehearse.AtREPL).Output, "app one")
				r.holds(before)
			})
		}
		t.Run("confirmed in the last of them", func(t *testing.T) {
			t.Parallel()
			r := newRig(t, setup{fs: fs, main: "import app\nif app.NAME == 'two': raise Exception('not yet')"})
			r.site.publish(200, release2)
			r.bootTo(rehearse.Reset)
			r.bootTo(rehearse.AtREPL)
			r.bootTo(rehearse.AtREPL)
			r.set("", confirm)
			says(t, r.bootTo(rehearse.AtREPL).Output, "app two", "confirmed True")
			for range 5 {
				says(t, r.bootTo(rehearse.AtREPL).Output, "app two", "confirmed False")
			}
			r.holdsRelease(release2)
		})
		t.Run("several bad ones", func(t *testing.T) {
			t.Parallel()
			// As many as the journal remembers, and one more.
			r := newRig(t, setup{fs: fs, options: "trial_boots=1", main: "import app\nif app.NAME != 'one' and app.NAME != 'good': raise Exception('no good')"})
			before := r.live()
			for i := range 5 {
				r.site.publish(int64(200+i), release2.with(release{"app.py": fmt.Sprintf("NAME = 'bad %d'\n", i)}))
				r.bootTo(rehearse.Reset)
				says(t, r.bootTo(rehearse.AtREPL).Output, fmt.Sprintf("app bad %d", i))
				says(t, r.bootTo(rehearse.Reset).Output, "undoing it")
				says(t, r.bootTo(rehearse.AtREPL).Output, "error version_rejected", "app one")
				r.holds(before)
			}
			good := release2.with(release{"app.py": "NAME = 'good'\n"})
			r.site.publish(300, good)
			r.set("", "import app\nif app.NAME != 'one' and app.NAME != 'good': raise Exception('no good')\n"+confirm)
			r.updates(good)
		})
	})
}

// A name in the wrong case is the start file all the same where the file system says so.
func TestUpdateTrialCase(t *testing.T) {
	for name, changes := range map[string]release{
		"Boot.py":           {"boot.py": "", "Boot.py": "raise ValueError('broken')\n"},
		"MAIN.PY":           {"main.py": "", "MAIN.PY": "raise ValueError('broken')\n"},
		"Boot.py and a cut": {"boot.py": "", "Boot.py": "def boot(:\n", "Lib/Saguarota/undo.mpy": "no code"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, setup{fs: rehearse.FAT})
			testTrial(t, r, release1.with(release{"new.py": "NEW = 2\n", "settings.py": string(r.settings())}).with(changes), 0)
		})
	}
	t.Run("littlefs", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, setup{})
		two := release2.with(release{"boot.py": "", "Boot.py": "raise ValueError('not for the firmware')\n"})
		r.site.publish(200, two)
		r.updates(two)
		r.isClean()
	})
}

// Whether a start file needs a stand-in is told by its text.
func TestUpdateTrialCalls(t *testing.T) {
	const call = "from saguarota import OTAUpdater\nota = OTAUpdater(\n    \"http://host/versions.json\",\n    'http://host/',\n)\nota.check_and_perform_ota()\n"
	want := map[string]bool{
		call:                            true,
		"print('booting')\n" + call:     true,
		"'One line about it.'\n" + call: true,
		"try:\n    import saguarota\n    saguarota.OTAUpdater('m', 'b').confirm_update()\nexcept Exception:\n    pass\n": true,
		"":                     false,
		"import wifi\n" + call: false,
		"\"\"\"Calls ota.check_and_perform_ota().\n\"\"\"\nimport wifi\n" + call:                      false,
		"text = \"\"\"\nota.check_and_perform_ota()\n\"\"\"\nimport wifi\n" + call:                    false,
		"text = 'a \\\nota.check_and_perform_ota()'\nimport wifi\n" + call:                            false,
		"print('ota.check_and_perform_ota()')\nimport wifi\n" + call:                                  false,
		"'ota.check_and_perform_ota()'\nimport wifi\n" + call:                                         false,
		"print('#'); import wifi\n" + call:                                                            false,
		"def update():\n    ota.check_and_perform_ota()\nimport wifi\nupdate()\n":                     false,
		"if 0:\n    ota.check_and_perform_ota()\nimport wifi\n":                                       false,
		"x = lambda: ota.check_and_perform_ota()\nimport wifi\nx()\n":                                 false,
		"print('booting') # ota.check_and_perform_ota()\nimport wifi\n" + call:                        false,
		"# SaguarOTA: stands in for this file until the update is confirmed or undone.\nimport sys\n": true,
	}
	r := newRig(t, setup{})
	r.write("boot.py", "")
	texts := slices.Sorted(maps.Keys(want))
	for i, text := range texts {
		r.write(fmt.Sprintf("text%d", i), text)
	}
	r.write("main.py", fmt.Sprintf("from saguarota.install import calls\nfor i in range(%d):\n    print('text', i, calls('text%%d' %% i))\n", len(texts)))
	said := r.bootTo(rehearse.AtREPL).Output
	for i, text := range texts {
		line := fmt.Sprintf("text %d %s\n", i, map[bool]string{false: "False", true: "True"}[want[text]])
		if !strings.Contains(said, line) {
			t.Errorf("want %q for\n%s", line, text)
		}
	}
}

// Boards whose boot.py does not call the updater: main.py does, or nothing is there to do it but
// main.py.
func TestUpdateFromMain(t *testing.T) {
	const main = `import saguarota, settings
ota = settings.ota()
ota.check_and_perform_ota()
print("error", ota.last_error_code, ota.last_error_message)
import app
print("app", app.NAME)
settings.main(globals())
`
	for _, tt := range []struct{ name, boot string }{
		{"boot.py does something else", "print('boot')\n"},
		{"no boot.py", ""},
	} {
		for _, bad := range []struct {
			name    string
			changes release
		}{
			{"main.py raises", release{"main.py": "raise ValueError('broken')\n"}},
			{"main.py has a syntax error", release{"main.py": "def main(:\n"}},
			{"the application cannot be imported", release{"app.py": "import no_such_module\n"}},
			{"a boot.py that raises comes", release{"boot.py": "raise ValueError('broken')\n"}},
			{"a boot.py that is good comes, main.py raises", release{"boot.py": "print('new boot')\n", "main.py": "raise ValueError('broken')\n"}},
		} {
			t.Run(tt.name+", "+bad.name, func(t *testing.T) {
				onBoth(t, func(t *testing.T, fs rehearse.FileSystem) {
					factory := release1.with(release{"boot.py": tt.boot, "main.py": main})
					r := newRig(t, setup{fs: fs, factory: factory})
					before := r.live()
					r.site.publish(200, factory.with(release{"new.py": "NEW = 2\n"}).with(bad.changes))
					r.bootTo(rehearse.Reset)
					for range trialBoots {
						saysNot(t, r.boot().Output, "undoing it")
					}
					says(t, r.bootTo(rehearse.Reset).Output, "OTA: the update was not confirmed; undoing it")
					says(t, r.run(), "error version_rejected", "app one")
					r.holds(before)
					r.isClean()
					good := release2.with(release{"boot.py": tt.boot, "main.py": main})
					if tt.boot == "" {
						good["boot.py"] = "print('a boot.py at last')\n"
					}
					r.site.publish(300, good)
					r.updates(good)
					r.isClean()
					if got := r.read("boot.py"); got != good["boot.py"] {
						t.Errorf("boot.py is %q", got)
					}
				})
			})
		}
	}
}

// A boot.py that calls the updater before anything else needs no stand-in: fewer writes, and the
// same end.
func TestUpdateTrialUnguarded(t *testing.T) {
	onBoth(t, func(t *testing.T, fs rehearse.FileSystem) {
		r := newRig(t, setup{fs: fs})
		boot := directBoot(r)
		with := func(rel release) release { return rel.with(release{"boot.py": boot}) }
		r.write("boot.py", boot)
		r.site.publish(150, with(release1))

		before := r.live()
		r.site.publish(200, with(release2).with(release{"main.py": "1 / 0\n"}))
		r.bootTo(rehearse.Reset)
		if got := r.read("boot.py"); got != boot {
			t.Errorf("a stand-in is there:\n%s", got)
		}
		for range trialBoots {
			r.bootTo(rehearse.AtREPL)
		}
		says(t, r.run(), "OTA: the update was not confirmed; undoing it", "app one")
		r.holds(before)
		r.isClean()

		r.site.publish(300, with(release3))
		r.bootTo(rehearse.Reset)
		if got := r.read("boot.py"); got != boot {
			t.Errorf("a stand-in is there:\n%s", got)
		}
		says(t, r.bootTo(rehearse.AtREPL).Output, "app three", "confirmed True")
		r.holdsRelease(with(release3))
		r.isClean()
		r.set("", "ota.confirm_update()\nimport app\nif app.NAME == 'one': ota.revert_update()")
		r.site.publish(400, with(release1))
		before = r.live()
		says(t, r.run(), "app one", "app three")
		r.holds(before)
		r.isClean()
	})
}
