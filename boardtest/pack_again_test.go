package boardtest

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/cactuscon/saguarota/rehearse"
)

// A second update in the same run of the interpreter is not hurt by what a failed one left loaded.
func TestPackAfterFailure(t *testing.T) {
	two := incompressible(30000)
	for _, tt := range []struct {
		name, first string
		fail        func(r *rig) // how the first update fails
	}{
		{"in the plan", "error manifest_fetch_failed", func(r *rig) {
			r.site.publish(200, two.with(release{"saguarota_backup/s0": "x"}))
		}},
		{"in the download", "error download_failed", func(r *rig) {
			r.site.publish(200, two)
			r.site.misbehave(on("big.txt", http.NotFound))
		}},
		{"in the installation", "error md5_mismatch", func(r *rig) { r.site.publish(200, two) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			boot := `import settings, clock
ota = settings.ota()
if ` + fmt.Sprint(map[bool]string{true: "True", false: "False"}[tt.name == "in the installation"]) + `:
    ota.progress_callback = clock.tamper("file_update_done", "big.txt", "big.txt")["progress_callback"]
ota.check_and_perform_ota()
print("error", ota.last_error_code, ota.last_error_message)
ota.progress_callback = settings.show
ota.check_and_perform_ota()
print("error", ota.last_error_code, ota.last_error_message)
`
			two := two.with(release{"boot.py": boot})
			r := newRig(t, setup{fs: rehearse.Littlefs, factory: release1.with(release{"boot.py": boot})})
			r.write("clock.py", clockPy)
			old, one := r.site.manifest, r.site.files
			tt.fail(r)
			// The second question is for the release that is right.
			asked, fault := 0, r.site.fault
			r.site.misbehave(func(w http.ResponseWriter, req *http.Request) bool {
				if req.URL.Path == "/ota/versions.json" {
					if asked++; asked == 2 {
						fault = nil
						r.site.publish(300, two)
						r.site.pack(old, one, two)
						w.Write(r.site.manifest)
						return true
					}
				}
				return fault != nil && fault(w, req)
			})
			says(t, r.bootTo(rehearse.Reset).Output, tt.first, "event update_applied")
			says(t, r.bootTo(rehearse.AtREPL).Output, "app two", "confirmed True")
			r.holdsRelease(two)
			r.isClean()
		})
	}
}

// An answer that no pack is in, or one with an odd head, costs that pack and no more.
func TestPackOddAnswers(t *testing.T) {
	two := incompressible(30000)
	for _, tt := range []struct {
		name, says string
		answer     func(w http.ResponseWriter, pack string)
	}{
		{"416 to the whole", "event pack_failed error=", func(w http.ResponseWriter, pack string) {
			w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
		}},
		{"206 to the whole", "event pack_failed error=", func(w http.ResponseWriter, pack string) {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes 0-%d/%d", len(pack)-1, len(pack)))
			w.WriteHeader(http.StatusPartialContent)
			fmt.Fprint(w, pack)
		}},
		{"204", "event pack_failed error=", func(w http.ResponseWriter, pack string) {
			w.WriteHeader(http.StatusNoContent)
		}},
		{"a long ETag", "event update_applied", func(w http.ResponseWriter, pack string) {
			w.Header().Set("ETag", `"`+strings.Repeat("e", 900)+`"`)
			w.Header().Set("Content-Length", fmt.Sprint(len(pack)))
			fmt.Fprint(w, pack)
		}},
		{"longer than it says", "event update_applied", func(w http.ResponseWriter, pack string) {
			die(w, 200, len(pack), pack+"and more")
		}},
		{"shorter than it says", "event pack_failed error=", func(w http.ResponseWriter, pack string) {
			die(w, 200, len(pack), pack[:len(pack)-1])
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newPublisher(t, setup{fs: rehearse.Littlefs})
			old := p.site.manifest
			p.publish(200, two)
			name := p.site.pack(old, release1, two)
			pack := p.site.files[name]
			p.site.misbehave(on(name, func(w http.ResponseWriter, r *http.Request) { tt.answer(w, pack) }))
			says(t, p.bootTo(rehearse.Reset).Output, tt.says)
			says(t, p.bootTo(rehearse.AtREPL).Output, "app two", "confirmed True")
			p.holdsRelease(two)
			p.isClean()
		})
	}
}

// A pack that fills the flash gives way to the files.
func TestPackNoRoom(t *testing.T) {
	two := incompressible(60000)
	onBoth(t, func(t *testing.T, fs rehearse.FileSystem) {
		p := newPublisher(t, setup{fs: fs, options: "download_retries=0"})
		old := p.site.manifest
		p.publish(200, two)
		name := p.site.pack(old, release1, two)
		p.leaveFree(300_000)
		// Half of it is there when something else takes the room.
		pack := p.site.files[name]
		long := pack + strings.Repeat("x", 200_000-len(pack))
		p.site.misbehave(func(w http.ResponseWriter, r *http.Request) bool {
			switch r.URL.Path {
			case "/ota/versions.json.sig":
				return false
			case "/ota/" + name:
				die(w, 200, len(long), long[:50_000])
			default:
				http.NotFound(w, r)
			}
			return true
		})
		says(t, p.bootTo(rehearse.AtREPL).Output, "pack_failed", "error manifest_fetch_failed", "app one")
		p.site.misbehave(nil)
		p.site.files[name] = long
		more, why := 110_000, "the file system is full"
		if fs == rehearse.FAT {
			more, why = 90_000, "no room for " // the pack has all of its own from the beginning
		}
		p.write("more", strings.Repeat("x", more))
		says(t, p.bootTo(rehearse.Reset).Output, "event pack_failed error="+why, "event update_applied")
		says(t, p.bootTo(rehearse.AtREPL).Output, "app two", "confirmed True")
		p.holdsRelease(two)
		p.isClean()
	})
}

// Segments and files of no bytes cannot keep a board busy.
func TestPackWithoutEnd(t *testing.T) {
	two := incompressible(30000)
	files := []any{1, 1, 0}
	for range 200_000 {
		files = append(files, 1, 1, 0)
	}
	// The first file of the release, not made right, so that a board looks into what follows.
	segments := segment(1, 0, 1, 1, 0)
	for range 2000 {
		segments = append(segments, segment(1, 0)...)
	}
	for _, tt := range []struct {
		name string
		rest []byte
	}{
		{"files", segment(200_001, 0, files...)},
		{"segments", segments},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newPublisher(t, setup{fs: rehearse.Littlefs})
			old := p.site.manifest
			p.publish(200, two)
			name := p.site.pack(old, release1, two)
			m := p.site.manifest
			data := append([]byte("otapack\x01\x0c"), segment(0, 0, 1, 1, len(m), len(m)<<2, string(m))...)
			p.site.files[name] = string(slices.Concat(data, tt.rest, []byte{0}))
			says(t, p.bootTo(rehearse.Reset).Output, "event pack_failed error=too long", "event update_applied")
			says(t, p.bootTo(rehearse.AtREPL).Output, "app two", "confirmed True")
			p.holdsRelease(two)
		})
	}
}
