package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/cactuscon/saguarota/fleet/httpapi/api"
	"github.com/cactuscon/saguarota/manifest"
	"github.com/cactuscon/saguarota/release"
)

// a fleetProcess is "saguarota fleet serve" as a process of its own, with the application
// "badge", whose data outlive it.
type fleetProcess struct {
	t     *testing.T
	dir   string // --data
	site  string // where the release was built that is next
	key   release.PrivateKey
	url   string
	token string
	args  []string        // more options
	tls   *tls.Config     // of clients
	wrap  func(*exec.Cmd) // changes how it is started; nil: nothing

	cmd  *exec.Cmd
	out  io.Reader // what is left of its standard output
	log  *watchedLog
	made int // releases that were built
}

// newFleet starts a server on a new folder and registers the application.
func newFleet(t *testing.T, change ...func(*fleetProcess)) *fleetProcess {
	t.Helper()
	f := &fleetProcess{t: t, dir: filepath.Join(t.TempDir(), "data"), site: filepath.Join(t.TempDir(), "site")}
	for _, c := range change {
		c(f)
	}
	var err error
	f.key, err = release.GenerateKey(strings.NewReader(strings.Repeat("k", 32)))
	f.must(err)
	f.start()
	app := api.App{Name: "badge", PublicKeys: []string{f.key.PublicKey().String()}, Threshold: 1, Keyset: 1, PollSeconds: 600}
	f.must(done(f.client(nil).AddAppWithResponse(t.Context(), app)))
	return f
}

func (f *fleetProcess) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

// start starts the server, which may have been killed before, and waits until it listens.
func (f *fleetProcess) start() {
	f.t.Helper()
	program, err := exec.LookPath("saguarota")
	f.must(err)
	f.cmd = exec.Command(program, "fleet", "serve", "--data", f.dir, "--port", "0", "--limit-board", "0")
	f.cmd.Args = append(f.cmd.Args, f.args...)
	if f.wrap != nil {
		f.wrap(f.cmd)
	}
	f.log = newWatchedLog()
	f.cmd.Stderr = f.log
	stdout, err := f.cmd.StdoutPipe()
	f.must(err)
	f.must(f.cmd.Start())
	f.t.Cleanup(f.kill)
	lines := bufio.NewReader(stdout)
	f.out = lines
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			_ = f.cmd.Wait()
			f.cmd = nil
			f.t.Fatalf("fleet serve did not start: %s", f.log)
		}
		line = strings.TrimSpace(line)
		if url, ok := strings.CutPrefix(line, "listening on "); ok {
			f.url = url
		}
		if token, ok := strings.CutPrefix(line, "export SAGUAROTA_TOKEN="); ok {
			f.token = token
		}
		if line == "Ctrl-C stops the server." {
			return
		}
	}
}

// kill ends the server as a power cut does, if it runs.
func (f *fleetProcess) kill() {
	if f.cmd == nil {
		return
	}
	_ = f.cmd.Process.Kill()
	_ = f.wait()
}

// wait waits until the server has ended, and returns how.
func (f *fleetProcess) wait() error {
	_, _ = io.Copy(io.Discard, f.out) // until its end is closed
	err := f.cmd.Wait()
	f.cmd = nil
	return err
}

// awaitLog waits until the log has one more line with the text than when it was awaited last.
func (f *fleetProcess) awaitLog(text string) error {
	ctx, cancel := context.WithTimeout(f.t.Context(), 5*time.Minute)
	defer cancel()
	return f.log.await(ctx, text)
}

// a watchedLog is a log that can be waited for.
type watchedLog struct {
	mu    sync.Mutex
	text  strings.Builder
	seen  int           // bytes that nobody waits for any more
	grown chan struct{} // closed, and made anew, when there is more
}

func newWatchedLog() *watchedLog { return &watchedLog{grown: make(chan struct{})} }

// Write implements io.Writer.
func (l *watchedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.grown)
	l.grown = make(chan struct{})
	return l.text.Write(p)
}

// String returns all of it.
func (l *watchedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *watchedLog) await(ctx context.Context, text string) error {
	for {
		l.mu.Lock()
		all, grown := l.text.String(), l.grown
		if _, rest, ok := strings.Cut(all[l.seen:], text); ok {
			l.seen = len(all) - len(rest)
			l.mu.Unlock()
			return nil
		}
		l.mu.Unlock()
		select {
		case <-ctx.Done():
			return fmt.Errorf("%q is not in the log: %w\n%s", text, ctx.Err(), all)
		case <-grown:
		}
	}
}

// client returns a client of the API, which makes its requests by transport: nil for the
// usual one. It keeps no connection, since the server may have gone.
func (f *fleetProcess) client(transport http.RoundTripper) *api.ClientWithResponses {
	f.t.Helper()
	if transport == nil {
		transport = &http.Transport{DisableKeepAlives: true, TLSClientConfig: f.tls}
	}
	c, err := api.NewClientWithResponses(f.url+api.Path, api.WithHTTPClient(&http.Client{Transport: transport}),
		api.WithRequestEditorFn(func(_ context.Context, r *http.Request) error {
			r.Header.Set("Authorization", "Bearer "+f.token)
			return nil
		}))
	f.must(err)
	return c
}

// build builds the next release, with files that no other one has, and returns its version.
func (f *fleetProcess) build() int64 {
	f.t.Helper()
	f.made++
	source := f.t.TempDir()
	for _, name := range []string{"main.py", "a.py", "b.py"} {
		path := filepath.Join(source, name)
		f.must(os.WriteFile(path, fmt.Appendf(nil, "# %s of release %d\n%s", name, f.made, strings.Repeat("#\n", 1000)), 0o666))
		at := time.Unix(1_700_000_000+int64(f.made), 0)
		f.must(os.Chtimes(path, at, at))
	}
	o := release.BuildOptions{Source: source, Files: manifest.DefaultOptions(), Indent: -1, Signers: []release.Signer{f.key}}
	o.Statement.App = "badge"
	b, err := release.BuildSite(f.t.Context(), f.site, o)
	f.must(err)
	return b.Statement.Version
}

// publish publishes the release that was built last.
func (f *fleetProcess) publish(transport http.RoundTripper) error {
	cmd := new(cobra.Command)
	cmd.SetOut(io.Discard)
	return publish(f.t.Context(), cmd, f.client(transport), f.site, "", false)
}

// releases returns the versions that there are, once it has fetched each of them whole and
// verified it.
func (f *fleetProcess) releases() map[int64]bool {
	f.t.Helper()
	list, err := f.client(nil).ListReleasesWithResponse(f.t.Context(), "badge")
	f.must(done(list, err))
	root := &release.Keyset{App: "badge", Version: 1, Threshold: 1, Keys: []release.PublicKey{f.key.PublicKey()}}
	versions := map[int64]bool{}
	for _, r := range *list.JSON200 {
		src, err := release.NewURLSource(f.url + "/release/badge/" + r.ID + "/")
		f.must(err)
		if _, err := release.VerifySite(f.t.Context(), src, root, release.Board{App: "badge"}); err != nil {
			f.t.Errorf("version %d is not whole: %v", r.Version, err)
		}
		versions[r.Version] = true
	}
	return versions
}

// boards returns all boards.
func (f *fleetProcess) boards() map[string]api.Board {
	f.t.Helper()
	list, err := f.client(nil).ListBoardsWithResponse(f.t.Context(), "badge", &api.ListBoardsParams{})
	f.must(done(list, err))
	boards := map[string]api.Board{}
	for _, b := range *list.JSON200 {
		boards[b.ID] = b
	}
	return boards
}

// rollout returns a rollout, and fails the test if its counts are not those of the boards.
func (f *fleetProcess) rollout(id int64) api.Rollout {
	f.t.Helper()
	got, err := f.client(nil).GetRolloutWithResponse(f.t.Context(), id)
	f.must(done(got, err))
	want := api.Counts{}
	for _, b := range f.boards() {
		if b.Rollout != id {
			continue
		}
		switch b.Stage {
		case "offered":
			want.Offered++
		case "downloading":
			want.Downloading++
		case "trial":
			want.Trial++
		case "confirmed":
			want.Confirmed++
		case "undone":
			want.Undone++
		case "failed":
			want.Failed++
		case "timed out":
			want.TimedOut++
		}
	}
	if got.JSON200.Counts != want {
		f.t.Errorf("rollout %d counts %+v, and its boards are %+v", id, got.JSON200.Counts, want)
	}
	return *got.JSON200
}

// a storm is boards that poll a server without a pause, until it is gone.
type storm struct {
	f        *fleetProcess
	name     string // their IDs begin with it
	old, new int64  // versions: boards go from old to new, again and again
	quiet    bool   // they do not: they say the same at every poll

	mu       sync.Mutex
	answered int
	at       int                     // after so many answers,
	then     func()                  // call this, once
	known    map[string]*stormyBoard // by ID
}

// a stormyBoard is what one board has told.
type stormyBoard struct {
	polls    int       // that it has begun
	answered int       // the last poll that was answered; 0: none
	sent     time.Time // when that was sent
}

// report returns what a board tells at its n-th poll: it runs the old release, tries the new
// one, confirms it, and somebody puts the old one back. The library's version is n.
func (s *storm) report(id string, n int) string {
	version, state := s.old, "idle"
	if s.quiet {
		n = 0
	}
	switch n % 3 {
	case 1:
		version, state = s.new, "confirm_pending"
	case 2:
		version = s.new
	}
	return fmt.Sprintf("id=%s; version=%d; state=%s; lib=%d", id, version, state, n)
}

// rage lets boards poll until the server is gone, and calls then after so many answers.
func (s *storm) rage(boards, at int, then func()) {
	s.answered, s.at, s.then = 0, at, then
	var all sync.WaitGroup
	for i := range boards {
		id := fmt.Sprint(s.name, i)
		if s.known[id] == nil {
			s.known[id] = new(stormyBoard)
		}
		b := s.known[id]
		all.Go(func() {
			transport := &http.Transport{}
			defer transport.CloseIdleConnections()
			for s.poll(transport, id, b) {
			}
		})
	}
	all.Wait()
}

// poll is one poll. It returns false if there was no answer.
func (s *storm) poll(transport http.RoundTripper, id string, b *stormyBoard) bool {
	b.polls++
	req, err := http.NewRequestWithContext(s.f.t.Context(), http.MethodGet, s.f.url+"/ota/badge/versions.json.sig", nil)
	if err != nil {
		s.f.t.Error(err)
		return false
	}
	req.Header.Set("Saguarota", s.report(id, b.polls))
	sent := time.Now()
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return false
	}
	_, err = io.Copy(io.Discard, resp.Body)
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		return false
	}
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusNotModified {
		s.f.t.Errorf("a poll of %s is answered %d", id, resp.StatusCode)
		return false
	}
	b.answered, b.sent = b.polls, sent
	s.mu.Lock()
	s.answered++
	now := s.answered == s.at
	s.mu.Unlock()
	if now {
		s.then()
	}
	return true
}
