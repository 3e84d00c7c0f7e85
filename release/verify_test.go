package release

import (
	"bytes"
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/cactuscon/saguarota/manifest"
)

// VerifySite walks from the keyset that boards have to the one that signed.
func TestVerifyFollowsTheChain(t *testing.T) {
	b := newBench(t)
	signers, keys := testKeys(t, "a", "b", "c")
	if _, err := NewChain(t.Context(), b.site, Keyset{App: "badge", Threshold: 1, Keys: keys[:1]}, signers[0]); err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		if _, err := ExtendChain(t.Context(), b.site, 1, keys[i+1:i+2], signers[i:i+2]...); err != nil {
			t.Fatal(err)
		}
	}
	b.o.Signers = signers[2:]
	b.build(map[string]string{"main.py": "1"})
	if r := b.mustVerify(); r.Keyset.Version != 3 {
		t.Errorf("signed with keyset %d", r.Keyset.Version)
	}
	first := *b.root
	for n, want := range map[int64]error{2: nil, 3: nil, 4: ErrRollback} {
		b.root = &Keyset{App: "badge", Version: n, Threshold: 1, Keys: keys[min(n-1, 2) : min(n-1, 2)+1]}
		if _, err := b.verify(); !errors.Is(err, want) {
			t.Errorf("born with keyset %d: %v", n, err)
		}
	}
	b.root = &Keyset{App: "badge", Version: 1, Threshold: 1, Keys: keys[1:2]}
	if _, err := b.verify(); !errors.Is(err, ErrRoot) {
		t.Errorf("other keys than in the site: %v", err)
	}
	b.root = &Keyset{App: "badge", Version: 1, Threshold: 2, Keys: keys[:2]}
	if _, err := b.verify(); !errors.Is(err, ErrRoot) {
		t.Errorf("another threshold than in the site: %v", err)
	}
	// Boards need no first keyset in the site, but each of the others.
	b.root = &first
	for i, want := range []error{nil, fs.ErrNotExist} {
		if err := os.Remove(filepath.Join(b.site, filepath.FromSlash(KeysetName(int64(i+1))))); err != nil {
			t.Fatal(err)
		}
		if _, err := b.verify(); !errors.Is(err, want) {
			t.Errorf("without keyset %d: %v", i+1, err)
		}
	}
}

func TestVerifyFindsContradictions(t *testing.T) {
	sum := strings.Repeat("0", 64)
	file := func(more string) string {
		return `{"app":"badge","version":7,"files":[{"path":"a.py","version":7` + more + `}]}`
	}
	for _, test := range []struct {
		name, manifest string
		want           error
	}{
		{"another version", `{"version":8,"files":[]}`, ErrContent},
		{"another application", `{"app":"lamp","version":7,"files":[]}`, ErrContent},
		{"a file without SHA-256", file(`,"md5":"` + sum[:32] + `"`), ErrContent},
		{"a reserved path", `{"version":7,"files":[{"path":"keys/1.json","version":7,"sha256":"` + sum + `"}]}`, ErrReserved},
		{"a board's state", `{"version":7,"files":[{"path":"ota_state.txt","version":7,"sha256":"` + sum + `"}]}`, ErrReserved},
		{"no files", `{"version":7,"files":[]}`, ErrNoFiles},
		{"a path that leads out", `{"version":7,"files":[{"path":"../a.py","version":7,"sha256":"` + sum + `"}]}`, manifest.ErrPath},
		{"paths in two cases", `{"version":7,"files":[{"path":"A.py","version":7,"sha256":"` + sum + `"},{"path":"a.py","version":7,"sha256":"` + sum + `"}]}`, manifest.ErrCollision},
		{"no manifest", `{}`, manifest.ErrFormat},
		{"another content", file(`,"sha256":"` + sum + `"`), ErrContent},
		{"a smaller size", file(`,"size":1,"sha256":"` + sum + `"`), ErrContent},
		{"a larger size", file(`,"size":100,"sha256":"` + sum + `"`), ErrContent},
		{"a file that is not there", strings.Replace(file(`,"sha256":"`+sum+`"`), "a.py", "b.py", 1), fs.ErrNotExist},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newBench(t)
			s := Statement{App: "badge", Version: 7, Manifest: PinOf([]byte(test.manifest)), Keyset: 1}
			doc, err := s.Document()
			if err != nil {
				t.Fatal(err)
			}
			if err := doc.Sign(t.Context(), b.o.Signers[0]); err != nil {
				t.Fatal(err)
			}
			writeTree(t, b.site, map[string]string{ManifestName: test.manifest, StatementName: string(doc.Bytes()), "a.py": "x = 1\n"})
			if _, err := b.verify(); !errors.Is(err, test.want) {
				t.Errorf("error %v, want %v", err, test.want)
			}
		})
	}
}

// Over HTTP as in a folder; names are escaped, and redirects bounded.
func TestVerifyOverHTTP(t *testing.T) {
	b := newBench(t)
	b.build(map[string]string{"main.py": "1", "100% a&b?#.py": "odd", "lib/säule/🌵.py": "é", "a+b;c.py": "", "..a/b..py": ""})
	files := http.FileServer(http.Dir(b.site))
	server := httptest.NewServer(http.StripPrefix("/x/badge", files))
	defer server.Close()
	for _, base := range []string{"/x/badge", "/x/badge/", "/x/badge/?query#fragment"} {
		src, err := OpenSource(server.URL + base)
		if err != nil {
			t.Fatal(err)
		}
		r, err := VerifySite(t.Context(), src, b.root, Board{App: "badge"})
		if err != nil || r.Files != 5 {
			t.Errorf("%s: %+v, %v", base, r, err)
		}
	}
	src, err := NewURLSource(server.URL + "/nowhere")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := VerifySite(t.Context(), src, b.root, Board{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no site there: %v", err)
	}

	// A hostile server.
	var hostile http.HandlerFunc
	server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { hostile(w, r) })
	src, err = NewURLSource(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	for name, handler := range map[string]http.HandlerFunc{
		"redirects without end": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) },
		"a statement without end": func(w http.ResponseWriter, _ *http.Request) {
			for {
				if _, err := w.Write(bytes.Repeat([]byte("x"), 1<<16)); err != nil {
					return
				}
			}
		},
		"an error": func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusInternalServerError) },
		"a manifest without end": func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/"+ManifestName {
				for {
					if _, err := w.Write(bytes.Repeat([]byte(" "), 1<<16)); err != nil {
						return
					}
				}
			}
			files.ServeHTTP(w, r)
		},
		"a file without end": func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/main.py" {
				for {
					if _, err := w.Write(bytes.Repeat([]byte("1"), 1<<16)); err != nil {
						return
					}
				}
			}
			files.ServeHTTP(w, r)
		},
	} {
		hostile = handler
		if _, err := VerifySite(t.Context(), src, b.root, Board{}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	for _, bad := range []string{"http://", "https:///x", "http://%zz/"} {
		if _, err := OpenSource(bad); err == nil {
			t.Errorf("%q is no URL of a site", bad)
		}
	}
}

func TestNoRedirectFromHTTPS(t *testing.T) {
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	secure := httptest.NewTLSServer(http.RedirectHandler(plain.URL, http.StatusFound))
	defer secure.Close()
	src, err := NewURLSource(secure.URL)
	if err != nil {
		t.Fatal(err)
	}
	src.client.Transport = secure.Client().Transport
	if _, err := src.Open(t.Context(), ManifestName); err == nil || !strings.Contains(err.Error(), "redirected from https to http") {
		t.Errorf("error %v", err)
	}
}

// Random releases verify, and with any bit of any file flipped they do not.
func TestAnyFlippedBitIsFound(t *testing.T) {
	signers, keys := testKeys(t, "a", "b", "c")
	name := rapid.StringMatching(`[a-z]{1,3}(/[a-zé0-9 ]{1,4}){0,2}\.py`)
	dir := t.TempDir()
	rapid.Check(t, func(rt *rapid.T) {
		b := newBench(t)
		b.src, b.site = filepath.Join(dir, "src"), filepath.Join(dir, "site")
		if err := os.RemoveAll(b.site); err != nil {
			rt.Fatal(err)
		}
		b.o.Source = b.src
		b.o.Files.ExcludeFolders, b.o.Files.ExcludePrefixes = nil, nil
		files := rapid.MapOfN(name, rapid.StringN(0, 30, 100), 1, 6).Draw(rt, "files")
		threshold := rapid.IntRange(1, 2).Draw(rt, "threshold")
		rotated := rapid.Bool().Draw(rt, "rotated")
		b.root.Threshold, b.root.Keys = threshold, keys[:threshold]
		b.o.Signers = signers[:threshold]
		if rotated {
			if _, err := NewChain(t.Context(), b.site, Keyset{App: "badge", Threshold: threshold, Keys: keys[:threshold]}, signers[:threshold]...); err != nil {
				rt.Fatal(err)
			}
			if _, err := ExtendChain(t.Context(), b.site, 1, keys[2:], append([]Signer{signers[2]}, signers[:threshold]...)...); err != nil {
				rt.Fatal(err)
			}
			b.o.Signers = signers[2:]
		}
		writeTree(t, b.src, files)
		if _, err := BuildSite(t.Context(), b.site, b.o); err != nil {
			if errors.Is(err, manifest.ErrDuplicate) || errors.Is(err, manifest.ErrCollision) {
				return
			}
			rt.Fatal(err)
		}
		if r, err := b.verify(); err != nil || r.Files != len(files) {
			rt.Fatalf("%+v, %v", r, err)
		}

		site := readTree(t, b.site)
		var names []string
		for name, content := range site {
			if content != "" {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		for range 8 {
			victim := rapid.SampledFrom(names).Draw(rt, "victim")
			data := []byte(site[victim])
			bit := rapid.IntRange(0, len(data)*8-1).Draw(rt, "bit")
			data[bit/8] ^= 1 << (bit % 8)
			path := filepath.Join(b.site, filepath.FromSlash(victim))
			if err := os.WriteFile(path, data, 0o666); err != nil {
				rt.Fatal(err)
			}
			if _, err := b.verify(); err == nil {
				rt.Fatalf("bit %d of %s flipped, and it verifies", bit, victim)
			}
			if err := os.WriteFile(path, []byte(site[victim]), 0o666); err != nil {
				rt.Fatal(err)
			}
		}
	})
}
