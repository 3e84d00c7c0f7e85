package boardtest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/cactuscon/saguarota/internal/micropython"
	"github.com/cactuscon/saguarota/manifest"
	"github.com/cactuscon/saguarota/pack"
)

// A packVector is an entry of testdata/vectors/packs/index.json.
type packVector struct {
	File, About, Old, New, Error string
	Strict                       bool
}

func readPackVectors(t *testing.T) (folder string, vectors []packVector) {
	t.Helper()
	folder, err := filepath.Abs(filepath.Join("..", "testdata", "vectors", "packs"))
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(folder, "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &vectors); err != nil {
		t.Fatal(err)
	}
	return folder, vectors
}

// An unpackJob is what scripts/unpack.py is to do.
type unpackJob struct {
	Dir     string `json:"dir"`
	Pack    string `json:"pack"`
	Size    int    `json:"size"`
	SHA256  string `json:"sha256"`
	Version int64  `json:"version"`
	Files   int    `json:"files"`
}

// unpackJob makes a board's file system for a vector.
func (v packVector) unpackJob(t *testing.T, folder string) unpackJob {
	t.Helper()
	job := unpackJob{Dir: t.TempDir(), Pack: filepath.Join(folder, v.File)}
	old := &manifest.Manifest{}
	if v.Old != "" {
		if err := os.CopyFS(job.Dir, os.DirFS(filepath.Join(folder, v.Old))); err != nil {
			t.Fatal(err)
		}
		old, _ = readManifest(t, filepath.Join(folder, v.Old))
	}
	m, data := readManifest(t, filepath.Join(folder, v.New))
	sum := sha256.Sum256(data)
	job.Size, job.SHA256, job.Version = len(data), hex.EncodeToString(sum[:]), m.Version
	for _, f := range m.Files {
		if before, ok := old.Lookup(f.Path); !ok || before.SHA256 != f.SHA256 {
			job.Files++
		}
	}
	return job
}

func readManifest(t *testing.T, site string) (*manifest.Manifest, []byte) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(site, "versions.json"))
	if err != nil {
		t.Fatal(err)
	}
	m, err := manifest.Read(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return m, data
}

// TestPackVectors: a board makes of every good pack of testdata/vectors what the index says, and
// refuses every bad one without writing outside its state folder.
func TestPackVectors(t *testing.T) {
	folder, vectors := readPackVectors(t)
	var stdin bytes.Buffer
	for _, v := range vectors {
		line, err := json.Marshal(v.unpackJob(t, folder))
		if err != nil {
			t.Fatal(err)
		}
		stdin.Write(append(line, '\n'))
	}
	lines := runWithLibrary(t, "256K", stdin.String(), "unpack.py")
	if len(lines) != len(vectors) {
		t.Fatalf("%d answers for %d packs:\n%s", len(lines), len(vectors), strings.Join(lines, "\n"))
	}
	for i, v := range vectors {
		switch {
		case v.Error == "" && lines[i] != "ok":
			t.Errorf("%s (%s): %s, want ok", v.File, v.About, lines[i])
		case v.Error != "" && !v.Strict && lines[i] == "ok":
			t.Errorf("%s (%s): accepted, want it refused: %s", v.File, v.About, v.Error)
		case v.Strict && strings.HasPrefix(lines[i], "ok,"):
			t.Errorf("%s (%s): %s", v.File, v.About, lines[i])
		}
	}
}

// TestPackGarbage: whatever is done to a pack, a board makes nothing of it but files that their hashes
// judge, in bounded memory and time.
func TestPackGarbage(t *testing.T) {
	const count = 6000
	folder, vectors := readPackVectors(t)
	var packs []string
	for _, v := range vectors {
		if v.Error == "" && v.New == "new" && v.Old == "old" {
			packs = append(packs, filepath.Join(folder, v.File))
		}
	}
	job := vectors[0].unpackJob(t, folder)
	state := filepath.Join(job.Dir, "saguarota_backup")
	if err := os.Mkdir(state, 0o777); err != nil {
		t.Fatal(err)
	}
	_, data := readManifest(t, filepath.Join(folder, "new"))
	if err := os.WriteFile(filepath.Join(state, "manifest.n"), data, 0o666); err != nil {
		t.Fatal(err)
	}
	args := append([]string{job.Dir, job.SHA256, strconv.FormatInt(job.Version, 10), strconv.Itoa(count)}, packs...)
	lines := runWithLibrary(t, "192K", "", "unpack_garbage.py", args...)
	source, err := os.ReadFile(filepath.Join(librarySource(), "pack.py"))
	if err != nil {
		t.Fatal(err)
	}
	// All that the decoder can say has been said, and every field of the format was one that was wrong.
	said := strings.Join(lines, "\n")
	for _, m := range regexp.MustCompile(`raise ValueError\("([^":]+)`).FindAllSubmatch(source, -1) {
		if text := string(m[1]); !strings.Contains(said, " "+text+"\n") {
			t.Errorf("no pack was refused as %q", text)
		}
	}
	for _, line := range lines {
		var hit, told int
		var field string
		if n, _ := fmt.Sscanf(line, "field %d %d %s", &hit, &told, &field); n == 3 && told == 0 {
			t.Errorf("%d packs were damaged in field %s, and all came out whole", hit, field)
		}
	}
	t.Log(said)
	var whole, refused, large, wrong, other int
	if _, err := fmt.Sscanf(lines[len(lines)-1], "whole %d refused %d too large %d wrong %d manifest %d", &whole, &refused, &large, &wrong, &other); err != nil {
		t.Fatal(err)
	}
	if whole+refused+large+wrong != count || refused == 0 || whole == 0 || wrong == 0 || other == 0 {
		t.Errorf("%d packs: %s; want some of each", count, lines[len(lines)-1])
	}
}

// TestPackStopped: whenever the making of files is stopped, the next run goes on from the last segment that was
// finished, and all files come out right; and a base that cannot be read is that file's loss only.
func TestPackStopped(t *testing.T) {
	old := release{"big.txt": incompressible(200_000)["big.txt"], "other.txt": "one\n"}
	now := []byte(old["big.txt"])
	for at := 0; at+3 < len(now); at += 1000 {
		copy(now[at:], "new")
	}
	two := release{"big.txt": string(now), "other.txt": "two\n"}
	s := newSite(t)
	s.publish(100, old)
	before := s.manifest
	s.publish(200, two)
	file := filepath.Join(t.TempDir(), "pack")
	if err := os.WriteFile(file, []byte(s.files[s.pack(before, old, two)]), 0o666); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(s.manifest)
	job := struct {
		unpackJob
		Every int `json:"every"`
	}{unpackJob{Dir: t.TempDir(), Pack: file, Size: len(s.manifest), SHA256: hex.EncodeToString(sum[:]), Version: 200}, 83}
	for name, text := range old {
		if err := os.WriteFile(filepath.Join(job.Dir, name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(job.Dir, "versions.json"), before, 0o666); err != nil {
		t.Fatal(err)
	}
	arg, err := json.Marshal(job)
	if err != nil {
		t.Fatal(err)
	}
	lines := runWithLibrary(t, "256K", "", "unpack_stop.py", string(arg))
	var total int
	for i, line := range lines {
		var steps, wrong int
		if _, err := fmt.Sscan(line, &steps, &wrong); err != nil {
			t.Fatal(lines)
		}
		stop := 1 + (i-1)*job.Every
		switch {
		case i == 0:
			total = steps
		case i == len(lines)-1:
			if wrong != 1 {
				t.Errorf("with a base that cannot be read %d files are wrong, want 1", wrong)
			}
			continue
		case steps > total-stop+total/2:
			// A quarter of the work is the longest segment.
			t.Errorf("stopped at step %d of %d, it took %d more", stop, total, steps)
		}
		if wrong > 0 {
			t.Errorf("stopped at step %d of %d: %d files are wrong", stop, total, wrong)
		}
	}
	t.Logf("%d stops in %d steps", len(lines)-2, total)
}

// TestPackHeap: the decoder works on 16 kB of heap, all told, in a port whose pointers are twice as long as a
// board's, and the heap that it uses depends on neither the number nor the size of the files.
func TestPackHeap(t *testing.T) {
	const heap, most = "16K", 9 << 10
	// The script is in that heap, too, so it comes compiled, like the library.
	cross, err := micropython.FindCross(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	compiled := t.TempDir()
	if err := cross.Compile(t.Context(), filepath.Join("scripts", "unpack_heap.py"), filepath.Join(compiled, "unpack_heap.mpy")); err != nil {
		t.Fatal(err)
	}
	// module returns the nth compiled module of that many functions, with other numbers for its names if it is moved.
	module := func(n, functions int, moved bool) string {
		var source strings.Builder
		if moved {
			source.WriteString("import machine\nmachine.freq(160000000)\n")
		}
		for i := range functions {
			fmt.Fprintf(&source, "def work_%[1]d_%[2]d(first, second):\n    return first.value_%[1]d_%[3]d(second) + work_%[1]d_%[4]d(second, first)\n", n, i, i%50, i/2)
		}
		name := filepath.Join(compiled, "module.py")
		if err := os.WriteFile(name, []byte(source.String()), 0o666); err != nil {
			t.Fatal(err)
		}
		if err := cross.Compile(t.Context(), name, name+".mpy"); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(name + ".mpy")
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	for _, tt := range []struct {
		files, size int
		compiled    bool
	}{{1, 1000, false}, {120, 3000, false}, {2, 300_000, false}, {30, 20, true}, {2, 1000, true}} {
		kind := "bytes"
		if tt.compiled {
			kind = "functions"
		}
		t.Run(fmt.Sprintf("%d files of %d %s", tt.files, tt.size, kind), func(t *testing.T) {
			old, two := release{}, release{}
			for i := range tt.files {
				if tt.compiled {
					name := fmt.Sprintf("f%04d.mpy", i)
					old[name], two[name] = module(i, tt.size, false), module(i, tt.size, true)
					continue
				}
				name := fmt.Sprintf("f%04d.txt", i)
				text := incompressible(tt.size)["big.txt"]
				old[name] = text
				// A word in each kilobyte is another.
				b := []byte(text)
				for at := i % 900; at+3 < len(b); at += 1000 {
					copy(b[at:], "new")
				}
				two[name] = string(b)
			}
			s := newSite(t)
			s.publish(100, old)
			before := s.manifest
			m := s.publish(200, two)
			name := s.pack(before, old, two)
			contents, err := pack.Read([]byte(s.files[name]))
			if err != nil {
				t.Fatal(err)
			}
			shifts := 0
			for _, segment := range contents.Segments {
				for _, r := range segment.Records {
					shifts += r.Shifts
				}
			}
			if tt.compiled != (shifts > 0) {
				t.Errorf("the numbers of names move %d times", shifts)
			}
			dir := t.TempDir()
			write := func(name string, data []byte) {
				t.Helper()
				if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o777); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(dir, name), data, 0o666); err != nil {
					t.Fatal(err)
				}
			}
			write("pack", []byte(s.files[name]))
			write("o0", before)
			for i, f := range m.Files {
				write(fmt.Sprintf("o%d", i+1), []byte(old[f.Path]))
			}
			lines := run(t, filepath.Join(libraryFolder(t), "saguarota"), heap, "", "compiled.py", compiled, "unpack_heap", filepath.Join(dir, "pack"), dir+"/")
			var made, live int
			if _, err := fmt.Sscan(lines[0], &made, &live); err != nil {
				t.Fatal(lines)
			}
			t.Logf("%d files or parts of some made; %d bytes of heap in use; the pack is %d bytes", made, live, len(s.files[name]))
			if live > most {
				t.Errorf("%d bytes of heap in use, want at most %d", live, most)
			}
			for i, f := range m.Files {
				got, err := os.ReadFile(filepath.Join(dir, strconv.Itoa(i+1)))
				if err != nil || string(got) != two[f.Path] {
					t.Fatalf("%s is not that of the release: %v", f.Path, err)
				}
			}
		})
	}
}
