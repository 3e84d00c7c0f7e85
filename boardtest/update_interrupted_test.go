package boardtest

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cactuscon/saguarota/rehearse"
)

// six is release1 with six files of 3 kB changed.
func six(text string) release {
	r := release1.with(release{"app.py": "NAME = '" + text + "'\n"})
	for i := range 6 {
		r[fmt.Sprintf("f%d.txt", i+1)] = strings.Repeat(fmt.Sprintf("%s %d\n", text, i+1), 3000/len(text+" 1\n"))
	}
	return r
}

// A server that dies in the middle of a download costs no more than the rest of that file.
func TestUpdateServerDies(t *testing.T) {
	const part = 1300
	cut := func(r *rig, name string) {
		data := r.site.files[name]
		r.site.misbehave(func(w http.ResponseWriter, req *http.Request) bool {
			if req.URL.Path != "/ota/"+name {
				return false
			}
			die(w, 200, len(data), data[:part])
			// The server is gone, for this boot.
			r.site.misbehave(func(w http.ResponseWriter, _ *http.Request) bool {
				conn, _, err := w.(http.Hijacker).Hijack()
				if err == nil {
					conn.Close()
				}
				return true
			})
			return true
		})
	}
	onBoth(t, func(t *testing.T, fs rehearse.FileSystem) {
		t.Run("and comes back", func(t *testing.T) {
			t.Parallel()
			r := newRig(t, setup{fs: fs, factory: six("one")})
			before := r.live()
			r.site.publish(200, six("two"))
			cut(r, "f3.txt")
			said := r.bootTo(rehearse.AtREPL).Output
			says(t, said, "error download_failed f3.txt: ", "app one")
			r.holds(before)
			want := []string{"versions.json", "app.py", "f1.txt", "f2.txt", "f3.txt", "f3.txt"}
			if got := r.site.asked(); !slices.Equal(got, want) {
				t.Errorf("the board asked for %q, want %q", got, want)
			}

			// Again, and again in the same place: that changes nothing.
			cut(r, "f3.txt")
			says(t, r.bootTo(rehearse.AtREPL).Output, "error download_failed f3.txt: ", "app one")
			want = []string{"versions.json", "f3.txt", "f3.txt"}
			if got := r.site.asked(); !slices.Equal(got, want) {
				t.Errorf("the board asked for %q, want %q", got, want)
			}

			r.site.misbehave(nil)
			r.updates(six("two"))
			want = []string{"versions.json", "f3.txt", "f4.txt", "f5.txt", "f6.txt"}
			if got := r.site.asked(); !slices.Equal(got, want) {
				t.Errorf("the board asked for %q, want %q", got, want)
			}
			r.isClean()
		})
		t.Run("and comes back, resumed", func(t *testing.T) {
			t.Parallel()
			r := newRig(t, setup{fs: fs, factory: six("one"), options: "resume_downloads=True"})
			before := r.live()
			r.site.publish(200, six("two"))
			cut(r, "f3.txt")
			says(t, r.bootTo(rehearse.AtREPL).Output, "error download_failed f3.txt: ", "app one")
			r.holds(before)
			r.site.asked()

			r.site.misbehave(nil)
			r.updates(six("two"))
			want := []string{"versions.json", "f3.txt bytes=1300-", "f4.txt", "f5.txt", "f6.txt"}
			if fs == rehearse.FAT {
				want[1] = "f3.txt" // there its size does not tell how much of it is there
			}
			if got := r.site.asked(); !slices.Equal(got, want) {
				t.Errorf("the board asked for %q, want %q", got, want)
			}
			r.isClean()
		})
		t.Run("and comes back with another release", func(t *testing.T) {
			t.Parallel()
			r := newRig(t, setup{fs: fs, factory: six("one"), options: "resume_downloads=True"})
			r.site.publish(200, six("two"))
			cut(r, "f3.txt")
			r.bootTo(rehearse.AtREPL)
			r.site.asked()
			r.site.misbehave(nil)
			// f1 and f3 are other files now, f2 is the same.
			next := six("new").with(release{"f2.txt": six("two")["f2.txt"]})
			m := r.site.publish(300, next)
			r.updates(next)
			want := []string{"versions.json", "app.py", "f1.txt", "f3.txt", "f4.txt", "f5.txt", "f6.txt"}
			if f, _ := m.Lookup("f2.txt"); f.Version != 200 {
				t.Fatalf("f2.txt has version %d", f.Version)
			}
			if got := r.site.asked(); !slices.Equal(got, want) {
				t.Errorf("the board asked for %q, want %q", got, want)
			}
			r.isClean()
		})
	})
}

// A download goes on at the byte at which it broke off, within a boot.
func TestUpdateResume(t *testing.T) {
	two := six("two")
	const part = 1300
	// What comes first is cut after part bytes; then is the answer to the request that follows.
	breakOff := func(r *rig, then func(w http.ResponseWriter, req *http.Request) bool) {
		var n atomic.Int32
		r.site.misbehave(func(w http.ResponseWriter, req *http.Request) bool {
			if req.URL.Path != "/ota/f3.txt" {
				return false
			}
			if n.Add(1) > 1 {
				return then(w, req)
			}
			conn, buf, err := w.(http.Hijacker).Hijack()
			if err != nil {
				panic(err)
			}
			defer conn.Close()
			fmt.Fprintf(buf, "HTTP/1.1 200 OK\r\nETag: \"%s\"\r\nContent-Length: %d\r\n\r\n%s", sumOf(two["f3.txt"]), len(two["f3.txt"]), two["f3.txt"][:part])
			buf.Flush()
			return true
		})
	}
	onBoth(t, func(t *testing.T, fs rehearse.FileSystem) {
		for _, tt := range []struct {
			name    string
			options string
			then    func(t *testing.T, w http.ResponseWriter, r *http.Request) bool
			sums    bool // whether the manifest has any
			file    string
			want    []string // requests for f3.txt
		}{
			{name: "at the byte", sums: true, file: two["f3.txt"], want: []string{"f3.txt", "f3.txt bytes=1300-"},
				then: func(t *testing.T, w http.ResponseWriter, r *http.Request) bool {
					if got, want := r.Header.Get("If-Range"), `"`+sumOf(two["f3.txt"])+`"`; got != want {
						t.Errorf("If-Range is %s, want %s", got, want)
					}
					return false
				}},
			{name: "not asked for", options: "resume_downloads=False", sums: true, file: two["f3.txt"], want: []string{"f3.txt", "f3.txt"},
				then: func(t *testing.T, w http.ResponseWriter, r *http.Request) bool { return false }},
			{name: "a server that knows no ranges", sums: true, file: two["f3.txt"], want: []string{"f3.txt", "f3.txt bytes=1300-"},
				then: func(t *testing.T, w http.ResponseWriter, r *http.Request) bool {
					fmt.Fprint(w, two["f3.txt"])
					return true
				}},
			{name: "another file by now", file: six("new")["f3.txt"], want: []string{"f3.txt", "f3.txt bytes=1300-"},
				then: func(t *testing.T, w http.ResponseWriter, r *http.Request) bool {
					// What http.ServeContent does where If-Range does not hold.
					fmt.Fprint(w, six("new")["f3.txt"])
					return true
				}},
			{name: "shorter by now", file: "short", want: []string{"f3.txt", "f3.txt bytes=1300-", "f3.txt"},
				then: func(t *testing.T, w http.ResponseWriter, r *http.Request) bool {
					if r.Header.Get("Range") != "" {
						w.Header().Set("Content-Range", "bytes */5")
						w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
						return true
					}
					fmt.Fprint(w, "short")
					return true
				}},
			{name: "a server that mixes two files", options: "download_retries=2", sums: true, file: two["f3.txt"], want: []string{"f3.txt", "f3.txt bytes=1300-", "f3.txt"},
				then: func(t *testing.T, w http.ResponseWriter, r *http.Request) bool {
					if r.Header.Get("Range") == "" {
						return false
					}
					rest := six("new")["f3.txt"][part:len(two["f3.txt"])]
					w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", part, len(two["f3.txt"])-1, len(two["f3.txt"])))
					w.WriteHeader(http.StatusPartialContent)
					fmt.Fprint(w, rest)
					return true
				}},
		} {
			t.Run(tt.name, func(t *testing.T) {
				t.Parallel()
				options := "resume_downloads=True"
				if tt.options != "" {
					options += ", " + tt.options
				}
				if strings.Contains(tt.options, "resume") {
					options = tt.options
				}
				r := newRig(t, setup{fs: fs, factory: six("one"), options: options})
				r.site.publish(200, two)
				if !tt.sums {
					offerJSON(func(_ map[string]any, files []any) {
						for _, f := range files {
							f := f.(map[string]any)
							delete(f, "md5")
							delete(f, "sha256")
							delete(f, "size")
						}
					})(r)
				}
				breakOff(r, func(w http.ResponseWriter, req *http.Request) bool { return tt.then(t, w, req) })
				says(t, r.run(), "event download_retry attempt=1 path=f3.txt", "OTA: installed; restarting", "app two", "confirmed True")
				var got []string
				for _, line := range r.site.asked() {
					if strings.HasPrefix(line, "f3.txt") {
						got = append(got, line)
					}
				}
				want := tt.want
				if fs == rehearse.FAT && !tt.sums {
					want = []string{"f3.txt", "f3.txt"} // nor may a file of unknown size grow
				}
				if !slices.Equal(got, want) {
					t.Errorf("the board asked for %q, want %q", got, want)
				}
				if r.read("f3.txt") != tt.file {
					t.Error("f3.txt is not what it should be")
				}
			})
		}
	})
}

// Power that goes at any event of an update: the old release stays, and the update succeeds after
// that.
func TestUpdatePowerCut(t *testing.T) {
	onBoth(t, func(t *testing.T, fs rehearse.FileSystem) {
		for _, event := range []string{
			"event update_start",
			"event file_update_start from=100 index=1 ",
			"event file_update_done index=5 ",
			"event download_attempt attempt=1 attempts=2 path=f6.txt",
			"event file_update_done index=8 ",
		} {
			t.Run(event, func(t *testing.T) {
				t.Parallel()
				r := newRig(t, setup{fs: fs, factory: six("one"), hold: event})
				before := r.live()
				r.site.publish(200, six("two"))
				r.board.SwitchOff = func(line string) bool { return strings.HasPrefix(line, event) }
				r.bootTo(rehearse.Off)
				r.board.SwitchOff = nil
				r.holds(before)
				r.setup.hold = ""
				r.set("", "")
				before["settings.py"] = sumOf(string(r.settings()))

				// Without the network, too.
				r.site.misbehave(func(w http.ResponseWriter, req *http.Request) bool { http.NotFound(w, req); return true })
				says(t, r.run(), "error manifest_fetch_failed", "app one")
				r.holds(before)
				r.site.misbehave(nil)
				r.updates(six("two"))
				r.isClean()
			})
		}
	})
}

// Power that goes while files change places ("installing"): the next start puts them back.
func TestUpdatePowerCutInSwap(t *testing.T) {
	const boot = `import saguarota, settings
def state():
    try:
        return open("ota_state.txt").read()
    except OSError:
        return "none"
ota = settings.ota()
n = 0
try:
    for _ in ota.steps():
        if state() == "installing":
            n += 1
            print("swapped", n)
            while n == settings.STOP_AT:
                pass
except Exception as e:
    print("raised", e)
`
	onBoth(t, func(t *testing.T, fs rehearse.FileSystem) {
		for stop := range 8 {
			t.Run(fmt.Sprintf("after %d files", stop+1), func(t *testing.T) {
				t.Parallel()
				one, two := six("one").with(release{"boot.py": boot}), six("two").with(release{"boot.py": boot})
				r := newRig(t, setup{fs: fs, factory: one})
				set := func(n int) {
					r.write("settings.py", string(r.settings())+fmt.Sprintf("STOP_AT = %d\n", n))
				}
				set(stop + 1)
				before := r.live()
				r.site.publish(200, two)
				r.board.SwitchOff = func(line string) bool { return line == fmt.Sprintf("swapped %d", stop+1) }
				r.bootTo(rehearse.Off)
				r.board.SwitchOff = nil
				if got := r.read("ota_state.txt"); got != "installing" {
					t.Errorf("the state is %q", got)
				}
				r.site.asked()
				r.site.misbehave(func(w http.ResponseWriter, req *http.Request) bool { http.NotFound(w, req); return true })
				says(t, r.run(), "OTA: the installation was interrupted; undoing it", "app one")
				r.holds(before)
				if got := r.read("ota_state.txt"); got != "idle" {
					t.Errorf("the state is %q", got)
				}

				// What was downloaded is not downloaded again.
				set(0)
				r.site.misbehave(nil)
				r.site.asked()
				r.updates(two)
				if got, want := r.site.asked(), []string{"versions.json"}; !slices.Equal(got, want) {
					t.Errorf("the board asked for %q, want %q", got, want)
				}
				r.isClean()
			})
		}
		t.Run("five times", func(t *testing.T) {
			t.Parallel()
			one, two := six("one").with(release{"boot.py": boot}), six("two").with(release{"boot.py": boot})
			r := newRig(t, setup{fs: fs, factory: one})
			r.write("settings.py", string(r.settings())+"STOP_AT = 3\n")
			before := r.live()
			r.site.publish(200, two)
			r.board.SwitchOff = func(line string) bool { return line == "swapped 3" }
			for range 5 {
				r.bootTo(rehearse.Off)
				r.bootTo(rehearse.Reset)
				r.holds(before)
			}
			r.board.SwitchOff = nil
			says(t, r.bootTo(rehearse.AtREPL).Output, "raised release ", "was undone before", "app one")
			r.holds(before)
			r.isClean()
			next := six("new").with(release{"boot.py": boot})
			r.write("settings.py", string(r.settings())+"STOP_AT = 0\n")
			r.site.publish(300, next)
			r.updates(next)
		})
	})
}
