package boardtest

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cactuscon/saguarota/rehearse"
)

// originalManifest is a versions.json as MicroPython's json.dump writes it for the original
// library: in one line, keys in the order of a hash table, no size, no sha256.
func originalManifest(version int, r release) string {
	var files []string
	for _, name := range slices.Sorted(maps.Keys(r)) {
		sum := md5.Sum([]byte(r[name]))
		files = append(files, fmt.Sprintf(`{"md5": "%s", "version": %d, "path": "%s"}`, hex.EncodeToString(sum[:]), version, name))
	}
	slices.Reverse(files)
	return fmt.Sprintf(`{"files": [%s], "version": %d}`, strings.Join(files, ", "), version)
}

// A board whose last update was made by the original library: its state is one word in a file, its
// backups a tree.
func TestUpdateTakesOver(t *testing.T) {
	old := release1.with(release{"pages/p.py": "P = 1\n"})
	now := old.with(release{"app.py": "NAME = 'two'\n", "pages/p.py": "P = 2\n"})
	// originally makes the board as the original leaves it with release now.
	originally := func(r *rig, state string) {
		r.write("ota_state.txt", state)
		r.write("versions.json", originalManifest(150, now))
		r.write(stateFolder+"/app.py", old["app.py"])
		r.write(stateFolder+"/pages/p.py", old["pages/p.py"])
	}
	onBoth(t, func(t *testing.T, fs rehearse.FileSystem) {
		isOld := func(r *rig) {
			r.t.Helper()
			for name, text := range old {
				if r.read(name) != text {
					r.t.Errorf("%s is not that of the old release", name)
				}
			}
		}
		hasTree := func(r *rig) bool {
			_, ok := r.dump().Files[stateFolder+"/app.py"]
			return ok
		}
		t.Run("idle", func(t *testing.T) {
			t.Parallel()
			r := newRig(t, setup{fs: fs, factory: now})
			originally(r, "idle")
			r.site.publish(150, now)
			says(t, r.run(), "OTA: no update", "error None None", "app two", "confirmed False")
			next := now.with(release{"app.py": "NAME = 'three'\n"})
			r.site.publish(200, next)
			r.site.asked()
			r.updates(next)
			if got, want := r.site.asked(), []string{"versions.json", "app.py", "versions.json"}; !slices.Equal(got, want[:2]) {
				t.Errorf("the board asked for %q, want %q", got, want[:2])
			}
			r.isClean()
		})
		t.Run("no state at all", func(t *testing.T) {
			t.Parallel()
			r := newRig(t, setup{fs: fs, factory: now})
			r.write("versions.json", originalManifest(150, now))
			next := now.with(release{"app.py": "NAME = 'three'\n"})
			r.site.publish(200, next)
			r.updates(next)
		})
		t.Run("confirm_pending, confirmed", func(t *testing.T) {
			t.Parallel()
			r := newRig(t, setup{fs: fs, factory: now})
			originally(r, "confirm_pending")
			r.site.publish(200, release3)
			r.site.asked()
			said := r.bootTo(rehearse.AtREPL).Output
			says(t, said, "not looking for another", "error None None", "app two", "confirmed True")
			if got := r.site.asked(); len(got) > 0 {
				t.Errorf("the board asked for %q", got)
			}
			if got := r.read("ota_state.txt"); got != "idle" {
				t.Errorf("the state is %q", got)
			}
			r.updates(release3)
			r.isClean()
		})
		t.Run("confirm_pending, never confirmed", func(t *testing.T) {
			t.Parallel()
			// It was the original's way to leave it at that. And what installed it counts no boots.
			r := newRig(t, setup{fs: fs, factory: now, main: "print('not yet')"})
			originally(r, "confirm_pending")
			before := r.live()
			for range 5 {
				says(t, r.bootTo(rehearse.AtREPL).Output, "not looking for another", "app two", "not yet")
			}
			r.holds(before)
		})
		t.Run("confirm_pending, reverted", func(t *testing.T) {
			t.Parallel()
			r := newRig(t, setup{fs: fs, factory: now, main: "import app\nif app.NAME == 'two': ota.revert_update()"})
			originally(r, "confirm_pending")
			r.site.publish(100, old)
			says(t, r.run(), "app two", "app one")
			isOld(r)
			if got := r.read("ota_state.txt"); got != "idle" {
				t.Errorf("the state is %q", got)
			}
			// The original leaves versions.json as it is, so only a newer release comes.
			r.set("", confirm)
			r.site.publish(200, release3)
			r.updates(release3)
			r.isClean()
		})
		t.Run("confirm_pending, cleanup_files", func(t *testing.T) {
			t.Parallel()
			r := newRig(t, setup{fs: fs, factory: now, main: "print('cleanup', ota.cleanup_files())\nprint('confirm', ota.confirm_update())\nprint('cleanup', ota.cleanup_files())"})
			originally(r, "confirm_pending")
			r.site.publish(150, now)
			says(t, r.run(), "app two", "cleanup False", "confirm True", "cleanup True")
			if hasTree(r) {
				t.Error("the original's backups are still there")
			}
			r.site.publish(200, release3)
			r.updates2(release3, "confirm True")
			r.isClean()
		})
		t.Run("confirm_pending, confirmed and then reverted", func(t *testing.T) {
			t.Parallel()
			r := newRig(t, setup{fs: fs, factory: now, main: "import app\nif app.NAME == 'two':\n    print('confirm', ota.confirm_update())\n    ota.revert_update()"})
			originally(r, "confirm_pending")
			r.site.publish(100, old)
			says(t, r.run(), "app two", "confirm True", "app one")
			isOld(r)
			r.set("", confirm)
			r.site.publish(200, release3)
			r.updates(release3)
			r.isClean()
		})
		for _, confirmed := range []bool{false, true} {
			t.Run(map[bool]string{false: "confirm_pending, the revert cut", true: "confirmed, the revert cut"}[confirmed], func(t *testing.T) {
				t.Parallel()
				main := "import app\nfrom pages.p import P\nprint('pair', app.NAME, P)\n"
				if confirmed {
					main += "if app.NAME == 'two': ota.confirm_update()\n"
				}
				r := newRig(t, setup{fs: fs, factory: now, main: main})
				originally(r, "confirm_pending")
				r.site.publish(100, old)
				r.bootTo(rehearse.AtREPL)
				r.set("", main+"if app.NAME == 'two': ota.revert_update()")
				base := filepath.Join(t.TempDir(), "base.img")
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
				for n := range log {
					if err := r.board.ReplayTo(base, log, n, 0); err != nil {
						t.Fatal(err)
					}
					said := r.run()
					saysNot(t, said, "pair one 2", "pair two 1", "Traceback")
					says(t, said, "pair one 1")
					isOld(r)
				}
			})
		}
		t.Run("installing", func(t *testing.T) {
			t.Parallel()
			r := newRig(t, setup{fs: fs, factory: now.with(release{"pages/p.py": "P ="})}) // cut in the middle of it
			originally(r, "installing")
			r.write("versions.json", originalManifest(100, old)) // it is written last
			r.site.publish(100, old)
			said := r.run()
			says(t, said, "OTA: the installation was interrupted; undoing it", "OTA: no update", "app one")
			isOld(r)
			r.site.publish(200, release3)
			r.updates(release3)
			r.isClean()
		})
		t.Run("installing, without a backup", func(t *testing.T) {
			t.Parallel()
			r := newRig(t, setup{fs: fs, factory: old})
			r.write("ota_state.txt", "installing")
			r.write("versions.json", originalManifest(100, old))
			r.site.publish(200, release3)
			r.updates(release3)
			r.isClean()
		})
		t.Run("state without an end of line, and with one", func(t *testing.T) {
			t.Parallel()
			r := newRig(t, setup{fs: fs, factory: now})
			originally(r, "confirm_pending\r\n")
			says(t, r.bootTo(rehearse.AtREPL).Output, "not looking for another", "app two", "confirmed True")
		})
		t.Run("in a folder", func(t *testing.T) {
			t.Parallel()
			r := newRig(t, setup{fs: fs, factory: now.with(release{"v/app.py": "NAME = 'two'\n"}), options: `dest_dir="v"`, main: "ota.revert_update()"})
			originally(r, "confirm_pending")
			says(t, r.bootTo(rehearse.Reset).Output, "app two")
			if got := r.read("v/app.py"); got != old["app.py"] {
				t.Errorf("v/app.py is %q", got)
			}
			if got := r.read("app.py"); got != now["app.py"] {
				t.Errorf("app.py is %q", got)
			}
		})
	})
}

// Manifests by hand, in the original's format.
func TestUpdateHandwritten(t *testing.T) {
	sum := func(text string) string {
		s := md5.Sum([]byte(text))
		return hex.EncodeToString(s[:])
	}
	two := release{"app.py": "NAME = 'two'\n", "zz.py": "Z = 1\n", "aa/b c.py": "é = 1\n"}
	for _, tt := range []struct{ name, text string }{
		{"unsorted, files first", fmt.Sprintf(`{
  "files": [
    {"md5": %q, "path": "zz.py", "version": 200},
    {"version": 200, "md5": %q, "path": "app.py"},
    {"path": "aa/b c.py", "md5": %q, "version": 200}
  ],
  "version": 200
}
`, sum(two["zz.py"]), sum(two["app.py"]), sum(two["aa/b c.py"]))},
		{"without md5", `{"version": 200, "files": [{"path": "zz.py", "version": 200}, {"path": "app.py", "version": 200}, {"path": "aa/b c.py", "version": 200}]}`},
		{"empty md5, and in capitals", fmt.Sprintf(`{"version": 200, "files": [{"path": "zz.py", "md5": "", "version": 200}, {"path": "app.py", "md5": %q, "version": 200}, {"path": "aa/b c.py", "version": 200, "md5": ""}]}`, strings.ToUpper(sum(two["app.py"])))},
		{"unknown keys", fmt.Sprintf(`{"app": "badge", "build": {"by": ["me", {"at": 1.5e3}], "{": "}\"]"}, "version": 200, "files": [{"path": "zz.py", "version": 200, "x": [{"}": "{"}]}, {"path": "app.py", "md5": %q, "version": 200, "mode": null}, {"path": "aa\/b c.py", "version": 200}], "notes": ["x", -1, true, null, {}]}`, sum(two["app.py"]))},
		{"tabs and CR LF", strings.ReplaceAll("{\n\t\"version\" : 200 ,\n\t\"files\" : [\n\t\t{ \"path\" : \"zz.py\" , \"version\" : 200 } ,\n\t\t{\n\t\t\t\"path\":\"app.py\",\n\t\t\t\"version\":200\n\t\t},{\"path\":\"aa/b c.py\",\"version\":200}\n\t]\n}\n\n", "\n", "\r\n")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			onBoth(t, func(t *testing.T, fs rehearse.FileSystem) {
				r := newRig(t, setup{fs: fs})
				r.site.serve(two)
				r.site.offerBytes([]byte(tt.text))
				said := r.run()
				says(t, said, "OTA: installed; restarting", "app two", "confirmed True")
				r.holdsRelease(two)
				r.isClean()
				says(t, r.run(), "OTA: no update")
			})
		})
	}
	t.Run("without md5 is said", func(t *testing.T) {
		r := newRig(t, setup{})
		r.site.serve(two)
		r.site.offerBytes([]byte(`{"version": 200, "files": [{"path": "app.py", "version": 200}]}`))
		says(t, r.run(), "OTA: warning: nothing to verify app.py by", "OTA: installed", "app two")
	})
	t.Run("without md5 and without a change", func(t *testing.T) {
		onBoth(t, func(t *testing.T, fs rehearse.FileSystem) {
			r := newRig(t, setup{fs: fs})
			r.site.offerBytes([]byte(`{"version": 200, "files": [{"path": "app.py", "version": 200}]}`))
			r.run()
			r.holdsRelease(release1)
			says(t, r.run(), "OTA: no update: version 200 here")
		})
	})
	t.Run("an MD5 that changed although the version did not", func(t *testing.T) {
		onBoth(t, func(t *testing.T, fs rehearse.FileSystem) {
			r := newRig(t, setup{fs: fs})
			r.site.serve(two)
			r.site.offerBytes(fmt.Appendf(nil, `{"version": 200, "files": [{"path": "app.py", "version": 100, "md5": %q}]}`, sum(two["app.py"])))
			says(t, r.run(), "OTA: installed", "app two", "confirmed True")
		})
	})
}

// updates2 is updates for a main.py that says something else.
func (r *rig) updates2(rel release, confirmed string) {
	r.t.Helper()
	says(r.t, r.run(), "OTA: installed; restarting", confirmed)
	r.holdsRelease(rel)
}
