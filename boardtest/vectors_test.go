package boardtest

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cactuscon/saguarota/internal/micropython"
	"github.com/cactuscon/saguarota/manifest"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// runWithLibrary runs one of this folder's scripts on MicroPython, with the board's library to
// import, and returns what it printed, line by line.
func runWithLibrary(t *testing.T, heap, stdin, script string, args ...string) []string {
	t.Helper()
	return run(t, libraryFolder(t), heap, stdin, script, args...)
}

// libraryFolder returns a folder with the compiled library, as the package saguarota.
func libraryFolder(t *testing.T) string {
	t.Helper()
	l, err := readLibrary()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "saguarota"), l.mpy); err != nil {
		t.Fatal(err)
	}
	return dir
}

// run runs a script that imports from a folder, and returns the lines of what it prints.
func run(t *testing.T, folder, heap, stdin, script string, args ...string) []string {
	t.Helper()
	in, err := micropython.Find(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	cmd := in.Command(t.Context(), heap, append([]string{filepath.Join("scripts", script)}, args...)...)
	cmd.Env = append(cmd.Env, "MICROPYPATH="+folder+":.frozen")
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

// A manifestJob is what scripts/manifest_read.py is to do, and what it says.
type manifestJob struct {
	File  string  `json:"file"`
	Field *string `json:"field"`
	Key   *string `json:"key"`
	Step  int     `json:"step"`
}

// A manifestAnswer is what it says: an error, or the rest.
type manifestAnswer struct {
	err       string
	version   int64
	signature *string
	authentic bool
	files     []manifest.File
}

func (a *manifestAnswer) UnmarshalJSON(data []byte) error {
	if data[0] == '"' {
		return json.Unmarshal(data, &a.err)
	}
	var files [][5]json.RawMessage
	// A signature of another type is as good as none.
	var signature any
	if err := json.Unmarshal(data, &[]any{&a.version, &signature, &a.authentic, &files}); err != nil {
		return err
	}
	if s, ok := signature.(string); ok {
		a.signature = &s
	}
	for _, e := range files {
		var f manifest.File
		for i, to := range []any{&f.Path, &f.Version, &f.MD5, &f.Size, &f.SHA256} {
			if err := json.Unmarshal(e[i], to); err != nil {
				return err
			}
		}
		a.files = append(a.files, f)
	}
	return nil
}

// readManifests has MicroPython read manifests.
func readManifests(t *testing.T, heap string, jobs []manifestJob) []manifestAnswer {
	t.Helper()
	var stdin bytes.Buffer
	for _, job := range jobs {
		data, err := json.Marshal(job)
		if err != nil {
			t.Fatal(err)
		}
		stdin.Write(append(data, '\n'))
	}
	lines := runWithLibrary(t, heap, stdin.String(), "manifest_read.py")
	if len(lines) != len(jobs) {
		t.Fatalf("%d answers for %d manifests:\n%s", len(lines), len(jobs), strings.Join(lines, "\n"))
	}
	answers := make([]manifestAnswer, len(jobs))
	for i, line := range lines {
		if err := json.Unmarshal([]byte(line), &answers[i]); err != nil {
			t.Fatalf("%s: %q: %v", jobs[i].File, line, err)
		}
	}
	return answers
}

// TestManifestVectors: the board says of every manifest of testdata/vectors what the index says,
// and reads the same files in it as the host.
func TestManifestVectors(t *testing.T) {
	folder := filepath.Join("..", "testdata", "vectors", "manifests")
	var vectors []struct {
		File, About      string
		Version          int64
		Files            int
		Key              *string
		SignatureField   *string `json:"signature_field"`
		Error            string
		Optional, Strict bool
	}
	data, err := os.ReadFile(filepath.Join(folder, "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &vectors); err != nil {
		t.Fatal(err)
	}
	for _, step := range []int{1, 7, 4096} {
		var jobs []manifestJob
		for _, v := range vectors {
			jobs = append(jobs, manifestJob{filepath.Join(folder, v.File), v.SignatureField, v.Key, step})
		}
		for i, a := range readManifests(t, "256K", jobs) {
			v := vectors[i]
			refused := a.err != "" || !a.authentic
			switch {
			case a.err == "read differently in small steps" || a.err == "counted wrongly":
				t.Errorf("%s (%s): %s (%d bytes)", v.File, v.About, a.err, step)
			case v.Error == "signature" && a.err != "":
				t.Errorf("%s (%s): %s; want it valid, with a wrong signature", v.File, v.About, a.err)
			case v.Error != "" && !refused && !v.Strict:
				t.Errorf("%s (%s): accepted, want it refused: %s", v.File, v.About, v.Error)
			case v.Error == "" && refused && !v.Optional:
				t.Errorf("%s (%s): refused: %q, authentic: %v", v.File, v.About, a.err, a.authentic)
			case v.Error == "" && !refused:
				if a.version != v.Version || len(a.files) != v.Files {
					t.Errorf("%s (%s): version %d, %d files; want version %d, %d files", v.File, v.About, a.version, len(a.files), v.Version, v.Files)
				}
				if got, want := a.files, hostReads(t, jobs[i]); !cmp.Equal(got, want, cmpopts.EquateEmpty()) {
					t.Errorf("%s (%s): the board reads (+), the host (-):\n%s", v.File, v.About, cmp.Diff(want, got))
				}
			}
		}
	}
}

// hostReads returns the files of a manifest as package manifest reads them, sorted by path.
func hostReads(t *testing.T, job manifestJob) []manifest.File {
	t.Helper()
	f, err := os.Open(job.File)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	field := manifest.DefaultSignatureField
	if job.Field != nil {
		field = *job.Field
	}
	m, err := manifest.ReadField(f, field)
	if err != nil {
		t.Fatalf("%s: %v", job.File, err)
	}
	slices.SortFunc(m.Files, func(a, b manifest.File) int { return strings.Compare(a.Path, b.Path) })
	return m.Files
}

// TestHMACVectors: HMAC-SHA256 by itself.
func TestHMACVectors(t *testing.T) {
	var vectors []struct{ About, Key, Data, HMAC string }
	data, err := os.ReadFile(filepath.Join("..", "testdata", "vectors", "hmac.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &vectors); err != nil {
		t.Fatal(err)
	}
	var stdin bytes.Buffer
	for _, v := range vectors {
		line, err := json.Marshal([]string{v.Key, v.Data})
		if err != nil {
			t.Fatal(err)
		}
		stdin.Write(append(line, '\n'))
	}
	lines := runWithLibrary(t, "128K", stdin.String(), "hmac.py")
	if len(lines) != len(vectors) {
		t.Fatalf("%d answers for %d vectors", len(lines), len(vectors))
	}
	for i, v := range vectors {
		if lines[i] != v.HMAC {
			t.Errorf("%s: %s, want %s", v.About, lines[i], v.HMAC)
		}
	}
}
