package boardtest

import (
	"bytes"
	"compress/flate"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cactuscon/saguarota/manifest"
	"github.com/cactuscon/saguarota/pack"
	"github.com/cactuscon/saguarota/rehearse"
)

// contents returns a release of the tests as package pack wants it.
func contents(manifest []byte, files release) *pack.Release {
	return &pack.Release{
		Manifest: manifest,
		Open: func(_ context.Context, path string) (io.ReadCloser, error) {
			return io.NopCloser(strings.NewReader(files[path])), nil
		},
	}
}

// pack has the site offer the pack from a release to the current one, or of the whole of that where
// no manifest is given. It returns the path.
func (s *site) pack(fromManifest []byte, from, to release) string {
	s.t.Helper()
	var old *pack.Release
	if fromManifest != nil {
		old = contents(fromManifest, from)
	}
	var out bytes.Buffer
	if _, err := pack.Encode(s.t.Context(), &out, old, contents(s.manifest, to), pack.Options{}); err != nil {
		s.t.Fatal(err)
	}
	name := pack.Name(fromManifest, s.manifest)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files[name] = out.String()
	return name
}

// An update by a pack is two requests, and its files are those of the release.
func TestPackUpdate(t *testing.T) {
	onBoth(t, func(t *testing.T, fs rehearse.FileSystem) {
		t.Run("signed", func(t *testing.T) {
			t.Parallel()
			p := newPublisher(t, setup{fs: fs})
			old := p.site.manifest
			p.publish(200, release2)
			name := p.site.pack(old, release1, release2)
			says(t, p.bootTo(rehearse.Reset).Output, "event download_progress bytes=", "event update_applied")
			if got, want := p.site.asked(), []string{"versions.json.sig", name}; !slices.Equal(got, want) {
				t.Errorf("the board asked for %q, want %q", got, want)
			}
			says(t, p.bootTo(rehearse.AtREPL).Output, "app two", "confirmed True")
			p.holdsRelease(release2)
			p.isClean()
		})
		t.Run("unsigned", func(t *testing.T) {
			t.Parallel()
			r := newRig(t, setup{fs: fs})
			old := r.site.manifest
			r.site.publish(200, release2)
			name := r.site.pack(old, release1, release2)
			r.updates(release2)
			if got, want := r.site.asked(), []string{"versions.json", name}; !slices.Equal(got[:2], want) {
				t.Errorf("the board asked for %q, want %q", got, want)
			}
			r.isClean()
		})
		t.Run("new board", func(t *testing.T) {
			t.Parallel()
			p := newPublisher(t, setup{fs: fs, factory: release{"boot.py": bootPy}, empty: true})
			p.publish(200, release2)
			name := p.site.pack(nil, nil, release2)
			says(t, p.bootTo(rehearse.Reset).Output, "event update_applied")
			if got, want := p.site.asked(), []string{"versions.json.sig", name}; !slices.Equal(got, want) {
				t.Errorf("the board asked for %q, want %q", got, want)
			}
			says(t, p.bootTo(rehearse.AtREPL).Output, "app two", "confirmed True")
			p.holdsRelease(release2)
		})
		t.Run("not wanted", func(t *testing.T) {
			t.Parallel()
			r := newRig(t, setup{fs: fs, options: "packs=False"})
			old := r.site.manifest
			r.site.publish(200, release2)
			name := r.site.pack(old, release1, release2)
			r.updates(release2)
			if got := r.site.asked(); slices.Contains(got, name) {
				t.Errorf("the board asked for %q", got)
			}
		})
	})
}

// A pack that is missing, damaged or for something else costs bytes, never the update.
func TestPackFallback(t *testing.T) {
	two := six("two")
	for _, tt := range []struct {
		name, says string
		do         func(r *rig, pack string)
	}{
		{"none", "event pack_failed error=", func(r *rig, pack string) { delete(r.site.files, pack) }},
		{"empty", "pack_failed error=not a pack", func(r *rig, pack string) { r.site.files[pack] = "" }},
		{"a page", "pack_failed error=not a pack", func(r *rig, pack string) { r.site.files[pack] = "<html>log in first</html>" }},
		{"cut", "pack_failed error=bad data", func(r *rig, pack string) {
			r.site.files[pack] = r.site.files[pack][:len(r.site.files[pack])/2]
		}},
		{"damaged", "pack_failed error=", func(r *rig, pack string) {
			data := []byte(r.site.files[pack])
			for i := 20; i < len(data); i += 20 {
				data[i] ^= 0x55
			}
			r.site.files[pack] = string(data)
		}},
		{"of another release", "pack_failed error=it is of another release", func(r *rig, pack string) {
			before, current := r.site.manifest, r.site.current
			files := r.site.files
			r.site.publish(150, six("one and a half"))
			other := r.site.pack(nil, nil, six("one and a half"))
			files[pack] = r.site.files[other]
			r.site.files, r.site.current = files, current
			r.site.offerBytes(before)
		}},
		{"without a length", "pack_failed error=no room for ", func(r *rig, pack string) {
			r.site.misbehave(func(w http.ResponseWriter, req *http.Request) bool {
				if req.URL.Path != "/ota/"+pack {
					return false
				}
				w.WriteHeader(200)
				w.(http.Flusher).Flush()
				io.WriteString(w, "otapack")
				return true
			})
		}},
		{"larger than the flash", "pack_failed error=no room for ", func(r *rig, pack string) {
			r.site.misbehave(func(w http.ResponseWriter, req *http.Request) bool {
				if req.URL.Path != "/ota/"+pack {
					return false
				}
				w.Header().Set("Content-Length", "90000000")
				w.WriteHeader(200)
				w.(http.Flusher).Flush()
				return true
			})
		}},
		{"refused", "answered 500", func(r *rig, pack string) {
			r.site.misbehave(func(w http.ResponseWriter, req *http.Request) bool {
				if req.URL.Path != "/ota/"+pack {
					return false
				}
				http.Error(w, "no", 500)
				return true
			})
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			onBoth(t, func(t *testing.T, fs rehearse.FileSystem) {
				p := newPublisher(t, setup{fs: fs, factory: six("one")})
				old := p.site.manifest
				p.publish(200, two)
				tt.do(p.rig, p.site.pack(old, six("one"), two))
				p.sign()
				said := p.bootTo(rehearse.Reset).Output
				says(t, said, tt.says, "event update_applied")
				if n := strings.Count(said, "pack_failed"); n != 1 {
					t.Errorf("pack_failed %d times, want once; the board said\n%s", n, said)
				}
				says(t, p.bootTo(rehearse.AtREPL).Output, "app two", "confirmed True")
				p.holdsRelease(two)
				p.isClean()
			})
		})
	}
}

// A file that was changed or removed on the board is fetched on its own, the others come from the pack.
func TestPackMissingBase(t *testing.T) {
	onBoth(t, func(t *testing.T, fs rehearse.FileSystem) {
		r := newRig(t, setup{fs: fs, factory: six("one")})
		old := r.site.manifest
		// Changes within the lines, so that the pack copies from the old files.
		two := six("one")
		for i := range 6 {
			name := fmt.Sprintf("f%d.txt", i+1)
			two[name] = strings.Replace(two[name], "one", "two", 1)
		}
		r.site.publish(200, two)
		name := r.site.pack(old, six("one"), two)
		r.write("f2.txt", "edited")
		r.remove("f5.txt")
		r.updates(two)
		got := r.site.asked()
		if want := []string{"versions.json", name, "f2.txt", "f5.txt"}; !slices.Equal(got, want) {
			t.Errorf("the board asked for %q, want %q", got, want)
		}
		r.isClean()
	})
}

// incompressible is a release with a file that makes a pack of some size.
func incompressible(n int) release {
	var text strings.Builder
	for i, x := 0, uint32(1); i < n; i++ {
		x = x*1664525 + 1013904223
		text.WriteByte(' ' + byte(x>>24)%94)
	}
	return release1.with(release{"app.py": "NAME = 'two'\n", "big.txt": text.String()})
}

// A pack whose download breaks off goes on at the exact byte, after a restart too.
func TestPackResume(t *testing.T) {
	const part = 30000
	two := incompressible(60000)
	onBoth(t, func(t *testing.T, fs rehearse.FileSystem) {
		p := newPublisher(t, setup{fs: fs, options: "download_retries=0"})
		before := p.live()
		old := p.site.manifest
		p.publish(200, two)
		name := p.site.pack(old, release1, two)
		data := p.site.files[name]
		p.site.misbehave(func(w http.ResponseWriter, req *http.Request) bool {
			if req.URL.Path == "/ota/versions.json.sig" {
				return false
			}
			if req.URL.Path == "/ota/"+name {
				w.Header().Set("ETag", `"the-pack"`)
				die(w, 200, len(data), data[:part])
			}
			conn, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				conn.Close()
			}
			return true
		})
		says(t, p.bootTo(rehearse.AtREPL).Output, "pack_failed", "error manifest_fetch_failed", "app one")
		p.holds(before)
		p.site.asked()

		var ifRange atomic.Value
		p.site.misbehave(on(name, func(w http.ResponseWriter, req *http.Request) {
			ifRange.Store(req.Header.Get("If-Range"))
			w.Header().Set("ETag", `"the-pack"`)
			http.ServeContent(w, req, name, time.Time{}, strings.NewReader(data))
		}))
		says(t, p.bootTo(rehearse.Reset).Output, "update_applied")
		if got := ifRange.Load(); got != `"the-pack"` {
			t.Errorf("the rest was asked for with If-Range %q", got)
		}
		want := []string{"versions.json.sig", fmt.Sprintf("%s bytes=%d-", name, part)}
		if got := p.site.asked(); !slices.Equal(got, want) {
			t.Errorf("the board asked for %q, want %q", got, want)
		}
		says(t, p.bootTo(rehearse.AtREPL).Output, "app two", "confirmed True")
		p.holdsRelease(two)
		p.isClean()
	})
}

// What came out of a pack is not asked for again, when the swap is all that is left.
func TestPackOnce(t *testing.T) {
	two := incompressible(60000)
	onBoth(t, func(t *testing.T, fs rehearse.FileSystem) {
		p := newPublisher(t, setup{fs: fs})
		old := p.site.manifest
		p.publish(200, two)
		name := p.site.pack(old, release1, two)
		p.write("boot.py", `import settings
ota = settings.ota()
for _ in ota.steps(apply=False):
    pass
print("error", ota.last_error_code)
`)
		says(t, p.bootTo(rehearse.AtREPL).Output, "event update_staged mode=manifest", "error None", "app one")
		want := []string{"versions.json.sig", name}
		if got := p.site.asked(); !slices.Equal(got, want) {
			t.Errorf("the board asked for %q, want %q", got, want)
		}
		says(t, p.bootTo(rehearse.AtREPL).Output, "event update_staged mode=manifest", "error None", "app one")
		if got := p.site.asked(); !slices.Equal(got, want[:1]) {
			t.Errorf("the board asked for %q, want %q", got, want[:1])
		}
		p.write("boot.py", bootPy)
		says(t, p.bootTo(rehearse.Reset).Output, "event update_applied")
		if got := p.site.asked(); !slices.Equal(got, want[:1]) {
			t.Errorf("the board asked for %q, want %q", got, want[:1])
		}
		says(t, p.bootTo(rehearse.AtREPL).Output, "app two", "confirmed True")
		p.holdsRelease(two)
		p.isClean()
	})
}

// handMade makes a pack of records, each given as what batches wants; the last one makes file last.
func handMade(t *testing.T, last int, records ...[]any) string {
	t.Helper()
	out := append([]byte("otapack\x01\x0c"), segment(uint64(last), 0, slices.Concat(records...)...)...)
	out = append(out, 0)
	if _, err := pack.Read(out); err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// batches returns what a segment says: an int is a number, a string the bytes that belong to the number before it.
func batches(items ...any) []byte {
	var out, numbers, rest []byte
	flush := func() {
		out = append(out, byte(len(numbers)), byte(len(numbers)>>8))
		out = append(append(out, numbers...), rest...)
		numbers, rest = nil, nil
	}
	for _, item := range items {
		switch item := item.(type) {
		case int:
			if len(numbers) > 1000 {
				flush()
			}
			numbers = binary.AppendUvarint(numbers, uint64(item))
		case string:
			rest = append(rest, item...)
		}
	}
	flush()
	return out
}

// segment returns a segment of a pack; what it says is given as batches wants it, without the 0 at the end.
func segment(last, end uint64, items ...any) []byte {
	var data bytes.Buffer
	z, err := flate.NewWriter(&data, flate.BestCompression)
	if err != nil {
		panic(err) // of a level that there is
	}
	z.Write(batches(append(items, 0)...))
	z.Close()
	out := binary.AppendUvarint(nil, uint64(data.Len()))
	out = binary.AppendUvarint(out, last)
	out = binary.AppendUvarint(out, end)
	return append(out, data.Bytes()...)
}

// Whoever sends packs must not find out what is in files that are no part of a release, by having them
// copied into one whose content he knows.
func TestPackReadsNoSecrets(t *testing.T) {
	const secret = "PASSWORD = 'xyzzy'\n"
	for _, kind := range []int{3, 4} {
		t.Run(fmt.Sprintf("kind %d", kind), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, setup{})
			old := r.site.manifest
			two := release1.with(release{"guess.py": secret})
			m := r.site.publish(200, two)
			index := slices.IndexFunc(m.Files, func(f manifest.File) bool { return f.Path == "guess.py" }) + 1
			size := len(r.site.manifest)
			whole := []any{1, 1, size, size << 2, string(r.site.manifest)}
			file := func(base string) []any {
				return []any{kind, index, len(base), base, len(secret), 0, len(secret)}
			}
			name := pack.Name(old, r.site.manifest)
			r.write("secrets.py", secret)
			r.site.files[name] = handMade(t, index, whole, file("secrets.py"))
			r.updates(two)
			if got, want := r.site.asked(), []string{"versions.json", name, "guess.py"}; !slices.Equal(got, want) {
				t.Errorf("the board asked for %q, want %q", got, want)
			}
		})
	}
}
