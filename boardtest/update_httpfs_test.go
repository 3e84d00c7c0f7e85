package boardtest

import (
	"fmt"
	"html"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/cactuscon/saguarota/rehearse"
	"github.com/google/go-cmp/cmp"
)

const recursive = "recurse_http_fs=True"

// awkward are files whose names have to be quoted in one place or another.
var awkward = release{
	"a b/c d.py":           "X = 'spaces'\n",
	"a b/deep/er/e.py":     "X = 'deep'\n",
	"caf\u00e9/\u2603.py":  "X = 'other letters'\n",
	"this & that/R&D.py":   "X = 'ampersands'\n",
	"100%/#1.py":           "X = 'percent'\n",
	"what's 'it'+1;x=,.py": "X = 'punctuation'\n",
	"quote\"s.py":          "X = 'quotes'\n",
	"<b>.py":               "X = 'angles'\n",
	"~tilde/-dash_.py":     "X = 'plain'\n",
	"q?a.py":               "X = 'question'\n",
	"empty.py":             "",
}

// The recursive mode against the development server's listings.
func TestUpdateRecursive(t *testing.T) {
	onBoth(t, func(t *testing.T, fs rehearse.FileSystem) {
		t.Run("releases", func(t *testing.T) {
			t.Parallel()
			r := newRig(t, setup{fs: fs, factory: release{"boot.py": bootPy, "main.py": mainPy, "app.py": "NAME = 'zero'\n"}, empty: true, options: recursive})
			d := newDevSite(t, nil, nil)
			r.site.server = d.server
			r.set(recursive, "")
			one := release1.with(awkward)
			one["empty.py"] = ""
			if fs == rehearse.FAT { // it has no such names
				for _, name := range []string{"quote\"s.py", "<b>.py", "q?a.py"} {
					delete(one, name)
				}
			}
			d.save(one, 100)
			said := r.run()
			says(t, said, "event update_start mode=http_fs", "event update_applied mode=http_fs", "OTA: installed; restarting", "app one", "confirmed True")
			for name, text := range one {
				if got := r.read(name); got != text {
					t.Errorf("%s is %q, want %q", name, got, text)
				}
			}
			r.isClean2()

			// Nothing changed: no reset, however often it looks.
			before := r.live()
			for range 2 {
				said = r.bootTo(rehearse.AtREPL).Output
				says(t, said, "event update_start mode=http_fs", "OTA: no update: every file is as on the server", "error None None", "app one", "confirmed False")
				saysNot(t, said, "update_applied")
				r.holds(before)
			}

			two := one.with(release{"app.py": "NAME = 'two'\n", "a b/c d.py": "X = 'changed'\n", "boot.py": "# new\n" + bootPy, "main.py": "# new\n" + mainPy, "new/n.py": "N = 1\n"})
			d.save(two, 200)
			said = r.run()
			says(t, said, "OTA: installed; restarting", "app two", "confirmed True")
			for name, text := range two {
				if got := r.read(name); got != text {
					t.Errorf("%s is %q, want %q", name, got, text)
				}
			}
			says(t, r.run(), "OTA: no update: every file is as on the server", "app two")
		})
		t.Run("reverted", func(t *testing.T) {
			t.Parallel()
			r := newRig(t, setup{fs: fs})
			d := newDevSite(t, nil, nil)
			r.site.server = d.server
			r.set(recursive, "import app\nif app.NAME == 'two': ota.revert_update()")
			before := r.live()
			d.save(release2, 100)
			says(t, r.run(), "OTA: installed; restarting", "app two", "error version_rejected", "app one")
			r.holds(before)
			// It is the content that was rejected.
			says(t, r.run(), "error version_rejected", "app one")
			r.holds(before)
			r.set(recursive, confirm)
			d.save(release3, 100)
			says(t, r.run(), "OTA: installed; restarting", "app three", "confirmed True")
		})
		t.Run("a bad release is undone", func(t *testing.T) {
			t.Parallel()
			r := newRig(t, setup{fs: fs})
			d := newDevSite(t, nil, nil)
			r.site.server = d.server
			r.set(recursive, "")
			before := r.live()
			d.save(release2.with(release{"main.py": "1 / 0\n", "boot.py": "1 / 0\n"}), 100)
			r.bootTo(rehearse.Reset)
			for range trialBoots {
				r.boot()
			}
			says(t, r.bootTo(rehearse.Reset).Output, "undoing it")
			says(t, r.run(), "error version_rejected", "app one")
			r.holds(before)
		})
	})
}

// isClean2 is isClean for the recursive mode, which keeps what it compares.
func (r *rig) isClean2() {
	r.t.Helper()
	for _, name := range r.stateFiles() {
		if strings.HasSuffix(name, ".o") || strings.HasSuffix(name, ".n") || name == "plan" {
			r.t.Errorf("%s/%s was left behind", stateFolder, name)
		}
	}
}

// nginx lists folders as nginx writes them.
func nginx(files release, odd string) func(w http.ResponseWriter, r *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		folder, ok := strings.CutPrefix(r.URL.Path, "/ota/")
		if !ok || folder != "" && !strings.HasSuffix(folder, "/") {
			return false
		}
		names := map[string]bool{}
		for name := range files {
			if rest, ok := strings.CutPrefix(name, folder); ok {
				if first, _, deeper := strings.Cut(rest, "/"); deeper {
					names[first+"/"] = true
				} else {
					names[first] = true
				}
			}
		}
		if len(names) == 0 {
			http.NotFound(w, r)
			return true
		}
		fmt.Fprintf(w, "<html>\r\n<head><title>Index of %s</title></head>\r\n<body>\r\n<h1>Index of %[1]s</h1><hr><pre><a href=\"../\">../</a>\r\n", html.EscapeString(r.URL.Path))
		if folder == "" {
			fmt.Fprint(w, odd)
		}
		sorted := []string{}
		for name := range names {
			sorted = append(sorted, name)
		}
		slices.Sort(sorted)
		for _, name := range sorted {
			fmt.Fprintf(w, "<a href=\"%s\">%s</a>%s 14-Nov-2023 22:13 %19d\r\n", html.EscapeString((&url.URL{Path: name}).EscapedPath()), html.EscapeString(name), strings.Repeat(" ", max(1, 50-len(name))), 12)
		}
		fmt.Fprint(w, "</pre><hr></body>\r\n</html>\r\n")
		return true
	}
}

// Listings of a real server, with links that lead elsewhere.
func TestUpdateRecursiveListings(t *testing.T) {
	two := release{"boot.py": bootPy, "main.py": mainPy, "app.py": "NAME = 'two'\n", "pages/a b.py": "X = 1\n", "pages/deep/R&D.py": "Y = 1\n"}
	for _, tt := range []struct {
		name, odd string
	}{
		{"as it is", ""},
		{"links that lead elsewhere", `<a href="/">root</a> <a href="/etc/passwd">p</a> <a href="?C=N&amp;O=D">Name</a> <a href="#top">top</a>
<a href="http://example.com/evil.py">out</a> <a href="//example.com/evil.py">out</a> <a href="mailto:root@localhost">mail</a>
<a href="javascript:alert(1)">js</a> <a href="../../evil.py">up</a> <a href="./evil.py">here</a> <a href="sub/../../evil.py">round</a>
<a href="%2e%2e/evil.py">up, quoted</a> <a href="%2E%2E%2Fevil.py">up, quoted</a> <a href="..%2f">up</a> <a href=".">dot</a> <a href=""></a>
<a href="c:evil.py">drive</a> <a name="x">no link</a> <a class="y">none</a> <a href="bad%zz.py">bad escape</a> <a href="bad%f">cut escape</a> <a href="%ff.py">not UTF-8</a>
`},
		{"the same link twice", `<a href="app.py"><img src="x.png"></a> <a href="app.py">app.py</a>
`},
		{"the updater's own", `<a href="versions.json">versions.json</a> <a href="ota_state.txt">s</a> <a href="saguarota_backup/">b</a>
`},
		{"a long page", strings.Repeat("<!-- "+strings.Repeat("x", 300)+" href= -->\n", 40)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			onBoth(t, func(t *testing.T, fs rehearse.FileSystem) {
				r := newRig(t, setup{fs: fs, options: recursive})
				r.site.serve(two)
				r.site.misbehave(nginx(two, tt.odd))
				before := r.live()
				before["app.py"] = sumOf(two["app.py"])
				before["pages/"], before["pages/deep/"] = "folder", "folder"
				before["pages/a b.py"], before["pages/deep/R&D.py"] = sumOf(two["pages/a b.py"]), sumOf(two["pages/deep/R&D.py"])
				said := r.run()
				says(t, said, "OTA: installed; restarting", "app two", "confirmed True")
				r.holds(before)
				says(t, r.run(), "OTA: no update")
			})
		})
	}
	t.Run("events", func(t *testing.T) {
		r := newRig(t, setup{options: recursive})
		r.site.serve(two)
		r.site.misbehave(nginx(two, ""))
		base := r.site.server.URL + "/ota/"
		var want []string
		want = append(want, "update_start mode=http_fs")
		for _, name := range []string{"app.py", "boot.py", "main.py", "pages/a b.py", "pages/deep/R&D.py"} {
			quoted := strings.NewReplacer(" ", "%20", "&", "%26").Replace(name)
			want = append(want, "file_update_start mode=http_fs path="+name,
				"download_attempt attempt=1 attempts=2 path="+name+" url="+base+quoted,
				"file_update_done mode=http_fs path="+name)
		}
		want = append(want, "update_applied mode=http_fs")
		got := events(r.bootTo(rehearse.Reset).Output)
		for i := range got { // whether & is quoted is up to the updater
			got[i] = strings.ReplaceAll(got[i], "url="+base+"pages/deep/R&D.py", "url="+base+"pages/deep/R%26D.py")
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
	})
}

// What goes wrong in the recursive mode, strict or not.
func TestUpdateRecursiveBad(t *testing.T) {
	two := release{"boot.py": bootPy, "main.py": mainPy, "app.py": "NAME = 'two'\n", "bad.py": "B = 2\n", "sub/z.py": "Z = 2\n"}
	depth := release{strings.Repeat("d/", 12) + "x.py": "x = 1\n"}
	for _, tt := range []struct {
		name, options string
		spoil         func(r *rig)
		code, message string // none: it installs, but for bad.py
	}{
		{name: "no listing", code: "http_fs_failed", message: "/ota/ answered 404", spoil: func(r *rig) {
			r.site.misbehave(func(w http.ResponseWriter, r *http.Request) bool { http.NotFound(w, r); return true })
		}},
		{name: "no listing of a folder", code: "http_fs_failed", message: "/ota/sub/ answered 403", spoil: func(r *rig) {
			list := nginx(two, "")
			r.site.misbehave(func(w http.ResponseWriter, r *http.Request) bool {
				if r.URL.Path == "/ota/sub/" {
					http.Error(w, "no", http.StatusForbidden)
					return true
				}
				return list(w, r)
			})
		}},
		{name: "a listing that ends early", code: "http_fs_failed", message: "cut short", spoil: func(r *rig) {
			r.site.misbehave(on("", func(w http.ResponseWriter, _ *http.Request) { die(w, 200, 500, `<a href="app.py">app.py</a>`) }))
		}},
		{name: "folders without end", code: "http_fs_failed", message: "folders are nested too deep", spoil: func(r *rig) {
			r.site.serve(depth)
			r.site.misbehave(nginx(depth, ""))
		}},
		{name: "a folder that lists itself", code: "http_fs_failed", message: "folders are nested too deep", spoil: func(r *rig) {
			r.site.misbehave(func(w http.ResponseWriter, r *http.Request) bool {
				fmt.Fprint(w, `<a href="again/">again</a>`)
				return true
			})
		}},
		{name: "a name without end", code: "http_fs_failed", message: "", spoil: func(r *rig) {
			r.site.misbehave(nginx(two, `<a href="`+strings.Repeat("x", 5000)+`">x</a>`))
		}},
		{name: "a name of 300 characters", code: "http_fs_failed", message: "", spoil: func(r *rig) {
			r.site.misbehave(nginx(two, `<a href="`+strings.Repeat("x", 300)+`">x</a>`))
		}},
		{name: "a name with a line end", code: "http_fs_failed", message: "forbidden character", spoil: func(r *rig) {
			r.site.misbehave(nginx(two, `<a href="a%0Ab.py">x</a>`))
		}},
		{name: "an error for one file, strict", code: "http_fs_failed", message: "bad.py answered 404", spoil: func(r *rig) {
			r.site.serve(two.with(release{"bad.py": ""}))
		}},
		{name: "an error for one file, not strict", options: ", strict_http_fs=False", spoil: func(r *rig) {
			r.site.serve(two.with(release{"bad.py": ""}))
		}},
		{name: "a file that ends early, strict", code: "http_fs_failed", message: "cut short", spoil: func(r *rig) {
			list := nginx(two, "")
			r.site.misbehave(func(w http.ResponseWriter, req *http.Request) bool {
				if req.URL.Path == "/ota/bad.py" {
					die(w, 200, 6, "B =")
					return true
				}
				return list(w, req)
			})
		}},
		{name: "a file that ends early, not strict", options: ", strict_http_fs=False", spoil: func(r *rig) {
			list := nginx(two, "")
			r.site.misbehave(func(w http.ResponseWriter, req *http.Request) bool {
				if req.URL.Path == "/ota/bad.py" {
					die(w, 200, 6, "B =")
					return true
				}
				return list(w, req)
			})
		}},
		{name: "a folder where the server has a file", code: "apply_failed", message: "bad.py is a folder", spoil: func(r *rig) {
			r.remove("bad.py")
			r.write("bad.py/x", "x")
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			onBoth(t, func(t *testing.T, fs rehearse.FileSystem) {
				r := newRig(t, setup{fs: fs, factory: release1.with(release{"bad.py": "B = 1\n"}), options: recursive + tt.options})
				r.site.serve(two)
				r.site.misbehave(nginx(two, ""))
				tt.spoil(r)
				before := r.live()
				said := r.run()
				if tt.code == "" {
					says(t, said, "event file_update_failed error=bad.py: ", "mode=http_fs path=bad.py", "OTA: left out bad.py: ", "OTA: installed; restarting", "app two", "confirmed True")
					if got := r.read("bad.py"); got != "B = 1\n" {
						t.Errorf("bad.py is %q", got)
					}
					// No reset loop, although it never gets that file.
					said = r.bootTo(rehearse.AtREPL).Output
					says(t, said, "OTA: left out bad.py: ", "OTA: no update", "app two")
				} else {
					says(t, said, "error "+tt.code+" ", tt.message, "app one")
					r.holds(before)
				}
				if tt.name == "a folder where the server has a file" {
					r.remove("bad.py/x")
					return
				}
				three := two.with(release{"app.py": "NAME = 'three'\n"})
				r.site.serve(three)
				r.site.misbehave(nginx(three, ""))
				says(t, r.run(), "error None None", "app three", "confirmed True")
				if got := r.read("bad.py"); got != "B = 2\n" {
					t.Errorf("bad.py is %q", got)
				}
			})
		})
	}
}
