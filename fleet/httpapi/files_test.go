package httpapi_test

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cactuscon/saguarota/fleet"
	"github.com/cactuscon/saguarota/fleet/blob"
	"github.com/cactuscon/saguarota/fleet/httpapi"
	"github.com/cactuscon/saguarota/manifest"
	"github.com/cactuscon/saguarota/release"
)

// A board gets the files of the release that it was offered, everybody else those of
// the channel.
func TestFilesOfTheOffer(t *testing.T) {
	r := newRig(t)
	one := r.publish("one")
	r.give("stable", one)
	two := r.publish("two")
	r.start(two)
	h := httpapi.ReportHeader + ": id=b1"
	if a := r.get("/ota/badge/main.py", h); a.body != "print('one')\n" {
		t.Errorf("before it has polled: %d %q", a.status, a.body)
	}
	if got := r.poll(fleet.Report{ID: "b1", Version: one}); got != two {
		t.Fatalf("offered %d", got)
	}
	for path, want := range map[string]string{"main.py": "print('two')\n", "lib/util.py": "X = 1\n"} {
		a := r.get("/ota/badge/"+path, h)
		if a.status != http.StatusOK || a.body != want || a.header.Get("ETag") != `"`+blob.SumOf([]byte(want)).String()+`"` {
			t.Errorf("%s: %d %q %v", path, a.status, a.body, a.header)
		}
		if a.header.Get("Cache-Control") != "private, no-cache" || a.header.Get("Content-Type") != "application/octet-stream" {
			t.Errorf("%s: %v", path, a.header)
		}
	}
	m, err := manifest.Read(strings.NewReader(r.get("/ota/badge/versions.json", h).body))
	if err != nil || m.Version != two {
		t.Errorf("the manifest is %+v, %v", m, err)
	}
	if a := r.get("/ota/badge/main.py"); a.body != "print('one')\n" {
		t.Errorf("who says nothing gets %q", a.body)
	}
	if a := r.get("/ota/badge/main.py", h, "Range: bytes=7-9"); a.status != http.StatusPartialContent || a.body != "two" {
		t.Errorf("a range: %d %q", a.status, a.body)
	}
	for _, path := range []string{"nope.py", "lib", "lib/", "keys/1.json", "keys/01.json", "keys/x.json", "packs/x", "%2e%2e/fleet.db", "..%2ffleet.db", "main.py%00"} {
		if a := r.get("/ota/badge/"+path, h); a.status != http.StatusNotFound {
			t.Errorf("%s: %d", path, a.status)
		}
	}
}

// On the way to a release, those of the one that it has to step through.
func TestFilesOfTheStep(t *testing.T) {
	r := newRig(t)
	one := r.publish("one")
	r.give("stable", one)
	two := r.publish("two")
	r.must(r.store.ChangeRelease(t.Context(), r.ada(), "badge", two, func(rel *fleet.Release) error { rel.StepThrough = true; return nil }))
	r.start(r.publish("three"))
	if got := r.poll(fleet.Report{ID: "b1", Version: one}); got != two {
		t.Fatalf("offered %d, not %d", got, two)
	}
	if a := r.get("/ota/badge/main.py", httpapi.ReportHeader+": id=b1"); a.body != "print('two')\n" {
		t.Errorf("%d %q", a.status, a.body)
	}
}

// Below its id, every release is a whole site that never changes.
func TestReleaseForCaches(t *testing.T) {
	r := newRig(t)
	r.build(map[string]string{"main.py": "pass\n", "data/big.txt": ""}, r.key)
	build := r.build(map[string]string{"main.py": "pass\n"}, r.key)
	_, err := r.server.Publish(t.Context(), r.ada(), "badge", r.publication())
	r.must(err)
	id := blob.Sum(build.Statement.Manifest.SHA256).String()[:16]
	r.must(r.verify(t.Context(), "/release/badge/"+id+"/"))
	for _, path := range []string{"versions.json", "versions.json.sig", "main.py"} {
		if a := r.get("/release/badge/" + id + "/" + path); a.header.Get("Cache-Control") != "public, max-age=31536000, immutable" {
			t.Errorf("%s: %v", path, a.header)
		}
	}
	for _, path := range []string{"/release/badge/0000000000000000/main.py", "/release/nope/" + id + "/main.py"} {
		if a := r.get(path); a.status != http.StatusNotFound {
			t.Errorf("%s: %d", path, a.status)
		}
	}
}

// Of a file that is damaged or gone, nothing is sent.
func TestDamagedFiles(t *testing.T) {
	for name, damage := range map[string]func(path string) error{
		"damaged": func(path string) error { return os.WriteFile(path, []byte("print('ONE')\n"), 0o600) },
		"cut":     func(path string) error { return os.Truncate(path, 5) },
		"gone":    os.Remove,
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.give("stable", r.publish("one"))
			sum := blob.SumOf([]byte("print('one')\n")).String()
			r.must(damage(filepath.Join(r.dir, "blobs", sum[:2], sum)))
			a := r.get("/ota/badge/main.py")
			if a.status != http.StatusServiceUnavailable || strings.Contains(strings.ToLower(a.body), "print") {
				t.Errorf("%d %q", a.status, a.body)
			}
			if !strings.Contains(r.log.String(), sum) {
				t.Errorf("the log does not tell:\n%s", r.log.String())
			}
			// Publishing it again mends it.
			if _, err := r.server.Publish(t.Context(), r.ada(), "badge", r.publication()); err != nil {
				t.Error(err)
			}
			if a := r.get("/ota/badge/main.py"); a.body != "print('one')\n" {
				t.Errorf("mended: %d %q", a.status, a.body)
			}
		})
	}
}

// A file that is too large to be kept in memory.
func TestLargeFile(t *testing.T) {
	r := newRig(t)
	large := strings.Repeat("# 0123456789abcdef\n", 100_000)
	r.build(map[string]string{"main.py": "pass\n", "large.py": large}, r.key)
	rel, err := r.server.Publish(t.Context(), r.ada(), "badge", r.publication())
	r.must(err)
	r.give("stable", rel.Version())
	for range 2 {
		if a := r.get("/ota/badge/large.py"); a.status != http.StatusOK || a.body != large {
			t.Errorf("%d, %d bytes", a.status, len(a.body))
		}
	}
	if a := r.get("/ota/badge/large.py", "Range: bytes=1899990-"); a.status != http.StatusPartialContent || a.body != large[1899990:] {
		t.Errorf("a range: %d, %d bytes", a.status, len(a.body))
	}
	sum := blob.SumOf([]byte(large)).String()
	damaged := []byte(large)
	damaged[1_000_000] ^= 1
	r.must(os.WriteFile(filepath.Join(r.dir, "blobs", sum[:2], sum), damaged, 0o600))
	other := newRigServer(t, r)
	resp, err := http.Get(other + "/ota/badge/large.py")
	r.must(err)
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("damaged, from a server that has not seen it before: %d", resp.StatusCode)
	}
}

func TestKeysetsAreServed(t *testing.T) {
	r := newRig(t)
	second, err := release.GenerateKey(bytes.NewReader(bytes.Repeat([]byte{7}, 64)))
	r.must(err)
	_, err = release.NewChain(t.Context(), r.site, release.Keyset{App: "badge", Threshold: 1, Keys: []release.PublicKey{r.key.PublicKey()}}, r.key)
	r.must(err)
	_, err = release.ExtendChain(t.Context(), r.site, 1, []release.PublicKey{second.PublicKey()}, r.key, second)
	r.must(err)
	r.build(map[string]string{"main.py": "pass\n"}, second)
	rel, err := r.server.Publish(t.Context(), r.ada(), "badge", r.publication())
	r.must(err)
	r.give("stable", rel.Version())
	// A board with the first key finds its way to the second.
	r.must(r.verify(t.Context(), "/ota/badge/"))
	if a := r.get("/ota/badge/keys/2.json"); a.status != http.StatusOK || !strings.HasPrefix(a.body, "saguarota-keyset 1\n") {
		t.Errorf("%d %q", a.status, a.body)
	}
	// So does whoever asks for the release by its id; and a tool that builds on it finds
	// the whole chain.
	site := fmt.Sprintf("/release/badge/%x/", rel.Statement.Manifest.SHA256[:8])
	r.must(r.verify(t.Context(), site))
	src, err := release.NewURLSource(r.web.URL + site)
	r.must(err)
	if chain, err := release.ReadChain(t.Context(), src); err != nil || len(chain) != 2 {
		t.Errorf("%d keysets, %v", len(chain), err)
	}
	if a := r.get(site + "keys/2.json"); strings.Contains(a.header.Get("Cache-Control"), "immutable") {
		t.Error("a keyset, which may still get signatures, is kept for ever")
	}
	// What the server has need not be uploaded again.
	r.clock.Add(60)
	r.build(map[string]string{"main.py": "print(2)\n"}, second)
	p := r.publication()
	p.Keysets = nil
	_, err = r.server.Publish(t.Context(), r.ada(), "badge", p)
	r.must(err)
}
