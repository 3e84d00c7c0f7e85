package boardtest

import (
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cactuscon/saguarota/rehearse"
	"github.com/google/go-cmp/cmp"
)

// A board with nothing but a boot.py gets its first release, runs and confirms it, then a second.
func TestUpdateEmptyBoard(t *testing.T) {
	onBoth(t, func(t *testing.T, fs rehearse.FileSystem) {
		r := newRig(t, setup{fs: fs, factory: release{"boot.py": bootPy}, empty: true})
		r.site.publish(100, release1)

		said := r.bootTo(rehearse.Reset).Output
		says(t, said, "event update_start mode=manifest", "event update_applied mode=manifest", "OTA: installed; restarting")
		// Its boot.py imports a module of the release first, so a stand-in guards it.
		onTrial := maps.Clone(release1)
		delete(onTrial, "boot.py")
		r.holdsRelease(onTrial)
		if got := r.read("ota_state.txt"); got != "confirm_pending" {
			t.Errorf("the state after the installation is %q", got)
		}

		said = r.bootTo(rehearse.AtREPL).Output
		says(t, said, "not looking for another", "error None None", "app one", "confirmed True")
		if got := r.read("ota_state.txt"); got != "idle" {
			t.Errorf("the state after the confirmation is %q", got)
		}
		r.holdsRelease(release1)
		r.isClean()

		r.site.asked()
		r.site.publish(200, release2)
		said = r.bootTo(rehearse.Reset).Output
		says(t, said, "OTA: installed; restarting")
		want := []string{"versions.json", "app.py", "lib/util.py", "pages/new.py", "pages/sub/sub.py"}
		if got := r.site.asked(); !slices.Equal(got, want) {
			t.Errorf("the board asked for %q, want %q", got, want)
		}
		says(t, r.bootTo(rehearse.AtREPL).Output, "app two", "confirmed True")
		r.holdsRelease(release2)
		r.isClean()
		if _, ok := r.dump().Files["old.py"]; !ok {
			t.Error("old.py is gone, without a policy to delete it")
		}
	})
}

// The events of an update: their names, keys and order, those of an update that finds nothing, and
// those of one that fails.
func TestUpdateEvents(t *testing.T) {
	onBoth(t, func(t *testing.T, fs rehearse.FileSystem) {
		r := newRig(t, setup{fs: fs, options: `packs=False, delete_files_not_in_manifest_policy="custom_extensions", delete_files_not_in_manifest_extensions=["py"]`})
		r.site.publish(200, release2)
		url := r.site.server.URL + "/ota/"
		check := func(said string, want ...string) {
			t.Helper()
			if diff := cmp.Diff(want, events(said)); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
		}
		check(r.bootTo(rehearse.Reset).Output,
			"update_start mode=manifest",
			"file_update_skip index=2 path=boot.py total=6",
			"file_update_skip index=4 path=main.py total=6",
			"file_delete_extra path=old.py policy=custom_extensions",
			"file_delete_extra path=settings.py policy=custom_extensions",
			"file_update_start from=100 index=1 path=app.py to=200 total=6",
			"download_attempt attempt=1 attempts=2 path=app.py url="+url+"app.py",
			"file_update_done index=1 path=app.py total=6",
			"file_update_start from=100 index=3 path=lib/util.py to=200 total=6",
			"download_attempt attempt=1 attempts=2 path=lib/util.py url="+url+"lib/util.py",
			"file_update_done index=3 path=lib/util.py total=6",
			"file_update_start from=0 index=5 path=pages/new.py to=200 total=6",
			"download_attempt attempt=1 attempts=2 path=pages/new.py url="+url+"pages/new.py",
			"file_update_done index=5 path=pages/new.py total=6",
			"file_update_start from=0 index=6 path=pages/sub/sub.py to=200 total=6",
			"download_attempt attempt=1 attempts=2 path=pages/sub/sub.py url="+url+"pages/sub/sub.py",
			"file_update_done index=6 path=pages/sub/sub.py total=6",
			"update_applied mode=manifest",
		)
		r.write("settings.py", string(r.settings()))
		r.run()
		check(r.bootTo(rehearse.AtREPL).Output, "update_start mode=manifest")

		r.set("packs=False", "")
		r.site.publish(300, release3)
		r.site.serve(release3.with(release{"app.py": release3["app.py"] + "#"}))
		said := r.bootTo(rehearse.AtREPL).Output
		got := events(said)
		wait := -1
		if i := slices.IndexFunc(got, func(e string) bool { return strings.HasPrefix(e, "download_retry") }); i >= 0 {
			if _, err := fmt.Sscanf(got[i][strings.Index(got[i], "wait_ms="):], "wait_ms=%d", &wait); err != nil || wait < 1 || wait > 128 {
				t.Errorf("%s: want 1 ms and up to 127 more", got[i])
			}
		}
		check(said,
			"update_start mode=manifest",
			"file_update_skip index=2 path=boot.py total=6",
			"file_update_skip index=3 path=lib/util.py total=6",
			"file_update_skip index=4 path=main.py total=6",
			"file_update_skip index=6 path=pages/sub/sub.py total=6",
			"file_update_start from=200 index=1 path=app.py to=300 total=6",
			"download_attempt attempt=1 attempts=2 path=app.py url="+url+"app.py",
			fmt.Sprintf("download_retry attempt=1 path=app.py url=%sapp.py wait_ms=%d", url, wait),
			"download_attempt attempt=2 attempts=2 path=app.py url="+url+"app.py",
		)
	})
}

// A board that has the newest release writes nothing to its flash.
func TestUpdateNothingToDo(t *testing.T) {
	onBoth(t, func(t *testing.T, fs rehearse.FileSystem) {
		for _, tt := range []struct {
			name, options, main string
			version             int64
		}{
			{name: "the same version", version: 100, main: confirm},
			{name: "an older version", version: 99, main: confirm},
			{name: "other methods", version: 100, main: "print(ota.confirm_update(), ota.confirm_update(True), ota.cleanup_files())\nota.revert_update()"},
			{name: "all options", version: 100, main: confirm, options: `resume_downloads=True, delete_files_not_in_manifest_policy="all"`},
		} {
			t.Run(tt.name, func(t *testing.T) {
				r := newRig(t, setup{fs: fs, options: tt.options, main: tt.main})
				r.site.publish(tt.version, release2)
				r.board.Log = filepath.Join(t.TempDir(), "log")
				says(t, r.bootTo(rehearse.AtREPL).Output, "OTA: no update", "error None None", "app one")
				writes, err := rehearse.ReadLog(r.board.Log)
				if err != nil {
					t.Fatal(err)
				}
				if len(writes) > 0 {
					t.Errorf("the board wrote %d times", len(writes))
				}
			})
		}
	})
}

// What ota_state.txt holds while an application goes through the steps of an update.
func TestUpdateStates(t *testing.T) {
	const boot = `import saguarota, settings
ota = settings.ota()
def state():
    try:
        return open("ota_state.txt").read()
    except OSError:
        return "none"
last = None
for _ in ota.steps():
    if state() != last:
        last = state()
        print("state", last)
`
	onBoth(t, func(t *testing.T, fs rehearse.FileSystem) {
		r := newRig(t, setup{fs: fs, factory: release1.with(release{"boot.py": boot}), main: "print('state', open('ota_state.txt').read())\nota.confirm_update(True)\nprint('state', open('ota_state.txt').read())"})
		r.site.publish(200, release2.with(release{"boot.py": boot}))
		states := []string{"state none", "state installing", "OTA: installed"}
		if fs == rehearse.FAT {
			states = slices.Insert(states, 1, "state idle") // it saves what is staged
		}
		says(t, r.bootTo(rehearse.Reset).Output, states...)
		if got := r.read("ota_state.txt"); got != "confirm_pending" {
			t.Errorf("the state after the installation is %q", got)
		}
		says(t, r.bootTo(rehearse.AtREPL).Output, "app two", "state confirm_pending", "state idle")
		r.holdsRelease(release2.with(release{"boot.py": boot}))
	})
}

// confirm_update, cleanup_files and revert_update, in every state.
func TestUpdateConfirm(t *testing.T) {
	const all = `print("cleanup", ota.cleanup_files())
print("confirm", ota.confirm_update(%s))
print("again", ota.confirm_update())
print("cleanup", ota.cleanup_files())
print("cleanup", ota.cleanup_files())
print("error", ota.last_error_code)`
	onBoth(t, func(t *testing.T, fs rehearse.FileSystem) {
		t.Run("cleanup=True", func(t *testing.T) {
			r := newRig(t, setup{fs: fs, main: fmt.Sprintf(all, "cleanup=True")})
			r.site.publish(200, release2)
			r.bootTo(rehearse.Reset)
			says(t, r.bootTo(rehearse.AtREPL).Output, "app two",
				"cleanup False", "confirm True", "again False", "cleanup False", "cleanup False", "error None")
			r.isClean()
			r.set("", "ota.revert_update()")
			says(t, r.bootTo(rehearse.AtREPL).Output, "app two", "OTA: no update to revert")
			r.holdsRelease(release2)
		})
		t.Run("cleanup=False", func(t *testing.T) {
			r := newRig(t, setup{fs: fs, main: fmt.Sprintf(all, "")})
			r.site.publish(200, release2)
			r.bootTo(rehearse.Reset)
			says(t, r.bootTo(rehearse.AtREPL).Output, "app two",
				"cleanup False", "confirm True", "again False", "cleanup True", "cleanup False", "error None")
			r.isClean()
			r.set("", "ota.revert_update()")
			says(t, r.bootTo(rehearse.AtREPL).Output, "app two", "OTA: no update to revert")
			r.holdsRelease(release2)
		})
		t.Run("backups kept until the next update", func(t *testing.T) {
			r := newRig(t, setup{fs: fs, main: "print('confirmed', ota.confirm_update())"})
			r.site.publish(200, release2)
			r.run()
			if got := r.read("ota_state.txt"); got != "idle" {
				t.Errorf("the state after the confirmation is %q", got)
			}
			// Two more boots change nothing: it is not on trial any more.
			r.run()
			r.run()
			r.site.publish(300, release3)
			r.updates(release3)
			r.run()
			r.set("", confirm)
			r.site.publish(400, release1)
			r.updates(release1)
			r.isClean()
		})
		t.Run("a release that is refused leaves the backups", func(t *testing.T) {
			r := newRig(t, setup{fs: fs, main: "print('confirmed', ota.confirm_update())"})
			before := r.live()
			r.site.publish(200, release2)
			r.run()
			// Somebody offers a release that is not ours.
			r.set(`manifest_auth_key="sesame"`, "ota.revert_update()")
			before["settings.py"] = sumOf(string(r.settings()))
			r.site.publish(300, release3)
			says(t, r.run(), "error manifest_signature_invalid", "app two", "OTA: no update to revert")
			r.holds(before)
		})
		t.Run("a new updater object each time", func(t *testing.T) {
			r := newRig(t, setup{fs: fs, main: "import settings\nprint('cleanup', settings.ota().cleanup_files())\nprint('confirmed', settings.ota().confirm_update(cleanup=True))"})
			r.site.publish(200, release2)
			r.bootTo(rehearse.Reset)
			says(t, r.bootTo(rehearse.AtREPL).Output, "app two", "cleanup False", "confirmed True")
			r.isClean()
		})
	})
}

// revert_update brings the old release back, byte by byte, and the one that was reverted is not
// installed again.
func TestUpdateRevert(t *testing.T) {
	onBoth(t, func(t *testing.T, fs rehearse.FileSystem) {
		for _, tt := range []struct {
			name string
			// what main.py does with release 2, at the first boot and at the second
			first, second string
		}{
			{"from the trial", "ota.revert_update()", ""},
			{"from a confirmed update", "print('confirmed', ota.confirm_update())", "ota.revert_update()"},
			{"from an update confirmed in the same boot", "ota.confirm_update()\nota.revert_update()", ""},
		} {
			t.Run(tt.name, func(t *testing.T) {
				policy := `delete_files_not_in_manifest_policy="custom_extensions", delete_files_not_in_manifest_extensions=[".txt"]`
				factory := release1.with(release{"a/b/extra.txt": "text", "c.txt": "more"})
				onlyTwo := func(do string) string {
					return "import app\nif app.NAME != 'two': return\n" + do
				}
				r := newRig(t, setup{fs: fs, factory: factory, options: policy, main: onlyTwo(tt.first)})
				before := r.live()
				r.site.publish(200, release2)
				r.bootTo(rehearse.Reset)
				if got := r.live(); cmp.Equal(before, got) {
					t.Fatal("nothing was installed")
				}
				if tt.second != "" {
					says(t, r.bootTo(rehearse.AtREPL).Output, "app two", "confirmed True")
					r.set(policy, onlyTwo(tt.second))
					before["settings.py"] = r.live()["settings.py"]
				}
				says(t, r.bootTo(rehearse.Reset).Output, "app two")
				r.site.asked()
				says(t, r.run(), "error version_rejected release", "was undone before; waiting for a newer one", "app one")
				r.holds(before)
				if got, want := r.site.asked(), []string{"versions.json"}; !slices.Equal(got, want) {
					t.Errorf("the board asked for %q, want %q", got, want)
				}
				if got := r.read("ota_state.txt"); got != "idle" {
					t.Errorf("the state is %q", got)
				}
				r.isClean()

				r.site.publish(300, release3)
				r.set("", confirm)
				r.updates(release3)
			})
		}
	})
}

// options is what OTAUpdater takes, in the documented order, each with its default and another
// value, as Python prints them.
var options = []struct{ name, def, other string }{
	{"dest_dir", "", "app"}, // "." is the working directory, which needs no name
	{"force_update", "False", "True"},
	{"recurse_http_fs", "False", "False"},
	{"ota_state_file", "'ota_state.txt'", "'state'"},
	{"local_manifest_file", "'versions.json'", "'m.json'"},
	{"application_name", "'saguarota'", "'badge'"},
	{"http_timeout_s", "5", "7"},
	{"backup_skip_extensions", "('.png', '.jpg', '.jpeg', '.gif', '.bmp', '.rgb565', '.raw', '.bin', '.ttf', '.otf', '.woff')", "('.x',)"},
	{"backup_skip_prefixes", "('assets/', 'static/', 'media/', 'images/', 'fonts/')", "('y/',)"},
	{"manifest_auth_key", "None", "'key'"},
	{"manifest_signature_field", "'signature'", "'sig'"},
	{"download_retries", "1", "4"},
	{"retry_base_delay_ms", "250", "9"},
	{"resume_downloads", "False", "True"},
	{"io_chunk_size", "512", "1024"},
	{"md5_chunk_size", "512", "2048"},
	{"strict_http_fs", "True", "False"},
	{"delete_files_not_in_manifest_policy", "'never'", "'custom_extensions'"},
	{"delete_files_not_in_manifest_extensions", "()", "('.py',)"},
	{"progress_callback", "None", "'call'"},
}

// The constructor's arguments, each by place and by name.
func TestUpdateOptions(t *testing.T) {
	values := func(value func(i int) string) string {
		var all []string
		for i := range options {
			all = append(all, value(i))
		}
		return strings.Join(all, ", ")
	}
	names := values(func(i int) string { return "'" + options[i].name + "'" })
	others := values(func(i int) string {
		if i == 0 {
			return "'app'"
		}
		return options[i].other
	})
	show := func(args string) string {
		return fmt.Sprintf(`from saguarota import OTAUpdater
o = OTAUpdater("M", "B", %s)
print("urls", o.manifest_url, o.base_file_url, o.backup_dir, o.last_error_code, o.last_error_message)
for n in (%s): print(n, repr(getattr(o, n)))
`, args, names)
	}
	want := func(urls string, value func(i int) string) string {
		s := "urls " + urls + "\n"
		for i, o := range options {
			v := value(i)
			if i == 0 {
				v = "'" + v + "'"
			}
			s += o.name + " " + v + "\n"
		}
		return s
	}
	defaults := want("M B saguarota_backup None None", func(i int) string { return options[i].def })
	all := want("M B badge_backup None None", func(i int) string { return options[i].other })
	for _, tt := range []struct{ name, args, want string }{
		{"defaults", "", defaults},
		{"by place", others, all},
		{"by name", values(func(i int) string {
			v := options[i].other
			if i == 0 {
				v = "'app'"
			}
			return options[i].name + "=" + v
		}), all},
		{"None", values(func(i int) string {
			if options[i].name == "http_timeout_s" {
				return "5" // its None is a value: no limit
			}
			return "None"
		}), defaults},
		{"unknown ones", "brand_new=1, another=None, max_widgets='x'", defaults},
		{"values that make no sense", "download_retries='x', retry_base_delay_ms=0, io_chunk_size=-1, md5_chunk_size=None, delete_files_not_in_manifest_policy='everything'", defaults},
		{"policies that need a list and have none", "delete_files_not_in_manifest_policy='Manifest_Extensions', delete_files_not_in_manifest_extensions=['', ' ']", defaults},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, setup{factory: release{"main.py": show(tt.args)}})
			res := r.bootTo(rehearse.AtREPL)
			var got string
			for line := range strings.Lines(res.Output) {
				if !strings.HasPrefix(line, "OTA: ") { // a warning
					got += line
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
	t.Run("names", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, setup{factory: release{"main.py": `from saguarota import OTAUpdater, OTAState, OTAErrorCode, OTADeletePolicy
print(OTAState.IDLE, OTAState.INSTALLING, OTAState.CONFIRM_PENDING)
E = OTAErrorCode
print(E.MANIFEST_FETCH, E.MANIFEST_SIGNATURE, E.DOWNLOAD, E.MD5, E.APPLY, E.HTTP_FS, E.DELETE_EXTRAS)
P = OTADeletePolicy
print(P.NEVER, P.MANIFEST_EXTENSIONS, P.CUSTOM_EXTENSIONS, P.ALL)
import saguarota
try:
    saguarota.OTAManifestBuilder
except AttributeError as e:
    print("AttributeError", e)
o = OTAUpdater("M", "B")
try:
    o.no_such_thing
except AttributeError as e:
    print("AttributeError", e)
o.release()
print(o.manifest_url, o.backup_dir)
`}})
		says(t, r.bootTo(rehearse.AtREPL).Output,
			"idle installing confirm_pending\n",
			"manifest_fetch_failed manifest_signature_invalid download_failed md5_mismatch apply_failed http_fs_failed delete_extraneous_failed\n",
			"never manifest_extensions custom_extensions all\n",
			"AttributeError OTAManifestBuilder", "AttributeError no_such_thing", "None None")
	})
}

// fetch_manifest returns what the server has, checked, or None and the reason.
func TestUpdateFetchManifest(t *testing.T) {
	const main = `m = ota.fetch_manifest()
print("manifest", m and (m["version"], len(m["files"]), sorted(m["files"][0]), m.get("sig")), ota.last_error_code, ota.last_error_message)`
	onBoth(t, func(t *testing.T, fs rehearse.FileSystem) {
		r := newRig(t, setup{fs: fs, main: main})
		before := r.live()
		says(t, r.bootTo(rehearse.AtREPL).Output, "manifest (100, 5, ['md5', 'path', 'sha256', 'size', 'version'], None) None None")
		r.site.offerBytes([]byte("{}"))
		says(t, r.bootTo(rehearse.AtREPL).Output, "manifest None manifest_fetch_failed the manifest has no version")
		r.holds(before)
		r.set(`manifest_auth_key="sesame", manifest_signature_field="sig"`, main)
		before = r.live()
		m := r.site.publish(100, release1)
		says(t, r.bootTo(rehearse.AtREPL).Output, "manifest None manifest_signature_invalid the manifest is not signed")
		m.SignatureField = "sig"
		r.site.sign("sesame")
		says(t, r.bootTo(rehearse.AtREPL).Output, "manifest (100, 5, ['md5', 'path', 'sha256', 'size', 'version'], '"+m.Signature+"') None None")
		r.holds(before)
	})
}

// force_update installs a release of the same version, every file of it.
func TestUpdateForce(t *testing.T) {
	onBoth(t, func(t *testing.T, fs rehearse.FileSystem) {
		r := newRig(t, setup{fs: fs, options: "force_update=True", main: confirm})
		r.write("app.py", "NAME = 'edited'\n")
		r.site.asked()
		says(t, r.bootTo(rehearse.Reset).Output, "update_applied")
		want := []string{"versions.json", "app.py", "boot.py", "lib/util.py", "main.py", "old.py"}
		if got := r.site.asked(); !slices.Equal(got, want) {
			t.Errorf("the board asked for %q, want %q", got, want)
		}
		r.set("", "")
		says(t, r.bootTo(rehearse.AtREPL).Output, "app one", "confirmed True")
		r.holdsRelease(release1)
		r.isClean()

		// Without it, a file that was edited on the board is left alone as long as its version
		// does not grow, as the original library does.
		r.write("old.py", "OLD = 'edited'\n")
		r.site.publish(300, release1.with(release{"app.py": "NAME = 'three'\n"}))
		r.run()
		if got := r.read("old.py"); got != "OLD = 'edited'\n" {
			t.Errorf("old.py: %q", got)
		}
	})
}

// Names of the updater's own that were chosen by the application.
func TestUpdateNames(t *testing.T) {
	onBoth(t, func(t *testing.T, fs rehearse.FileSystem) {
		for _, tt := range []struct{ name, state, manifest, app, folder string }{
			{"plain", "state", "installed.json", "badge", "badge_backup"},
			{"in a folder", "data/state", "data/installed.json", "badge", "badge_backup"},
			{"absolute", "/data/state", "/installed.json", "badge", "badge_backup"},
			{"dotted", "./data/state", "./installed.json", "badge", "badge_backup"},
		} {
			t.Run(tt.name, func(t *testing.T) {
				options := fmt.Sprintf(`ota_state_file=%q, local_manifest_file=%q, application_name=%q, delete_files_not_in_manifest_policy="all"`, tt.state, tt.manifest, tt.app)
				r := newRig(t, setup{fs: fs, factory: release1.with(release{"data/x": "x"}), options: options, empty: true})
				rel := release1.with(release{"settings.py": string(r.settings()), "data/keep": "keep"})
				r.site.publish(100, rel)
				says(t, r.run(), "OTA: installed; restarting", "app one", "confirmed True")
				clean := func(p string) string { return strings.TrimPrefix(strings.TrimPrefix(p, "."), "/") }
				tree := r.dump()
				if tree.Files[clean(tt.manifest)].SHA256 != sumOf(string(r.site.manifest)) {
					t.Errorf("%s is not the manifest", tt.manifest)
				}
				if got := r.read(clean(tt.state)); got != "idle" {
					t.Errorf("the state is %q", got)
				}
				if !slices.Contains(tree.Dirs, tt.folder) || slices.Contains(tree.Dirs, stateFolder) {
					t.Errorf("folders: %q", tree.Dirs)
				}
				if _, ok := tree.Files["data/x"]; ok {
					t.Error("data/x was not deleted")
				}
				says(t, r.run(), "OTA: no update", "app one")
				rel = rel.with(release{"app.py": "NAME = 'two'\n"})
				r.site.publish(200, rel)
				says(t, r.run(), "OTA: installed; restarting", "app two", "confirmed True")
				if got := r.read(clean(tt.state)); got != "idle" {
					t.Errorf("the state is %q", got)
				}
			})
		}
	})
}

// The development server as the other side: signed, two releases, from its own manifest.
func TestUpdateFromDevserver(t *testing.T) {
	onBoth(t, func(t *testing.T, fs rehearse.FileSystem) {
		r := newRig(t, setup{fs: fs, empty: true, factory: release{"boot.py": bootPy}, options: `manifest_auth_key="Saguaro \u00fc"`})
		d := newDevSite(t, []byte("Saguaro ü"), nil)
		r.site.server = d.server
		r.write("settings.py", string(r.settings()))
		d.save(release1, 1_700_000_000)
		says(t, r.run(), "OTA: installed; restarting", "app one", "confirmed True")
		d.save(release2, 1_700_000_100)
		says(t, r.run(), "file_update_skip", "OTA: installed; restarting", "app two", "confirmed True")
		for name, text := range release2 {
			if got := r.read(name); got != text {
				t.Errorf("%s is not that of the release", name)
			}
		}
		r.isClean()
		says(t, r.run(), "OTA: no update: version 1700000100 here, 1700000100 on the server")

		var local struct {
			Version int64
			Files   []json.RawMessage
		}
		if err := json.Unmarshal([]byte(r.read("versions.json")), &local); err != nil {
			t.Fatal(err)
		}
		if local.Version != 1_700_000_100 || len(local.Files) != len(release2)+1 { // and old.py
			t.Errorf("versions.json: version %d, %d files", local.Version, len(local.Files))
		}
	})
}
