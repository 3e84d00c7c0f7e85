package packcache

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cactuscon/saguarota/manifest"
	"github.com/cactuscon/saguarota/pack"
)

// release makes a release of files in memory.
func release(t testing.TB, version int64, files map[string]string) *pack.Release {
	t.Helper()
	m := manifest.Manifest{Version: version}
	for _, path := range slices.Sorted(maps.Keys(files)) {
		text := files[path]
		m.Files = append(m.Files, manifest.File{Path: path, Version: version, Size: int64(len(text)), SHA256: fmt.Sprintf("%x", sha256.Sum256([]byte(text)))})
	}
	encoded, err := m.Encode(-1)
	if err != nil {
		t.Fatal(err)
	}
	return &pack.Release{Manifest: encoded, Open: func(_ context.Context, path string) (io.ReadCloser, error) {
		if text, ok := files[path]; ok {
			return io.NopCloser(strings.NewReader(text)), nil
		}
		return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
	}}
}

// nobody asks, and has no bounds of his own.
var nobody netip.Addr

func id(r *pack.Release) string { return pack.ID(r.Manifest) }

// Many ask for one pack at once; it is made once, and all get it.
func TestOneForAll(t *testing.T) {
	old := release(t, 1, map[string]string{"main.py": strings.Repeat("old\n", 100)})
	new := release(t, 2, map[string]string{"main.py": strings.Repeat("old\n", 99) + "new\n"})
	var found atomic.Int64
	goOn := make(chan struct{})
	c := New(Config{Keep: 1 << 20}, func(_ context.Context, want string) (*pack.Release, error) {
		<-goOn
		found.Add(1)
		return map[string]*pack.Release{id(old): old, id(new): new}[want], nil
	})
	var wg sync.WaitGroup
	var mu sync.Mutex
	var all []*Pack
	for range 20 {
		wg.Go(func() {
			p, err := c.Get(t.Context(), nobody, id(old), id(new))
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, p)
		})
	}
	close(goOn)
	wg.Wait()
	for _, p := range all {
		if p != all[0] {
			t.Error("not the same for all")
		}
	}
	if all[0].Sum != sha256.Sum256(all[0].Data) {
		t.Errorf("its SHA-256 is %x", all[0].Sum)
	}
	if again, err := c.Get(t.Context(), nobody, id(old), id(new)); err != nil || again != all[0] {
		t.Errorf("afterwards: other bytes, %v", err)
	}
	if n := found.Load(); n != 2 {
		t.Errorf("%d releases were looked for, want 2", n)
	}
	made, err := pack.Apply(t.Context(), all[0].Data, old)
	if err != nil || !bytes.Equal(made.Manifest, new.Manifest) {
		t.Errorf("the pack: %v", err)
	}
	if whole, err := c.Get(t.Context(), nobody, "", id(new)); err != nil {
		t.Error(err)
	} else if _, err := pack.Apply(t.Context(), whole.Data, nil); err != nil {
		t.Error(err)
	}
}

// Failures are forgotten.
func TestFailing(t *testing.T) {
	new := release(t, 2, map[string]string{"main.py": "new\n"})
	fails := true
	c := New(Config{Keep: 1 << 20}, func(context.Context, string) (*pack.Release, error) {
		if fails {
			return nil, fmt.Errorf("a release: %w", fs.ErrNotExist)
		}
		return new, nil
	})
	if _, err := c.Get(t.Context(), nobody, "0123456789abcdef", id(new)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("unknown: %v", err)
	}
	fails = false
	if _, err := c.Get(t.Context(), nobody, "0123456789abcdef", id(new)); err != nil {
		t.Errorf("known by now: %v", err)
	}
	if _, err := c.Get(t.Context(), nobody, id(new), id(new)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("to itself: %v", err)
	}
}

// What has not been asked for goes first.
func TestCacheForgets(t *testing.T) {
	made := 0
	var first int
	c := New(Config{Keep: 1 << 20}, func(_ context.Context, want string) (*pack.Release, error) {
		made++
		return release(t, 1, map[string]string{"a.py": want}), nil
	})
	get := func(name string) int {
		t.Helper()
		before := made
		p, err := c.Get(t.Context(), nobody, "", name)
		if err != nil {
			t.Fatal(err)
		}
		first = len(p.Data)
		return made - before
	}
	get("one")
	c.config.Keep = int64(2*first + first/2)
	get("two")
	if get("one") != 0 {
		t.Error("made again, though there is room")
	}
	get("three")
	if get("one") != 0 {
		t.Error("the one that was used last is gone")
	}
	if get("two") != 1 {
		t.Error("the other is still there")
	}
	c.config.Keep = 1
	for range 2 {
		if get("four") != 1 {
			t.Error("a pack above the limit is kept")
		}
	}
}

func TestMemory(t *testing.T) {
	same := strings.Repeat("x", 1000)
	m := NewMemory(3000)
	var all []*pack.Release
	for i := range 4 {
		r := release(t, int64(i), map[string]string{"same.py": same, "own.py": strings.Repeat(string(rune('a'+i)), 300)})
		if err := m.Add(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		if err := m.Add(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	for i, r := range all {
		found, err := m.Find(t.Context(), id(r))
		if i == 0 {
			if !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the oldest is still there: %v", err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		in, err := found.Open(t.Context(), "own.py")
		if err != nil {
			t.Fatal(err)
		}
		if data, err := io.ReadAll(in); err != nil || string(data) != strings.Repeat(string(rune('a'+i)), 300) {
			t.Errorf("release %d has %.10q…, %v", i, data, err)
		}
		if _, err := found.Open(t.Context(), "other.py"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a file that is not there: %v", err)
		}
	}
	// Used again, it is the newest.
	if err := m.Add(t.Context(), all[1]); err != nil {
		t.Fatal(err)
	}
	if err := m.Add(t.Context(), release(t, 9, map[string]string{"same.py": same, "own.py": strings.Repeat("z", 300)})); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Find(t.Context(), id(all[1])); err != nil {
		t.Errorf("what was used again is gone: %v", err)
	}
	if _, err := m.Find(t.Context(), id(all[2])); err == nil {
		t.Error("what was not is there")
	}
	total := int64(0)
	for _, b := range m.blobs {
		total += int64(len(b.data))
	}
	for _, k := range m.releases {
		total += int64(len(k.manifest))
	}
	if total != m.size || total > m.limit {
		t.Errorf("%d bytes are kept, %d counted, %d allowed", total, m.size, m.limit)
	}
}

func TestMemoryRefuses(t *testing.T) {
	m := NewMemory(1000)
	good := release(t, 1, map[string]string{"a.py": "a"})
	spoilt := &pack.Release{Manifest: good.Manifest, Open: func(context.Context, string) (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader("b")), nil
	}}
	for name, test := range map[string]struct {
		r    *pack.Release
		want error
	}{
		"changed":     {spoilt, pack.ErrContent},
		"too large":   {release(t, 1, map[string]string{"a.py": strings.Repeat("a", 1001)}), pack.ErrTooLarge},
		"many files":  {release(t, 1, map[string]string{"a.py": strings.Repeat("a", 600), "b.py": strings.Repeat("b", 600)}), pack.ErrTooLarge},
		"no manifest": {&pack.Release{Manifest: []byte("{}")}, manifest.ErrFormat},
		"no sha256":   {&pack.Release{Manifest: []byte(`{"version":1,"files":[{"path":"a.py","version":1}]}`)}, pack.ErrManifest},
	} {
		if err := m.Add(t.Context(), test.r); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
	if len(m.releases) > 0 || len(m.blobs) > 0 || m.size != 0 {
		t.Errorf("something was kept: %d bytes", m.size)
	}
}
