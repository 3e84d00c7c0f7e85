package boardtest

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cactuscon/saguarota/internal/micropython"
)

// A mipPackage is what package.json holds.
type mipPackage struct {
	Name    string      `json:"name"`
	Version string      `json:"version"`
	URLs    [][2]string `json:"urls"` // path on the board, URL
	Deps    [][2]string `json:"deps"`
}

func readMipPackage(t *testing.T) mipPackage {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "package.json"))
	if err != nil {
		t.Fatal(err)
	}
	var p mipPackage
	decoder := json.NewDecoder(bytes.NewReader(data))
	if err := decoder.Decode(&p); err != nil {
		t.Fatalf("package.json: %v", err)
	}
	return p
}

// boardFiles returns the library's files that belong on a board.
func boardFiles(t *testing.T) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("..", "saguarota", "*.py"))
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, path := range paths {
		// The computer's half is of no use to a board, and takes 20 kB of its flash.
		if name := filepath.Base(path); name != "py3utils.py" {
			files = append(files, "saguarota/"+name)
		}
	}
	return files
}

func TestMipPackageListsTheBoardsFiles(t *testing.T) {
	p := readMipPackage(t)
	var listed []string
	for _, u := range p.URLs {
		// Relative, so that forks, tags and checkouts install their own files.
		if u[0] != u[1] {
			t.Errorf("%s comes from %s, want the same path relative to package.json", u[0], u[1])
		}
		listed = append(listed, u[0])
	}
	if want := boardFiles(t); !slices.Equal(listed, want) {
		t.Errorf("package.json lists\n%q\nwant\n%q", listed, want)
	}
	if len(p.Deps) != 0 {
		t.Errorf("deps %v, want none: the library runs on what firmware brings", p.Deps)
	}
}

// TestMipInstall installs the library as a user does at a board's REPL, and loads all of it from
// where it was put.
func TestMipInstall(t *testing.T) {
	interpreter, err := micropython.Find(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	run := func(script string, args ...string) string {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		cmd := interpreter.Command(ctx, "", append([]string{"-c", script}, args...)...)
		cmd.Dir = t.TempDir() // whatever a module writes when it is loaded
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return strings.TrimSpace(string(out))
	}

	var mu sync.Mutex
	var requests []string
	files := http.FileServer(http.Dir(".."))
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	defer server.Close()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		requests = append(requests, strings.TrimPrefix(r.URL.Path, "/"))
		mu.Unlock()
		files.ServeHTTP(w, r)
	})
	// Older releases of mip (0.3 is in MicroPython 1.24, and in Debian's 1.25) take full URLs only;
	// mpremote and newer ones make them of relative ones themselves. The older get them made.
	version, err := micropython.ParseVersion(run("import mip; print(mip.__version__)"))
	if err != nil {
		t.Fatal(err)
	}
	if version.Less(micropython.Version{0, 4, 0}) {
		mux.HandleFunc("/package.json", func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			requests = append(requests, "package.json")
			mu.Unlock()
			p := readMipPackage(t)
			for i := range p.URLs {
				p.URLs[i][1] = server.URL + "/" + p.URLs[i][1]
			}
			data, err := json.Marshal(p)
			if err != nil {
				t.Error(err)
			}
			_, _ = io.Copy(w, bytes.NewReader(data))
		})
	}
	target := t.TempDir()
	said := run(`
import mip, sys
mip.install(sys.argv[1], target=sys.argv[2])
`, server.URL+"/package.json", target)
	if !strings.HasSuffix(said, "Done") {
		t.Fatalf("mip said:\n%s", said)
	}
	want := boardFiles(t)
	mu.Lock()
	got := slices.Clone(requests)
	mu.Unlock()
	if !slices.Equal(got, append([]string{"package.json"}, want...)) {
		t.Errorf("mip asked for %q", got)
	}
	for _, name := range want {
		source, err := os.ReadFile(filepath.Join("..", name))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(filepath.Join(target, name)); err != nil || !bytes.Equal(got, source) {
			t.Errorf("%s is not what was installed: %v", name, err)
		}
	}

	// A module that is not in the list, but that one in it needs, fails here.
	modules := make([]string, len(want))
	for i, name := range want {
		modules[i] = strings.ReplaceAll(strings.TrimSuffix(name, ".py"), "/", ".")
	}
	loaded := run(`
import sys
sys.path[:] = [sys.argv[1], ".frozen"]
from saguarota import OTAUpdater, OTAState, OTAErrorCode, OTADeletePolicy
OTAUpdater("http://localhost/ota/versions.json", "http://localhost/ota/")
for name in sys.argv[2:]:
    if not name.endswith("__init__"):
        __import__(name)
print(OTAState.IDLE, sys.modules["saguarota"].__file__)
`, append([]string{target}, modules...)...)
	if want := "idle " + filepath.Join(target, "saguarota", "__init__.py"); loaded != want {
		t.Errorf("the library said %q, want %q", loaded, want)
	}
}
