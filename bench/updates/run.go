package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	_ "embed"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing/fstest"
	"time"

	"github.com/cactuscon/saguarota/internal/releases"
	"github.com/cactuscon/saguarota/manifest"
	"github.com/cactuscon/saguarota/pack"
	"github.com/cactuscon/saguarota/rehearse"
	"github.com/cactuscon/saguarota/release"
)

//go:embed plain.py
var plainUpdater string

// Cost is what an update takes.
type Cost struct {
	Bytes       int64   `json:"bytes"`
	Requests    int64   `json:"requests"`
	Connections int64   `json:"connections"`
	Seconds     float64 `json:"seconds"`
	Flash       int64   `json:"flash_bytes"`
	Heap        int64   `json:"heap_kb,omitempty"`
}

// Result compares two updaters.
type Result struct {
	Release   string `json:"release"`
	Plain     Cost   `json:"plain"`
	Saguarota Cost   `json:"saguarota"`
}

func run(ctx context.Context, heap bool) ([]Result, error) {
	library, err := releases.Compiled(ctx, releases.Library(""))
	if err != nil {
		return nil, err
	}
	var results []Result
	for _, p := range pairs() {
		b, err := newBench(ctx, p, library)
		if err != nil {
			return nil, err
		}
		r := Result{Release: p.name}
		for _, one := range []struct {
			cost *Cost
			boot string
		}{{&r.Plain, b.plain()}, {&r.Saguarota, b.saguarota()}} {
			if *one.cost, err = b.measure(ctx, one.boot); err == nil && heap {
				one.cost.Heap, err = b.smallestHeap(ctx, one.boot)
			}
			if err != nil {
				b.close()
				return nil, fmt.Errorf("%s: %w", p.name, err)
			}
		}
		b.close()
		results = append(results, r)
	}
	return results, nil
}

// A bench has a board with the old release of a pair, and a site with the new one behind a link.
type bench struct {
	dir      string
	pair     pair
	library  map[string]string
	key      release.PrivateKey
	manifest []byte // of the old release
	server   *httptest.Server
	link     *link
	requests atomic.Int64
}

func newBench(ctx context.Context, p pair, library map[string]string) (*bench, error) {
	dir, err := os.MkdirTemp("", "saguarota-bench-")
	if err != nil {
		return nil, err
	}
	b := &bench{dir: dir, pair: p, library: library}
	if err := b.build(ctx); err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	files := http.StripPrefix("/ota", http.FileServerFS(os.DirFS(b.site("new"))))
	b.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.requests.Add(1)
		files.ServeHTTP(w, r)
	}))
	if b.link, err = newLink(b.server.Listener.Addr().String()); err != nil {
		b.server.Close()
		os.RemoveAll(dir)
		return nil, err
	}
	return b, nil
}

func (b *bench) close() {
	b.link.listener.Close()
	b.server.Close()
	os.RemoveAll(b.dir)
}

func (b *bench) site(which string) string { return filepath.Join(b.dir, "site-"+which) }

// build makes the sites of both releases, and the pack.
func (b *bench) build(ctx context.Context) error {
	var err error
	if b.key, err = release.GenerateKey(rand.Reader); err != nil {
		return err
	}
	var both [2]*pack.Release
	var from []release.Source
	for i, one := range []struct {
		which string
		files map[string]string
	}{{"old", b.pair.old}, {"new", b.pair.new}} {
		tree := filepath.Join(b.dir, one.which)
		for name, text := range one.files {
			file := filepath.Join(tree, name)
			if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
				return err
			}
			if err := os.WriteFile(file, []byte(text), 0o666); err != nil {
				return err
			}
			at := time.Unix(1_700_000_000+int64(i)*1000, 0)
			if err := os.Chtimes(file, at, at); err != nil {
				return err
			}
		}
		o := release.BuildOptions{
			Source: tree, Files: manifest.DefaultOptions(), Indent: 2, From: from,
			Statement: release.Statement{App: "bench"}, Signers: []release.Signer{b.key},
		}
		o.Files.ReuseUnchanged = true
		site := b.site(one.which)
		if _, err := release.BuildSite(ctx, site, o); err != nil {
			return err
		}
		data, err := os.ReadFile(filepath.Join(site, "versions.json"))
		if err != nil {
			return err
		}
		both[i] = &pack.Release{Manifest: data, Open: func(_ context.Context, path string) (io.ReadCloser, error) {
			return os.Open(filepath.Join(site, filepath.FromSlash(path)))
		}}
		from = []release.Source{release.Dir(site)}
	}
	b.manifest = both[0].Manifest
	var out bytes.Buffer
	if _, err := pack.Encode(ctx, &out, both[0], both[1], pack.Options{}); err != nil {
		return err
	}
	file := filepath.Join(b.site("new"), filepath.FromSlash(pack.Name(both[0].Manifest, both[1].Manifest)))
	if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
		return err
	}
	return os.WriteFile(file, out.Bytes(), 0o666)
}

func (b *bench) plain() string {
	_, port, _ := strings.Cut(b.link.listener.Addr().String(), ":")
	return strings.Replace(plainUpdater, "PORT_NUMBER", port, 1)
}

func (b *bench) saguarota() string {
	return fmt.Sprintf(`from saguarota import OTAUpdater
OTAUpdater(%q, %q, public_keys=[%q], app="bench").check_and_perform_ota()
`, b.link.url()+"versions.json", b.link.url(), b.key.PublicKey())
}

// board makes a board with the old release.
func (b *bench) board(ctx context.Context, boot string) (*rehearse.Board, error) {
	tree := fstest.MapFS{"boot.py": {Data: []byte(boot)}, "versions.json": {Data: b.manifest}}
	all := maps.Clone(b.pair.old)
	maps.Copy(all, b.library)
	for name, text := range all {
		tree[name] = &fstest.MapFile{Data: []byte(text)}
	}
	board := &rehearse.Board{Image: filepath.Join(b.dir, "board.img"), Size: 4 << 20}
	return board, board.Format(ctx, tree)
}

// measure has a board update over the slow link.
func (b *bench) measure(ctx context.Context, boot string) (Cost, error) {
	board, err := b.board(ctx, boot)
	if err != nil {
		return Cost{}, err
	}
	board.Log = filepath.Join(b.dir, "log")
	os.Remove(board.Log)
	b.link.reset(true)
	b.requests.Store(0)
	begin := time.Now()
	result, err := board.Boot(ctx)
	took := time.Since(begin)
	if err != nil {
		return Cost{}, err
	}
	c := Cost{Bytes: b.link.bytes.Load(), Requests: b.requests.Load(), Connections: b.link.connections.Load(), Seconds: took.Seconds()}
	log, err := rehearse.ReadLog(board.Log)
	if err != nil {
		return Cost{}, err
	}
	for _, w := range log {
		if !w.Erase {
			c.Flash += int64(w.Length)
		}
	}
	return c, b.check(ctx, board, result)
}

// check compares what is on a board with the new release.
func (b *bench) check(ctx context.Context, board *rehearse.Board, result rehearse.Result) error {
	if result.Ending != rehearse.Reset {
		return fmt.Errorf("the board ended %v and said\n%s", result.Ending, result.Output)
	}
	dump, err := board.Dump(ctx)
	if err != nil {
		return err
	}
	for name, text := range b.pair.new {
		if got, want := dump.Files[name].SHA256, fmt.Sprintf("%x", sha256.Sum256([]byte(text))); got != want {
			return fmt.Errorf("%s on the board is not that of the release; the board said\n%s", name, result.Output)
		}
	}
	return nil
}

// smallestHeap finds the smallest heap, in kB, in which the update works, by bisection, over a fast link.
func (b *bench) smallestHeap(ctx context.Context, boot string) (int64, error) {
	b.link.reset(false)
	low, high := 20, 1024
	for high-low > 1 {
		mid := (low + high) / 2
		board, err := b.board(ctx, boot)
		if err != nil {
			return 0, err
		}
		board.Heap = strconv.Itoa(mid) + "K"
		result, err := board.Boot(ctx)
		if err == nil {
			err = b.check(ctx, board, result)
		}
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		if err == nil {
			high = mid
		} else {
			low = mid // a heap too small ends in an error of any kind
		}
	}
	return int64(high), nil
}
