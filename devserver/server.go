// Package devserver serves a source tree to boards while it is being worked
// on: save a file, and the next board that polls is offered it.
//
//	/ota/versions.json       the manifest, built from the tree at each request
//	/ota/versions.json.sig   the signed statement about it, where Config.Sign is set
//	/ota/keys/<n>.json       keysets, where Config.Keysets has them
//	/ota/<path>              every file of the release
//	/ota/packs/<from>-<to>   packs between the states of the tree that were offered
//	/ota/packs/<to>          so far, and of each as a whole; made when they are asked for
//	/ota/, /ota/<dir>/       listings in the manner of nginx, for boards that crawl
//
// What is served is what the manifest lists: a path that leads out of the tree,
// also by way of a link, or to a file that the filters leave out, does not
// exist. An answer carries the SHA-256 of the file as its strong ETag, and
// never a byte of another state of the file, so a download that is resumed with
// If-Range ends in one state or starts over.
//
// It is a tool for a desk, not for a fleet: it speaks plain HTTP, lets everybody
// in and reads the tree for every poll.
package devserver

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cactuscon/saguarota/internal/packcache"
	"github.com/cactuscon/saguarota/manifest"
	"github.com/cactuscon/saguarota/pack"
	"github.com/cactuscon/saguarota/release"
)

// ManifestName is the name under which the manifest is served. A file of that
// name at the top of the tree is never part of a release: see manifest.Scanner.
const ManifestName = "versions.json"

// prefix is what every path starts with.
const prefix = "/ota/"

// Config says what to serve. Dir and Options must be set.
type Config struct {
	Dir     string           // the source tree
	Options manifest.Options // which files make up the release; see New for what is overruled

	Key            []byte // signs the manifest, if there is one
	SignatureField string // where the signature goes; empty means manifest.DefaultSignatureField
	Indent         int    // of the manifest, as manifest.Encode takes it

	// Sign, if set, returns the signed statement (release.Document.Bytes) about
	// a manifest of the given version, encoded as it is served. It is called
	// once for each state of the tree that is polled for, one call at a time.
	Sign func(ctx context.Context, encoded []byte, version int64) ([]byte, error)

	// Keysets are the files keys/1.json, keys/2.json and so on.
	Keysets [][]byte

	// Log is called for every request after it was answered, and for what
	// happens besides, never twice at the same time. It may be nil.
	Log func(Event)

	// Progress is called while a pack is sent, after each piece of it, never at the
	// same time as Log or itself. It may be nil.
	Progress func(Progress)

	// Now tells the time, for the log and for how long a statement is
	// remembered. Nil means time.Now.
	Now func() time.Time
}

// Server answers the requests of boards. It is an http.Handler; Serve runs it
// with limits that suit slow boards. It is safe for concurrent use.
type Server struct {
	config  Config
	dir     string // absolute, without links; clients are not told
	scanner *manifest.Scanner
	boards  boards
	offers  offers
	states  *packcache.Memory // of the tree, as they were offered
	packs   *packcache.Cache
	keysets map[string][]byte // by path
	limits  limits

	logging sync.Mutex
	warned  map[string]bool // guarded by logging
}

// New returns a server for a source tree. It fails if there is no folder at
// config.Dir or if the options make no sense; whether a manifest can be built
// from the tree shows with each request anew.
//
// Two of the options are the server's: NoOutsideLinks is set whatever it was,
// and Warn's messages go to Log, each once.
func New(config Config) (*Server, error) {
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.Log == nil {
		config.Log = func(Event) {}
	}
	if config.Progress == nil {
		config.Progress = func(Progress) {}
	}
	if config.SignatureField == "" {
		config.SignatureField = manifest.DefaultSignatureField
	}
	if config.Key != nil && len(config.Key) == 0 {
		return nil, fmt.Errorf("serve %s: %w", config.Dir, manifest.ErrEmptyKey)
	}
	s := &Server{
		config: config,
		boards: boards{known: make(map[string]*progress)},
		offers: offers{pinned: make(map[string]pin)},
		limits: defaultLimits,
		warned: make(map[string]bool),
	}
	s.states = packcache.NewMemory(statesLimit)
	s.packs = packcache.New(packcache.Config{Keep: packsLimit}, s.states.Find)
	s.keysets = make(map[string][]byte, len(config.Keysets))
	for i, keyset := range config.Keysets {
		s.keysets[release.KeysetName(int64(i+1))] = keyset
	}
	dir, err := filepath.Abs(config.Dir)
	if err == nil {
		dir, err = filepath.EvalSymlinks(dir)
	}
	if err != nil {
		return nil, fmt.Errorf("serve %s: %w", config.Dir, err)
	}
	s.dir = dir
	options := config.Options
	options.NoOutsideLinks = true
	options.Warn = s.warn
	s.scanner, err = manifest.NewScanner(dir, options)
	if err != nil {
		return nil, fmt.Errorf("serve %s: %w", config.Dir, err)
	}
	return s, nil
}

// Manifest builds the manifest that a board which asks now would be given.
// Files that did not change since the last time are not read again.
func (s *Server) Manifest(ctx context.Context) (*manifest.Manifest, error) {
	m, err := s.scanner.Build(ctx)
	if err != nil {
		return nil, err
	}
	m.SignatureField = s.config.SignatureField
	return m, s.addHMAC(m)
}

// addHMAC signs a manifest with the shared secret, if there is one.
func (s *Server) addHMAC(m *manifest.Manifest) error {
	if s.config.Key == nil {
		return nil
	}
	return m.Sign(s.config.Key)
}

// ServeHTTP answers one request and logs it.
func (s *Server) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	start := s.config.Now()
	if c, ok := r.Context().Value(connKey{}).(*conn); ok {
		c.unanswered.Store(false)
	}
	w := &response{ResponseWriter: rw, stall: s.limits.stall}
	if r.ContentLength != 0 {
		// Nothing here takes a body. net/http reads it to the end nevertheless
		// before the next request, and must not wait for that for ever.
		_ = http.NewResponseController(rw).SetReadDeadline(time.Now().Add(s.limits.header))
	}

	event := Event{
		Remote: remoteHost(r.RemoteAddr),
		Board:  boardName(r.UserAgent()),
		Method: printable(r.Method, maxShownMethod),
		Path:   printable(r.RequestURI, maxShownPath),
	}
	note := s.answer(w, r, event.Remote+" "+event.Board)
	if trouble := w.trouble(); trouble != "" {
		note = strings.TrimSuffix(trouble+", "+note, ", ")
	}
	event.Note = note
	event.Status = w.status
	event.Bytes = w.bytes
	event.Time = s.config.Now()
	event.Duration = event.Time.Sub(start)
	s.log(event)
}

// answer answers a request and returns what the log should say of it besides
// the status. client tells who asks.
func (s *Server) answer(w *response, r *http.Request, client string) string {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
	case http.MethodOptions:
		h := w.Header()
		h.Set("Allow", allowed)
		h.Set("Access-Control-Allow-Methods", allowed)
		h.Set("Access-Control-Allow-Headers", "If-None-Match, If-Range, Range")
		w.WriteHeader(http.StatusNoContent)
		return ""
	default:
		w.Header().Set("Allow", allowed)
		w.fail(http.StatusMethodNotAllowed, "only GET, HEAD and OPTIONS are answered here")
		return ""
	}

	if r.URL.Path+"/" == prefix {
		s.redirect(w, r)
		return ""
	}
	path, ok := releasePath(r.URL)
	switch {
	case !ok:
		w.fail(http.StatusNotFound, "not found; the release is below "+prefix)
		return ""
	case path == ManifestName:
		return s.serveManifest(w, r, client)
	case path == release.StatementName && s.config.Sign != nil:
		return s.serveStatement(w, r, client)
	case s.keysets[path] != nil:
		return s.serveKeyset(w, r, path)
	case path == "" || strings.HasSuffix(path, "/"):
		return s.serveListing(w, r, client, strings.TrimSuffix(path, "/"))
	}
	if from, to, ok := pack.ParseName(path); ok {
		return s.servePack(w, r, client, path, from, to)
	}
	return s.serveFile(w, r, client, path)
}

// allowed lists the methods that are answered.
const allowed = "GET, HEAD, OPTIONS"

// releasePath returns the path within the release that a URL asks for: "" for
// the release itself, with "/" at its end for a folder. It is false for a URL
// that is not below /ota/ or that hides a separator or the like in an escape.
// Whether such a file exists is another question, which manifest.Scanner answers.
func releasePath(u *url.URL) (string, bool) {
	path, ok := strings.CutPrefix(u.Path, prefix)
	if !ok {
		return "", false
	}
	// u.Path is unescaped once. A separator must have been written as itself.
	if strings.Contains(strings.ToLower(u.RawPath), "%2f") {
		return "", false
	}
	if path == "" {
		return "", true
	}
	return path, manifest.CheckPath(strings.TrimSuffix(path, "/")) == nil
}

// serveManifest answers with the manifest.
func (s *Server) serveManifest(w *response, r *http.Request, client string) string {
	o, ok := s.offers.pinnedFor(client, s.config.Now())
	if !ok {
		var err error
		if o, err = s.offer(r.Context()); err != nil {
			return s.broken(w, "the manifest could not be built", err)
		}
	}
	w.Header().Set("Content-Type", "application/json")
	return s.servePolled(w, r, client, o, o.encoded)
}

// servePolled answers a request by which a board asks what there is.
func (s *Server) servePolled(w *response, r *http.Request, client string, o offer, body []byte) string {
	etag := quoteSum(sha256.Sum256(body))
	serveContent(w, r, etag, bytes.NewReader(body))
	if r.Method != http.MethodGet {
		return ""
	}
	s.boards.started(client, s.config.Now())
	return s.boards.polled(r.Header.Get("If-None-Match"), etag, o.version, o.files)
}

// serveFile answers with a file of the release, or sends the client on if it is
// a folder.
func (s *Server) serveFile(w *response, r *http.Request, client, path string) string {
	file, err := s.scanner.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := s.scanner.ReadDir(path); err == nil {
			s.redirect(w, r)
			return ""
		}
		w.fail(http.StatusNotFound, "not found: no file of the release has this path")
		return ""
	}
	if err != nil {
		return s.broken(w, "the file could not be opened", err)
	}
	defer file.Close()
	c, err := newContent(file)
	if err != nil {
		return s.broken(w, "the file could not be read", err)
	}
	w.Header().Set("Content-Type", contentType(path))
	serveContent(w, r, c.etag(), c)

	note := ""
	if r.Method == http.MethodGet && (w.status == http.StatusOK || w.status == http.StatusPartialContent) {
		note = s.boards.fetched(client, path, w.bytes, s.config.Now())
	}
	if c.failed != nil {
		note = "connection cut: " + printableError(c.failed) + ", " + note
	}
	return note
}

// contentType returns the type under which the original server sent a file.
func contentType(path string) string {
	switch {
	case strings.HasSuffix(path, ".py"):
		return "text/plain"
	case strings.HasSuffix(path, ".json"):
		return "application/json"
	}
	return "application/octet-stream"
}

// serveListing answers with the listing of a folder of the release.
func (s *Server) serveListing(w *response, r *http.Request, client, path string) string {
	found, err := s.scanner.ReadDir(path)
	if errors.Is(err, fs.ErrNotExist) {
		w.fail(http.StatusNotFound, "not found: no folder of the release has this path")
		return ""
	}
	if err != nil {
		return s.broken(w, "the folder could not be read", err)
	}
	var entries []entry
	for _, e := range found {
		entries = append(entries, entry{name: e.Name, dir: e.Info.IsDir(), size: e.Info.Size(), modified: e.Info.ModTime()})
	}
	// As nginx sorts: folders first.
	slices.SortStableFunc(entries, func(a, b entry) int {
		switch {
		case a.dir == b.dir:
			return strings.Compare(a.name, b.name)
		case a.dir:
			return -1
		}
		return 1
	})
	body := listing(r.URL.Path, entries)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	serveContent(w, r, quoteSum(sha256.Sum256(body)), bytes.NewReader(body))
	if r.Method == http.MethodGet && path == "" {
		s.boards.started(client, s.config.Now())
	}
	return "listing, " + plural(len(entries), "entry", "entries")
}

// serveContent answers with a whole body or the ranges of it that are asked
// for. There is no Last-Modified on purpose: a second is too coarse a date to
// resume by.
func serveContent(w *response, r *http.Request, etag string, body io.ReadSeeker) {
	w.Header().Set("ETag", etag)
	http.ServeContent(w, r, "", time.Time{}, body)
}

// redirect sends a client that left out the "/" at the end of a folder to the
// folder. Clients of HTTP/1.0 get a whole URL: MicroPython's requests module,
// by which the original library crawls, follows no other. It also leaves the
// port out of Host, so the port is taken from the connection.
func (s *Server) redirect(w *response, r *http.Request) {
	target := url.URL{Path: r.URL.Path + "/", RawQuery: r.URL.RawQuery}
	if !r.ProtoAtLeast(1, 1) && r.Host != "" {
		target.Scheme, target.Host = "http", r.Host
		if local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr); ok && target.Port() == "" {
			target.Host = net.JoinHostPort(target.Hostname(), strconv.Itoa(local.Port))
		}
	}
	w.Header().Set("Location", target.String())
	w.fail(http.StatusMovedPermanently, "this is a folder: there is a \"/\" at the end of its URL")
}

// broken answers a request that failed for a reason of this side's. The client
// is told the reason, but not where on this machine the tree is.
func (s *Server) broken(w *response, what string, err error) string {
	reason := strings.NewReplacer(s.dir+string(filepath.Separator), "", s.dir, "the tree").Replace(err.Error())
	w.fail(http.StatusInternalServerError, what+": "+reason)
	return what + ": " + printableError(err)
}

// printableError returns an error's text as one line. It holds names of files,
// and those can be anything.
func printableError(err error) string { return printableText(err.Error()) }

// printableText returns a message as one line.
func printableText(message string) string {
	return printable(strings.ReplaceAll(message, "\n", "; "), maxShownText)
}

// log passes an event on.
func (s *Server) log(e Event) {
	s.logging.Lock()
	defer s.logging.Unlock()
	s.config.Log(e)
}

// maxWarnings bounds how many different warnings are remembered.
const maxWarnings = 1000

// warn logs a warning about the tree, once: it comes up with every poll.
func (s *Server) warn(message string) {
	s.logging.Lock()
	defer s.logging.Unlock()
	if s.warned[message] || len(s.warned) == maxWarnings {
		return
	}
	s.warned[message] = true
	s.config.Log(Event{Time: s.config.Now(), Note: "warning: " + printableText(message)})
}

// remoteHost returns an address without its port.
func remoteHost(addr string) string {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return printable(addr, maxShownBoard)
	}
	return host
}
