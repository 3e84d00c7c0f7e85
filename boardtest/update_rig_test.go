package boardtest

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/cactuscon/saguarota/internal/micropython"
	"github.com/cactuscon/saguarota/manifest"
	"github.com/cactuscon/saguarota/rehearse"
	"github.com/google/go-cmp/cmp"
)

// libraryEnv names a folder with another copy of the board's library to test, so that a test can be
// seen to fail: copy saguarota/, break the copy, run the tests on it.
const libraryEnv = "SAGUAROTA_TEST_LIBRARY"

func librarySource() string {
	if dir := os.Getenv(libraryEnv); dir != "" {
		return dir
	}
	return filepath.Join("..", "saguarota")
}

// A library is the board's half of SaguarOTA, as it is installed on a board.
type library struct {
	source, mpy fstest.MapFS // by base name
}

// readLibrary reads and compiles the library, once for all tests.
var readLibrary = sync.OnceValues(func() (*library, error) {
	ctx := context.Background()
	cross, err := micropython.FindCross(ctx)
	if err != nil {
		return nil, err
	}
	sources, err := filepath.Glob(filepath.Join(librarySource(), "*.py"))
	if err != nil {
		return nil, err
	}
	tmp, err := os.MkdirTemp("", "saguarota-library-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(tmp)
	l := &library{fstest.MapFS{}, fstest.MapFS{}}
	for _, source := range sources {
		name := strings.TrimSuffix(filepath.Base(source), ".py")
		if name == "py3utils" { // the computer's half
			continue
		}
		data, err := os.ReadFile(source)
		if err != nil {
			return nil, err
		}
		l.source[name+".py"] = &fstest.MapFile{Data: data}
		compiled := filepath.Join(tmp, name+".mpy")
		if err := cross.Compile(ctx, source, compiled); err != nil {
			return nil, err
		}
		if data, err = os.ReadFile(compiled); err != nil {
			return nil, err
		}
		l.mpy[name+".mpy"] = &fstest.MapFile{Data: data}
	}
	if len(l.mpy) == 0 {
		return nil, fmt.Errorf("no library in %s", librarySource())
	}
	return l, nil
})

// in returns the files of the library in a folder.
func in(folder string, files fstest.MapFS) fstest.MapFS {
	out := fstest.MapFS{}
	for name, f := range files {
		out[path.Join(folder, name)] = f
	}
	return out
}

// A release is the files of one version of an application.
type release map[string]string

// with returns the release with some files changed or added; "" removes one.
func (r release) with(changes release) release {
	out := maps.Clone(r)
	for name, text := range changes {
		if out[name] = text; text == "" {
			delete(out, name)
		}
	}
	return out
}

// boot.py and main.py of all releases that don't bring their own. What a test makes of it is in
// settings.py, which is no part of a release.
const (
	bootPy = `import saguarota, settings
ota = settings.ota()
ota.check_and_perform_ota()
print("error", ota.last_error_code, ota.last_error_message)
`
	mainPy = `import settings, app
print("app", app.NAME)
settings.main(globals())
`
)

// Two small applications.
var (
	release1 = release{
		"boot.py":     bootPy,
		"main.py":     mainPy,
		"app.py":      "NAME = 'one'\n",
		"lib/util.py": "def util(): return 1\n",
		"old.py":      "OLD = 1\n",
	}
	release2 = release1.with(release{
		"app.py":           "NAME = 'two'\n",
		"lib/util.py":      "def util(): return 2\n",
		"pages/new.py":     "NEW = 2\n",
		"pages/sub/sub.py": strings.Repeat("# a file of more than one block\n", 200),
		"old.py":           "",
	})
	release3 = release2.with(release{
		"app.py":       "NAME = 'three'\n",
		"pages/new.py": "NEW = 3\n",
	})
)

// A site is a server of releases that can be told to misbehave.
type site struct {
	t      *testing.T
	server *httptest.Server

	mu       sync.Mutex
	files    release
	manifest []byte
	current  *manifest.Manifest
	fault    func(w http.ResponseWriter, r *http.Request) bool
	requests []string
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{t: t}
	s.server = httptest.NewServer(s)
	t.Cleanup(s.server.Close)
	return s
}

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, "/ota/")
	s.mu.Lock()
	line := name
	if at := r.Header.Get("Range"); at != "" {
		line += " " + at
	}
	text, ok := s.files[name]
	if ok || !strings.HasPrefix(name, "packs/") {
		// The question for a pack that is not there belongs to every update.
		s.requests = append(s.requests, line)
	}
	data := []byte(text)
	if name == "versions.json" {
		data, ok = s.manifest, true
	}
	fault := s.fault
	s.mu.Unlock()
	if fault != nil && fault(w, r) {
		return
	}
	if !ok {
		http.NotFound(w, r)
		return
	}
	sum := sha256.Sum256(data)
	w.Header().Set("ETag", `"`+hex.EncodeToString(sum[:])+`"`)
	w.Header().Set("Content-Type", "application/octet-stream")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
}

// publish offers a release. Files that it shares with the one before keep their versions.
func (s *site) publish(version int64, r release) *manifest.Manifest {
	s.t.Helper()
	m := &manifest.Manifest{Version: version}
	for name, text := range r {
		sum, sha := md5.Sum([]byte(text)), sha256.Sum256([]byte(text))
		f := manifest.File{
			Path: name, Version: version, Size: int64(len(text)),
			MD5: hex.EncodeToString(sum[:]), SHA256: hex.EncodeToString(sha[:]),
		}
		if s.current != nil {
			if before, ok := s.current.Lookup(name); ok && before.SHA256 == f.SHA256 {
				f.Version = before.Version
			}
		}
		m.Files = append(m.Files, f)
	}
	slices.SortFunc(m.Files, func(a, b manifest.File) int { return strings.Compare(a.Path, b.Path) })
	s.mu.Lock()
	s.current, s.files = m, maps.Clone(r)
	s.mu.Unlock()
	s.offer(m)
	return m
}

// sign signs the manifest on offer.
func (s *site) sign(key string) {
	s.t.Helper()
	if err := s.current.Sign([]byte(key)); err != nil {
		s.t.Fatal(err)
	}
	s.offer(s.current)
}

func (s *site) offer(m *manifest.Manifest) {
	s.t.Helper()
	data, err := m.Encode(2)
	if err != nil {
		s.t.Fatal(err)
	}
	s.offerBytes(data)
}

// offerBytes offers whatever it is given as the manifest.
func (s *site) offerBytes(data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.manifest = data
}

// serve has the site serve these files, whatever its manifest says.
func (s *site) serve(files release) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files = maps.Clone(files)
}

// misbehave has requests answered by fault, unless it returns false; nil ends that.
func (s *site) misbehave(fault func(w http.ResponseWriter, r *http.Request) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = fault
}

// asked returns the paths that were requested since the last call.
func (s *site) asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	requests := s.requests
	s.requests = nil
	return requests
}

// A rig is a simulated board and the site it gets releases from.
type rig struct {
	t     *testing.T
	board *rehearse.Board
	site  *site
	setup setup
}

// A setup is what a rig is made of. The zero value is a board that runs release1.
type setup struct {
	fs      rehearse.FileSystem
	size    int     // of the flash; 1 MiB if 0
	factory release // what is on the board; release1 if nil. Its manifest is, too, unless empty is set
	empty   bool    // no release was installed: no versions.json
	options string  // more arguments of OTAUpdater, as Python text
	main    string  // what main.py does once the application is up, a Python suite that sees ota
	hold    string  // the beginning of the event's line at which the board is held
	source  bool    // the library as .py files
}

const confirm = `print("confirmed", ota.confirm_update(True))`

// version of a board's factory release.
const factoryVersion = 100

func newRig(t *testing.T, s setup) *rig {
	t.Helper()
	if s.size == 0 {
		s.size = 1 << 20
	}
	if s.factory == nil {
		s.factory = release1
	}
	r := &rig{t: t, site: newSite(t), setup: s}
	r.board = &rehearse.Board{
		Image: filepath.Join(t.TempDir(), "board.img"),
		FS:    s.fs,
		Size:  s.size,
	}
	l, err := readLibrary()
	if err != nil {
		t.Fatal(err)
	}
	lib := l.mpy
	if s.source {
		lib = l.source
	}
	tree := fstest.MapFS{"settings.py": {Data: r.settings()}}
	for name, text := range s.factory {
		tree[name] = &fstest.MapFile{Data: []byte(text)}
	}
	r.site.publish(factoryVersion, s.factory)
	if !s.empty {
		tree["versions.json"] = &fstest.MapFile{Data: r.site.manifest}
	}
	if err := r.board.Format(t.Context(), in("lib/saguarota", lib), tree); err != nil {
		t.Fatal(err)
	}
	return r
}

// settings returns settings.py.
func (r *rig) settings() []byte {
	if r.setup.hold == "" {
		r.setup.hold = "nowhere"
	}
	main := r.setup.main
	if main == "" {
		main = confirm
	}
	url := r.site.server.URL
	return fmt.Appendf(nil, `from saguarota import OTAUpdater
def show(event, details):
    line = "event " + event + " " + " ".join("{}={}".format(k, details[k]) for k in sorted(details))
    print(line)
    while line.startswith(%q): # held there until it is switched off
        pass
def ota():
    o = dict(manifest_url=%q, base_file_url=%q, retry_base_delay_ms=1, progress_callback=show)
    o.update(dict(%s))
    return OTAUpdater(**o)
def main(space):
    ota = space["ota"] if "ota" in space else None
    %s
`, r.setup.hold, url+"/ota/versions.json", url+"/ota/", r.setup.options, strings.ReplaceAll(strings.TrimSpace(main), "\n", "\n    "))
}

// set changes the options of OTAUpdater and what main.py does.
func (r *rig) set(options, main string) {
	r.t.Helper()
	r.setup.options, r.setup.main = options, main
	r.write("settings.py", string(r.settings()))
}

func (r *rig) write(name, text string) {
	r.t.Helper()
	if err := r.board.WriteFile(r.t.Context(), name, []byte(text)); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) remove(name string) {
	r.t.Helper()
	if err := r.board.Remove(r.t.Context(), name); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) read(name string) string {
	r.t.Helper()
	data, err := r.board.ReadFile(r.t.Context(), name)
	if err != nil {
		r.t.Fatal(err)
	}
	return string(data)
}

// boot is one boot of the board.
func (r *rig) boot() rehearse.Result {
	r.t.Helper()
	res, err := r.board.Boot(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	return res
}

// bootTo is one boot that must end in a certain way.
func (r *rig) bootTo(want rehearse.Ending) rehearse.Result {
	r.t.Helper()
	res := r.boot()
	if res.Ending != want {
		r.t.Fatalf("the board ended %v, want %v; it said\n%s", res.Ending, want, res.Output)
	}
	return res
}

// run boots the board until it doesn't reset any more, and returns all it said.
func (r *rig) run() string {
	r.t.Helper()
	const settles = 6
	results, err := r.board.Run(r.t.Context(), settles)
	if err != nil {
		r.t.Fatal(err)
	}
	var said strings.Builder
	for _, res := range results {
		said.WriteString(res.Output)
	}
	if last := results[len(results)-1]; last.Ending != rehearse.AtREPL {
		r.t.Fatalf("the board goes on resetting; it said\n%s", said.String())
	}
	return said.String()
}

// leaveFree fills the board's flash but for about n bytes, with a file called fill.
func (r *rig) leaveFree(n int) {
	r.t.Helper()
	options, main := r.setup.options, r.setup.main
	r.set(options, "import os\nst = os.statvfs('/')\nprint('free', st[0] * st[3])")
	r.site.misbehave(func(w http.ResponseWriter, r *http.Request) bool { // no update now
		http.NotFound(w, r)
		return true
	})
	_, text, _ := strings.Cut(r.bootTo(rehearse.AtREPL).Output, "free ")
	r.site.misbehave(nil)
	var free int
	if _, err := fmt.Sscan(text, &free); err != nil || free < n {
		r.t.Fatalf("%d bytes are free: %v", free, err)
	}
	r.set(options, main)
	r.write("fill", strings.Repeat("x", free-n))
}

// says checks that the console has all these texts, in this order.
func says(t *testing.T, console string, texts ...string) {
	t.Helper()
	rest := console
	for _, text := range texts {
		_, after, found := strings.Cut(rest, text)
		if !found {
			t.Errorf("the board did not say %q (in this order); it said\n%s", text, console)
			return
		}
		rest = after
	}
}

// saysNot checks that the console has none of these texts.
func saysNot(t *testing.T, console string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if strings.Contains(console, text) {
			t.Errorf("the board said %q; all of it:\n%s", text, console)
		}
	}
}

// events returns the progress events of a console.
func events(console string) []string {
	var out []string
	for line := range strings.Lines(console) {
		if e, ok := strings.CutPrefix(line, "event "); ok {
			out = append(out, strings.TrimSpace(e))
		}
	}
	return out
}

const stateFolder = "saguarota_backup"

// dump returns what is on the board.
func (r *rig) dump() *rehearse.Tree {
	r.t.Helper()
	tree, err := r.board.Dump(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	if len(tree.Broken) > 0 {
		r.t.Fatalf("the board's file system is broken: %v", tree.Broken)
	}
	return tree
}

// A live tree is what is on a board but for the updater's state: the sums of the files, and the
// folders, each with a slash.
type live map[string]string

func (r *rig) live() live {
	r.t.Helper()
	return liveOf(r.dump(), stateFolder, "ota_state.txt")
}

func liveOf(tree *rehearse.Tree, folder, stateFile string) live {
	out := live{}
	for name, f := range tree.Files {
		if name != stateFile && !strings.HasPrefix(name, folder+"/") {
			out[name] = f.SHA256
		}
	}
	for _, dir := range tree.Dirs {
		if dir != folder && !strings.HasPrefix(dir, folder+"/") {
			out[dir+"/"] = "folder"
		}
	}
	return out
}

// holds checks what is on the board but for the updater's state.
func (r *rig) holds(want live) {
	r.t.Helper()
	if diff := cmp.Diff(want, r.live()); diff != "" {
		r.t.Errorf("the board's files differ from what they should be (-want +got):\n%s", diff)
	}
}

// holdsRelease checks that all of a release is on the board, and that versions.json is that of the
// site.
func (r *rig) holdsRelease(rel release) {
	r.t.Helper()
	got := r.live()
	for name, text := range rel {
		if got[name] != sumOf(text) {
			r.t.Errorf("%s is not that of the release", name)
		}
	}
	if got["versions.json"] != sumOf(string(r.site.manifest)) {
		r.t.Errorf("versions.json is not that of the release")
	}
}

func sumOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// stateFiles returns the names in the state folder.
func (r *rig) stateFiles() []string {
	r.t.Helper()
	var names []string
	for name := range r.dump().Files {
		if name, ok := strings.CutPrefix(name, stateFolder+"/"); ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// isClean checks that the state folder holds the journal, what the board trusts, and nothing else.
func (r *rig) isClean() {
	r.t.Helper()
	for _, name := range r.stateFiles() {
		if !slices.Contains([]string{"s0", "s1", "k0", "k1"}, name) {
			r.t.Errorf("%s/%s was left behind", stateFolder, name)
		}
	}
}

// updates checks that the board installs the release on offer, and confirms it.
func (r *rig) updates(rel release) {
	r.t.Helper()
	said := r.run()
	says(r.t, said, "OTA: installed; restarting", "confirmed True")
	r.holdsRelease(rel)
}

// onBoth runs a test on both file systems.
func onBoth(t *testing.T, test func(t *testing.T, fs rehearse.FileSystem)) {
	for _, fs := range []rehearse.FileSystem{rehearse.Littlefs, rehearse.FAT} {
		t.Run(string(fs), func(t *testing.T) {
			t.Parallel()
			test(t, fs)
		})
	}
}
