package devserver

import (
	"context"
	"io"
	"io/fs"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/cactuscon/saguarota/manifest"
	"github.com/cactuscon/saguarota/pack"
)

// get returns the body of a file below /ota/, which must be there.
func (r *running) get(t *testing.T, path string) string {
	t.Helper()
	resp, body := r.do(t, "GET", "/ota/"+path)
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s: %s", path, resp.Status, body)
	}
	return body
}

// fetched is a release as a board has it that got it file by file.
func (r *running) fetched(t *testing.T) *pack.Release {
	t.Helper()
	encoded := r.get(t, "versions.json")
	m, err := manifest.Read(strings.NewReader(encoded))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, f := range m.Files {
		files[f.Path] = r.get(t, strings.NewReplacer("%", "%25", " ", "%20").Replace(f.Path))
	}
	return &pack.Release{Manifest: []byte(encoded), Open: func(_ context.Context, path string) (io.ReadCloser, error) {
		text, ok := files[path]
		if !ok {
			return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
		}
		return io.NopCloser(strings.NewReader(text)), nil
	}}
}

// A board that was offered the tree as it was, and polls again after a file was saved,
// gets a pack; so do all that ask at once, and who begins in the middle.
func TestPacks(t *testing.T) {
	for _, signed := range []bool{false, true} {
		config := Config{Dir: tree(t)}
		if signed {
			config, _ = signing(t, config.Dir)
		}
		r := start(t, config)
		old := r.fetched(t)
		write(t, config.Dir, "main.py", "print('hello, world')\n", "lib/deep/er.py", "x = 2\n")
		if signed {
			r.get(t, "versions.json.sig") // pins what is offered
		}
		new := r.get(t, "versions.json")
		name := pack.Name(old.Manifest, []byte(new))

		var wg sync.WaitGroup
		bodies := make([]string, 8)
		for i := range bodies {
			wg.Go(func() { _, bodies[i] = r.do(t, "GET", "/ota/"+name) })
		}
		wg.Wait()
		for _, body := range bodies {
			made, err := pack.Apply(t.Context(), []byte(body), old)
			if err != nil {
				t.Fatalf("signed %v: %v: %q", signed, err, body)
			}
			if string(made.Manifest) != new {
				t.Errorf("it makes the manifest %s, want %s", made.Manifest, new)
			}
		}
		resp, rest := r.do(t, "GET", "/ota/"+name, "Range: bytes=100-", "If-Range: "+etagOf(bodies[0]))
		if resp.StatusCode != http.StatusPartialContent || rest != bodies[0][100:] {
			t.Errorf("from byte 100: %s, %d bytes of %d", resp.Status, len(rest), len(bodies[0]))
		}
		resp, all := r.do(t, "GET", "/ota/"+name, "Range: bytes=100-", `If-Range: "another"`)
		if resp.StatusCode != http.StatusOK || all != bodies[0] {
			t.Errorf("from byte 100 of another: %s", resp.Status)
		}
		if made, err := pack.Apply(t.Context(), []byte(r.get(t, pack.Name(nil, []byte(new)))), nil); err != nil || string(made.Manifest) != new {
			t.Errorf("the pack of the whole: %v", err)
		}
	}
}

// Packs between states that nobody was offered do not exist.
func TestNoPacks(t *testing.T) {
	r := start(t, Config{Dir: tree(t)})
	unknown := []byte("another manifest")
	for _, name := range []string{pack.Name(nil, unknown), pack.Name(unknown, unknown)} {
		if resp, body := r.do(t, "GET", "/ota/"+name); resp.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %s, %q", name, resp.Status, body)
		}
	}
	manifest := []byte(r.get(t, "versions.json"))
	for _, name := range []string{pack.Name(unknown, manifest), pack.Name(manifest, unknown), pack.Name(manifest, manifest)} {
		if resp, body := r.do(t, "GET", "/ota/"+name); resp.StatusCode != http.StatusNotFound || !strings.Contains(body, "no pack") {
			t.Errorf("%s: %s, %q", name, resp.Status, body)
		}
	}
}

func TestPackIsLoggedAsABar(t *testing.T) {
	for _, test := range []struct {
		done, total int64
		want        string
	}{
		{0, 2000, "[....................] 0 B of 2.0 kB"},
		{1500, 2000, "[###############.....] 1.5 kB of 2.0 kB"},
		{2000, 2000, "[####################] 2.0 kB of 2.0 kB"},
		{0, 0, "[....................] 0 B of 0 B"},
	} {
		if got := bar(test.done, test.total); got != test.want {
			t.Errorf("bar(%d, %d) = %q, want %q", test.done, test.total, got, test.want)
		}
	}
	r := start(t, Config{Dir: tree(t)})
	name := pack.Name(nil, []byte(r.get(t, "versions.json")))
	r.event(t)
	data := r.get(t, name)
	if e := r.event(t); !strings.HasPrefix(e.Note, "pack [####################] ") {
		t.Errorf("note %q", e.Note)
	}
	if _, part := r.do(t, "GET", "/ota/"+name, "Range: bytes=0-9"); part != data[:10] {
		t.Errorf("the first bytes are %q", part)
	}
	if e := r.event(t); !strings.HasPrefix(e.Note, "pack [") || !strings.Contains(e.Note, " 10 B of ") {
		t.Errorf("note %q", e.Note)
	}
}

// While a pack is sent, every piece of it is told of.
func TestProgress(t *testing.T) {
	var mu sync.Mutex
	var told []Progress
	dir := tree(t)
	noise := make([]byte, 20_000)
	for i := range noise {
		noise[i] = byte(i * i * i >> 5)
	}
	write(t, dir, "noise.mpy", string(noise))
	r := start(t, Config{Dir: dir, Progress: func(p Progress) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, p)
	}})
	name := pack.Name(nil, []byte(r.get(t, "versions.json")))
	resp, data := r.do(t, "GET", "/ota/"+name, "Range: bytes=1000-")
	mu.Lock()
	defer mu.Unlock()
	total := int64(len(data) + 1000)
	if resp.StatusCode != http.StatusPartialContent || len(told) < 2 {
		t.Fatalf("%s, told of %+v", resp.Status, told)
	}
	before := int64(1000)
	for _, p := range told {
		if p.Done <= before || p.Total != total || p.Remote != "127.0.0.1" {
			t.Errorf("%+v after %d of %d", p, before, total)
		}
		before = p.Done
	}
	if before != total {
		t.Errorf("at the end %d of %d", before, total)
	}
}
