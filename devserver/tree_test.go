package devserver

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cactuscon/saguarota/manifest"
)

// An edit shows at once, also one that keeps size and modification time.
func TestEditsBetweenRequests(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "main.py", "a = 1\n")
	s := start(t, Config{Dir: dir})
	info, err := os.Stat(filepath.Join(dir, "main.py"))
	if err != nil {
		t.Fatal(err)
	}
	_, before := s.do(t, "GET", "/ota/versions.json")
	for i, content := range []string{"a = 2\n", "a = 3\n", "longer = 4\n", ""} {
		write(t, dir, "main.py", content)
		if err := os.Chtimes(filepath.Join(dir, "main.py"), info.ModTime(), info.ModTime()); err != nil {
			t.Fatal(err)
		}
		_, after := s.do(t, "GET", "/ota/versions.json")
		sum := sha256.Sum256([]byte(content))
		if after == before || !strings.Contains(after, hex.EncodeToString(sum[:])) {
			t.Errorf("edit %d: the manifest is still\n%s", i, after)
		}
		if resp, body := s.do(t, "GET", "/ota/main.py"); body != content || resp.Header.Get("ETag") != etagOf(content) {
			t.Errorf("edit %d: %q, %v", i, body, resp.Header)
		}
		before = after
	}
	write(t, dir, "new.py", "n")
	if _, after := s.do(t, "GET", "/ota/versions.json"); !strings.Contains(after, "new.py") {
		t.Errorf("a new file is not in\n%s", after)
	}
	if err := os.Remove(filepath.Join(dir, "main.py")); err != nil {
		t.Fatal(err)
	}
	// The board holds a manifest that lists the file.
	if resp, _ := s.do(t, "GET", "/ota/main.py"); resp.StatusCode != 404 {
		t.Errorf("a deleted file: %s", resp.Status)
	}
	if _, after := s.do(t, "GET", "/ota/versions.json"); strings.Contains(after, "main.py") {
		t.Errorf("a deleted file is in\n%s", after)
	}
}

// A manifest that cannot be built is an error for the board and a line on the
// terminal, and over once the tree is mended.
func TestBrokenTree(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "lib/Main.py", "a", "lib/main.py", "b")
	s := start(t, Config{Dir: dir})
	resp, body := s.do(t, "GET", "/ota/versions.json")
	wantCommon(t, resp.Header)
	if resp.StatusCode != 500 || !strings.Contains(body, "the manifest could not be built") || !strings.Contains(body, "lib/main.py") {
		t.Errorf("%s: %s", resp.Status, body)
	}
	if strings.Contains(body, dir) {
		t.Errorf("the client is told where the tree is: %s", body)
	}
	if resp.Header.Get("Content-Type") != "text/plain; charset=utf-8" || resp.Header.Get("ETag") != "" {
		t.Errorf("%v", resp.Header)
	}
	if e := s.event(t); e.Status != 500 || !strings.Contains(e.Note, "lib/main.py") {
		t.Errorf("logged %v", e)
	}
	if err := os.Remove(filepath.Join(dir, "lib/Main.py")); err != nil {
		t.Fatal(err)
	}
	if resp, body := s.do(t, "GET", "/ota/versions.json"); resp.StatusCode != 200 {
		t.Errorf("mended: %s, %s", resp.Status, body)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if resp, body := s.do(t, "GET", "/ota/versions.json"); resp.StatusCode != 500 || strings.Contains(body, dir) {
		t.Errorf("the tree is gone: %s, %s", resp.Status, body)
	}
	if resp, _ := s.do(t, "GET", "/ota/lib/main.py"); resp.StatusCode != 404 {
		t.Errorf("the tree is gone: %s", resp.Status)
	}
}

func TestEmptyTreeIsAnEmptyRelease(t *testing.T) {
	s := start(t, Config{Dir: t.TempDir()})
	resp, body := s.do(t, "GET", "/ota/versions.json")
	m, err := manifest.Read(strings.NewReader(body))
	if resp.StatusCode != 200 || err != nil || m.Version != 0 || len(m.Files) != 0 {
		t.Errorf("%s, %s, %v", resp.Status, body, err)
	}
	if _, page := s.do(t, "GET", "/ota/"); len(hrefs(page)) != 1 {
		t.Errorf("listing: %s", page)
	}
}

func TestLinks(t *testing.T) {
	dir := tree(t)
	outside := filepath.Dir(dir)
	write(t, outside, "beside/x.py", secret)
	for name, target := range map[string]string{
		"in.py":       "main.py",
		"abs.py":      filepath.Join(dir, "main.py"),
		"inlib":       "lib",
		"out.py":      "../secret.py",
		"absout.py":   filepath.Join(outside, "secret.py"),
		"outdir":      "../beside",
		"twice.py":    "out.py",
		"excluded.py": "tests/helper.py",
		"txt.py":      "notes.txt",
		"nowhere.txt": "nothing",
		"loop":        ".",
		"lib/up":      "../lib",
		"self.txt":    "self.txt",
		"nottext.txt": "main.py",
	} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	get := func(s *running, path string) int {
		resp, body := s.do(t, "GET", "/ota/"+path)
		if path != "excluded.py" && path != "txt.py" && strings.Contains(body, secret) {
			t.Errorf("%s gives the secret away", path)
		}
		return resp.StatusCode
	}
	s := start(t, Config{Dir: dir})
	for path, want := range map[string]int{
		"in.py": 200, "abs.py": 200, "inlib/badge.mpy": 200, "inlib/": 200,
		// The link's own name decides, as in the original: the tree's owner made it.
		"excluded.py": 200, "txt.py": 200, "nottext.txt": 404,
		"out.py": 404, "absout.py": 404, "twice.py": 404, "outdir/": 404, "outdir": 404, "outdir/x.py": 404,
		"nowhere.txt": 404, "self.txt": 404,
		"loop/": 404, "loop/main.py": 404, "loop/loop/main.py": 404, "lib/up/": 404, "lib/up/badge.mpy": 404,
	} {
		if got := get(s, path); got != want {
			t.Errorf("%s: %d, want %d", path, got, want)
		}
	}
	_, page := s.do(t, "GET", "/ota/")
	for _, name := range []string{"out.py", "absout.py", "twice.py", "outdir/", "loop/", "nowhere.txt", "self.txt"} {
		if strings.Contains(page, `"`+name+`"`) {
			t.Errorf("%s is listed", name)
		}
	}

	// Nothing that cannot be fetched is offered.
	_, body := s.do(t, "GET", "/ota/versions.json")
	m, err := manifest.Read(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range m.Files {
		if got := get(s, strings.NewReplacer("%", "%25", " ", "%20").Replace(f.Path)); got != 200 {
			t.Errorf("%s is offered and then %d", f.Path, got)
		}
	}

	options := manifest.DefaultOptions()
	options.NoFollowLinks = true
	s = start(t, Config{Dir: dir, Options: options})
	for path, want := range map[string]int{"in.py": 200, "inlib/": 404, "inlib/badge.mpy": 404, "out.py": 404} {
		if got := get(s, path); got != want {
			t.Errorf("links to folders are not followed, %s: %d, want %d", path, got, want)
		}
	}
}

// Warnings about the tree come with every build and are logged once.
func TestWarningsComeOnce(t *testing.T) {
	dir := tree(t)
	if err := os.Symlink("../secret.py", filepath.Join(dir, "out.py")); err != nil {
		t.Fatal(err)
	}
	s := start(t, Config{Dir: dir})
	for range 3 {
		s.do(t, "GET", "/ota/versions.json")
	}
	if e := s.anyEvent(t); !strings.HasPrefix(e.Note, "warning: out.py is left out") {
		t.Errorf("logged %v", e)
	}
	for range 3 {
		if e := s.anyEvent(t); e.Path != "/ota/versions.json" {
			t.Errorf("logged %v", e)
		}
	}
}

func TestFiltersDecide(t *testing.T) {
	dir := tree(t)
	s := start(t, Config{Dir: dir, Options: manifest.Options{Extensions: []string{".txt", ".JSON"}, ExcludePrefixes: []string{"x"}}})
	write(t, dir, "A.TXT", "upper", "conf.json", "{}", "x.txt", secret, "tests/t.txt", "fine", "deep/versions.json", "[]")
	for path, want := range map[string]int{
		"A.TXT": 200, "conf.json": 200, "tests/t.txt": 200, "deep/versions.json": 200, "notes.txt": 200,
		"x.txt": 404, "main.py": 404, "tests/helper.py": 404, ".env": 404,
	} {
		resp, _ := s.do(t, "GET", "/ota/"+path)
		if resp.StatusCode != want {
			t.Errorf("%s: %s, want %d", path, resp.Status, want)
		}
		if path == "conf.json" && resp.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %v", path, resp.Header)
		}
	}
	// The tree's own versions.json never hides the manifest, nor is it offered.
	_, body := s.do(t, "GET", "/ota/versions.json")
	m, err := manifest.Read(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := m.Lookup("versions.json"); ok {
		t.Error("the manifest offers itself")
	}
}
