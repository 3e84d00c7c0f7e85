package release

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cactuscon/saguarota/manifest"
)

// Where one step of publishing fails, the later ones are not done.
func TestPublishStopsWhereItFails(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "site")
	writeTree(t, dir, map[string]string{"a": "old", "folder/in the way": "x", "c": "old", "gone": "old"})
	items := []item{dataItem("a", []byte("new")), dataItem("folder", []byte("new")), dataItem("c", []byte("new"))}
	if err := publish(dir, items, []string{"gone"}); err == nil {
		t.Error("a folder was replaced by a file")
	}
	want := map[string]string{"a": "new", "folder/in the way": "x", "c": "old", "gone": "old"}
	if diff := cmp.Diff(want, readTree(t, dir)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}

	// Nothing at all is done where a file cannot be read, or is not what it was.
	for _, bad := range []item{
		{path: "b", open: func() (io.ReadCloser, error) { return nil, fs.ErrPermission }},
		{path: "b", sum: sha256.Sum256([]byte("as it was")), open: func() (io.ReadCloser, error) {
			return io.NopCloser(strings.NewReader("as it is")), nil
		}},
	} {
		for _, place := range []string{dir, dir + "2"} {
			err := publish(place, []item{dataItem("a", []byte("newer")), bad}, []string{"gone"})
			if !errors.Is(err, fs.ErrPermission) && !errors.Is(err, ErrChanged) {
				t.Errorf("error %v", err)
			}
		}
		if diff := cmp.Diff(map[string]string{"site": ""}, names(t, filepath.Dir(dir))); diff != "" {
			t.Errorf("beside the site (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(want, readTree(t, dir)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

// What a publisher that was killed left is removed by the next one.
func TestBuildAfterACrash(t *testing.T) {
	b := newBench(t)
	files := map[string]string{"main.py": "1", "a.py": "a"}
	b.build(files)
	want := readTree(t, b.site)
	for name, content := range map[string]string{stagingPrefix + "XYZ/0": "half", "main.py": "of the next release", ManifestName: want[ManifestName]} {
		path := filepath.Join(b.site, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.verify(); !errors.Is(err, ErrContent) {
		t.Errorf("error %v, want %v", err, ErrContent)
	}
	b.build(files)
	if diff := cmp.Diff(want, readTree(t, b.site)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	b.mustVerify()
}

// A reader that believes only what it has verified sees, at any time, the old
// release, the new one, or an error.
func TestReadersNeverSeeAMix(t *testing.T) {
	b := newBench(t)
	release := func(i int) map[string]string {
		files := map[string]string{"main.py": fmt.Sprint("main ", i)}
		for j := range 20 {
			files[fmt.Sprintf("lib/%d.py", j)] = fmt.Sprint("file ", i, j)
		}
		if i%2 == 1 {
			files["odd.py"] = "only in every second one"
		}
		return files
	}
	built := b.build(release(0))
	good := map[Pin]bool{built.Statement.Manifest: true}

	stop := make(chan struct{})
	seen := make(chan map[Pin]int, 1)
	go func() {
		counts := map[Pin]int{}
		defer func() { seen <- counts }()
		for {
			if r, err := b.verify(); err == nil {
				counts[r.Statement.Manifest]++
			} else if errors.Is(err, ErrFormat) || errors.Is(err, ErrSignature) || errors.Is(err, manifest.ErrFormat) {
				t.Errorf("half a file was seen: %v", err)
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	}()
	for i := 1; i <= 10; i++ {
		good[b.build(release(i)).Statement.Manifest] = true
	}
	close(stop)
	counts := <-seen
	if len(counts) == 0 {
		t.Error("nothing was read")
	}
	for pin := range counts {
		if !good[pin] {
			t.Error("a release that was never built")
		}
	}
}
