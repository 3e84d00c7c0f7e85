package boardtest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/cactuscon/saguarota/rehearse"
)

// deletions are the files that the updater said it would delete.
func deletions(console string) []string {
	var out []string
	for _, e := range events(console) {
		if rest, ok := strings.CutPrefix(e, "file_delete_extra path="); ok {
			name, _, _ := strings.Cut(rest, " policy=")
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// What each policy deletes, that a revert brings it back, and that a confirmation makes it final.
func TestUpdateDeletePolicies(t *testing.T) {
	// More than the 16 names that the updater holds at a time.
	extras := release{}
	for i := range 20 {
		extras[fmt.Sprintf("many/sub/m%02d.txt", i)] = "text"
	}
	factory := release1.with(extras).with(release{
		"extra.py":         "x = 1\n",
		"UPPER.PY":         "x = 1\n",
		"noext":            "x",
		".hidden":          "x",
		"data/user.json":   "{}",
		"data/deep/er.py":  "y = 1\n",
		"lib/other.py":     "z = 1\n",
		"lib/boot.py":      "not the one that starts a board\n",
		"saguarota.py.bak": "x",
	})
	py := []string{"UPPER.PY", "data/deep/er.py", "extra.py", "lib/boot.py", "lib/other.py", "old.py", "settings.py"}
	all := append(slices.Collect(maps.Keys(extras)), "noext", ".hidden", "data/user.json", "saguarota.py.bak")
	all = append(all, py...)
	txt := slices.Collect(maps.Keys(extras))
	for _, list := range [][]string{py, all, txt} {
		slices.Sort(list)
	}
	// settings.py is needed for another boot, so every test's release has it, but for the one
	// that is about it.
	without := func(list []string) []string {
		return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return s == "settings.py" })
	}

	onBoth(t, func(t *testing.T, fs rehearse.FileSystem) {
		for _, tt := range []struct {
			name, policy, list string
			want               []string
			warning            string
		}{
			{"never", `"never"`, "None", nil, ""},
			{"never, with a list", `"never"`, "['.py']", nil, ""},
			{"manifest_extensions", `"manifest_extensions"`, "['.py', '.txt']", without(py), ""},
			{"manifest_extensions, none in common", `"manifest_extensions"`, "['.txt']", nil, ""},
			{"manifest_extensions without a list", `"manifest_extensions"`, "None", nil, "delete policy manifest_extensions is off: it needs delete_files_not_in_manifest_extensions"},
			{"custom_extensions", `"custom_extensions"`, "('txt',)", txt, ""},
			{"custom_extensions without a list", `"custom_extensions"`, "[]", nil, "delete policy custom_extensions is off: it needs delete_files_not_in_manifest_extensions"},
			{"all", `"all"`, "None", without(all), ""},
			{"unknown", `"everything"`, "['.py']", nil, "unknown delete policy everything: nothing will be deleted"},
		} {
			for _, end := range []string{"confirmed", "reverted"} {
				t.Run(tt.name+", "+end, func(t *testing.T) {
					t.Parallel()
					main := "import app\nif app.NAME == 'two': ota.revert_update()"
					if end == "confirmed" {
						main = confirm
					}
					r := newRig(t, setup{fs: fs, factory: factory, main: main,
						options: "delete_files_not_in_manifest_policy=" + tt.policy + ", delete_files_not_in_manifest_extensions=" + tt.list})
					before := r.live()
					rel := release2.with(release{"settings.py": string(r.settings())})
					r.site.publish(200, rel)
					said := r.bootTo(rehearse.Reset).Output
					if got := deletions(said); !slices.Equal(got, tt.want) {
						t.Errorf("deleted: %q\nwant %q", got, tt.want)
					}
					if tt.warning != "" {
						says(t, said, tt.warning)
					} else {
						saysNot(t, said, "delete policy")
					}
					after := maps.Clone(r.live())
					for _, name := range tt.want {
						if _, ok := after[name]; ok {
							t.Errorf("%s is still there", name)
						}
					}
					said = r.run()
					if end == "reverted" {
						r.holds(before)
						return
					}
					says(t, said, "app two", "confirmed True")
					// The old release's tree, without what was deleted and without folders that
					// this made empty, and with what the new one has.
					want := maps.Clone(before)
					for _, name := range tt.want {
						delete(want, name)
					}
					for name, text := range rel {
						want[name] = sumOf(text)
					}
					want["pages/"], want["pages/sub/"] = "folder", "folder"
					want["versions.json"] = sumOf(string(r.site.manifest))
					for _, dir := range []string{"many/sub/", "many/", "data/deep/", "data/"} {
						if !slices.ContainsFunc(slices.Collect(maps.Keys(want)), func(name string) bool {
							return strings.HasPrefix(name, dir) && name != dir
						}) {
							delete(want, dir)
						}
					}
					r.holds(want)
					r.isClean()
				})
			}
		}
		t.Run("what starts a board and updates it is never deleted", func(t *testing.T) {
			t.Parallel()
			r := newRig(t, setup{fs: fs, factory: release1.with(release{"notes.txt": "x"}), options: `delete_files_not_in_manifest_policy="all"`})
			library := []string{"boot.py", "main.py", "versions.json"}
			for name := range r.dump().Files {
				if strings.HasPrefix(name, "lib/saguarota/") {
					library = append(library, name)
				}
			}
			r.site.publish(200, release{"other.py": "x = 1\n", "settings.py": string(r.settings())})
			says(t, r.bootTo(rehearse.Reset).Output, "OTA: installed")
			got := r.live()
			for _, name := range library {
				if _, ok := got[name]; !ok {
					t.Errorf("%s was deleted", name)
				}
			}
			if _, ok := got["app.py"]; ok {
				t.Error("app.py was not deleted")
			}
			// So main.py cannot start, and the old release must come back.
			for range 3 {
				r.bootTo(rehearse.AtREPL)
			}
			says(t, r.run(), "app one")
		})
	})
	t.Run("start files in upper case on FAT", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, setup{fs: rehearse.FAT, factory: release{
			"BOOT.PY": bootPy, "MAIN.PY": mainPy, "app.py": "NAME = 'one'\n",
		}, options: `delete_files_not_in_manifest_policy="all"`})
		rel := release{"app.py": "NAME = 'two'\n", "settings.py": string(r.settings())}
		r.site.publish(200, rel)
		said := r.run()
		if got := deletions(said); len(got) > 0 {
			t.Errorf("deleted: %q", got)
		}
		says(t, said, "OTA: installed", "app two", "confirmed True")
	})
}

// dest_dir keeps a release in a folder, and what is elsewhere out of it.
func TestUpdateDestDir(t *testing.T) {
	// On a board whose release is in a folder, boot.py and main.py are not part of it.
	base := release{"boot.py": bootPy, "main.py": "import sys\nsys.path.insert(0, 'app/v')\n" + mainPy, "root.txt": "x", "app/other.txt": "x"}
	first := release{"app.py": "NAME = 'one'\n", "boot.py": "raise Exception('not at the root')\n", "sub/old.txt": "old"}
	second := release{"app.py": "NAME = 'two'\n", "boot.py": "raise Exception('still not')\n", "sub2/new.txt": "new"}
	inFolder := func(folder string, r release) release {
		out := release{}
		for name, text := range r {
			out[folder+name] = text
		}
		return out
	}
	onBoth(t, func(t *testing.T, fs rehearse.FileSystem) {
		for _, dest := range []string{"app/v", "/app/v", "./app/v/", "/app/v/"} {
			t.Run("dest_dir="+dest, func(t *testing.T) {
				t.Parallel()
				r := newRig(t, setup{fs: fs, factory: base, empty: true, options: fmt.Sprintf(`dest_dir=%q, delete_files_not_in_manifest_policy="all"`, dest), main: confirm})
				before := r.live()
				r.site.publish(100, first)
				says(t, r.run(), "OTA: installed; restarting", "app one", "confirmed True")
				want := maps.Clone(before)
				for name, text := range inFolder("app/v/", first) {
					want[name] = sumOf(text)
				}
				want["versions.json"] = sumOf(string(r.site.manifest))
				want["app/v/"], want["app/v/sub/"] = "folder", "folder"
				r.holds(want)

				r.site.publish(200, second)
				said := r.run()
				says(t, said, "OTA: installed; restarting", "app two", "confirmed True")
				if got, want := deletions(said), []string{"sub/old.txt"}; !slices.Equal(got, want) {
					t.Errorf("deleted: %q, want %q", got, want)
				}
				delete(want, "app/v/sub/old.txt")
				delete(want, "app/v/sub/")
				for name, text := range inFolder("app/v/", second) {
					want[name] = sumOf(text)
				}
				want["app/v/sub2/"] = "folder"
				want["versions.json"] = sumOf(string(r.site.manifest))
				r.holds(want)
				r.isClean()
				says(t, r.run(), "OTA: no update")
			})
			t.Run("dest_dir="+dest+", reverted", func(t *testing.T) {
				t.Parallel()
				r := newRig(t, setup{fs: fs, factory: base.with(inFolder("app/v/", first)), empty: true, options: fmt.Sprintf(`dest_dir=%q, delete_files_not_in_manifest_policy="all"`, dest), main: "import app\nif app.NAME == 'two': ota.revert_update()"})
				before := r.live()
				r.site.publish(200, second)
				says(t, r.run(), "OTA: installed; restarting", "app two", "error version_rejected", "app one")
				r.holds(before)
			})
		}
		for _, dest := range []string{"/", ".", "", "./"} {
			t.Run(fmt.Sprintf("dest_dir=%q", dest), func(t *testing.T) {
				t.Parallel()
				r := newRig(t, setup{fs: fs, options: fmt.Sprintf(`dest_dir=%q, delete_files_not_in_manifest_policy="custom_extensions", delete_files_not_in_manifest_extensions=["py", "txt", "json"]`, dest)})
				rel := release2.with(release{"settings.py": string(r.settings())})
				r.site.publish(200, rel)
				said := r.run()
				says(t, said, "OTA: installed; restarting", "app two", "confirmed True")
				if got, want := deletions(said), []string{"old.py"}; !slices.Equal(got, want) {
					t.Errorf("deleted: %q, want %q", got, want)
				}
				r.holdsRelease(rel)
				r.isClean()

				// The updater's own files are no part of any release.
				for _, name := range []string{"ota_state.txt", "versions.json", "saguarota_backup/s0"} {
					m := r.site.publish(300, release3)
					m.Files[0].Path = name
					r.site.offer(m)
					says(t, r.run(), "error manifest_fetch_failed the manifest names the updater's own "+name)
				}
			})
		}
	})
}

// Where backups of assets do not fit, the update is made without, and says so.
func TestUpdateAssetBackups(t *testing.T) {
	asset := func(c string) string { return strings.Repeat(c, 60_000) }
	one := release1.with(release{"assets/a.dat": asset("a"), "pic.PNG": asset("p"), "fonts/small.py": "F = 1\n", "code.dat": "code one"})
	two := release2.with(release{"assets/a.dat": asset("A"), "pic.PNG": asset("P"), "fonts/small.py": "F = 2\n", "code.dat": "code two"})
	const revert = "import app\nif app.NAME == 'two': ota.revert_update()"
	onBoth(t, func(t *testing.T, fs rehearse.FileSystem) {
		t.Run("room for them", func(t *testing.T) {
			t.Parallel()
			r := newRig(t, setup{fs: fs, factory: one, main: revert})
			before := r.live()
			r.site.publish(200, two)
			said := r.run()
			says(t, said, "OTA: installed; restarting", "app two", "app one")
			saysNot(t, said, "warning")
			r.holds(before)
		})
		t.Run("little free", func(t *testing.T) {
			t.Parallel()
			r := newRig(t, setup{fs: fs, factory: one, main: revert})
			r.leaveFree(200_000)
			before := r.live()
			r.site.publish(200, two)
			said := r.run()
			says(t, said, "OTA: warning: only ", "% of the file system is free", "OTA: installed; restarting", "app two", "app one")
			if fs == rehearse.Littlefs { // the swap's own rename is the backup: it needs no room
				saysNot(t, said, "no room")
				r.holds(before)
				return
			}
			says(t, said, "OTA: warning: no room for backups of assets; they cannot be undone", "OTA: installed")
			for _, name := range []string{"assets/a.dat", "pic.PNG", "fonts/small.py"} {
				before[name] = sumOf(two[name])
			}
			r.holds(before)
		})
		t.Run("little free, confirmed", func(t *testing.T) {
			t.Parallel()
			r := newRig(t, setup{fs: fs, factory: one})
			r.leaveFree(200_000)
			r.site.publish(200, two)
			r.updates(two)
			r.isClean()
		})
		t.Run("other lists", func(t *testing.T) {
			t.Parallel()
			r := newRig(t, setup{fs: fs, factory: one, main: revert,
				options: `backup_skip_extensions=["dat"], backup_skip_prefixes=["pic"]`})
			r.leaveFree(200_000)
			before := r.live()
			r.site.publish(200, two)
			said := r.run()
			says(t, said, "OTA: installed; restarting", "app two", "app one")
			if fs == rehearse.FAT {
				says(t, said, "no room for backups of assets")
				for _, name := range []string{"assets/a.dat", "pic.PNG", "code.dat"} {
					before[name] = sumOf(two[name])
				}
			}
			r.holds(before)
		})
		t.Run("code is never replaced without a backup", func(t *testing.T) {
			t.Parallel()
			r := newRig(t, setup{fs: fs, factory: one,
				options: `backup_skip_extensions=[".x"], backup_skip_prefixes=["x/"]`})
			r.leaveFree(200_000)
			before := r.live()
			r.site.publish(200, two)
			said := r.run()
			if fs == rehearse.Littlefs {
				says(t, said, "OTA: installed", "confirmed True")
				return
			}
			says(t, said, "error apply_failed the update needs", "bytes and", "are free", "app one")
			r.holds(before)
		})
	})
}
