package httpapi_test

import (
	"bytes"
	"errors"
	"io/fs"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/cactuscon/saguarota/fleet"
	"github.com/cactuscon/saguarota/fleet/httpapi"
	"github.com/cactuscon/saguarota/release"
)

// newRigServer returns the URL of one more server of the same fleet.
func newRigServer(t *testing.T, r *rig) string {
	web := httptest.NewServer(r.newServer().Handler())
	t.Cleanup(web.Close)
	return web.URL
}

func TestPublishRefuses(t *testing.T) {
	thief, err := release.GenerateKey(bytes.NewReader(bytes.Repeat([]byte{9}, 64)))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{"main.py": "pass\n"}
	for name, c := range map[string]struct {
		publication func(r *rig) httpapi.Publication
		want        error
	}{
		"another key": {func(r *rig) httpapi.Publication {
			r.build(files, thief)
			return r.publication()
		}, release.ErrThreshold},
		"another application": {func(r *rig) httpapi.Publication {
			r.build(files, r.key, func(s *release.Statement) { s.App = "other" })
			return r.publication()
		}, release.ErrApp},
		"another manifest": {func(r *rig) httpapi.Publication {
			r.build(files, r.key)
			p := r.publication()
			p.Manifest = bytes.Replace(p.Manifest, []byte("main"), []byte("niam"), 1)
			return p
		}, release.ErrContent},
		"a file that was not uploaded": {func(r *rig) httpapi.Publication {
			r.build(files, r.key)
			p := r.publication()
			r.build(map[string]string{"main.py": "pass\n", "new.py": "pass # new\n"}, r.key)
			p = httpapi.Publication{Statement: r.read(release.StatementName), Manifest: r.read(release.ManifestName), Keysets: p.Keysets}
			return p
		}, fs.ErrNotExist},
		"a file without a size": {func(r *rig) httpapi.Publication {
			b := r.build(files, r.key)
			p := r.publication()
			p.Manifest = regexp.MustCompile(`"size": *[0-9]+, *`).ReplaceAll(p.Manifest, nil)
			statement := *b.Statement
			statement.Manifest = release.PinOf(p.Manifest)
			doc, err := statement.Document()
			r.must(err)
			r.must(doc.Sign(r.t.Context(), r.key))
			p.Statement = doc.Bytes()
			return p
		}, release.ErrContent},
		"no statement": {func(*rig) httpapi.Publication { return httpapi.Publication{} }, release.ErrFormat},
		"a keyset that is not there": {func(r *rig) httpapi.Publication {
			_, err := release.NewChain(r.t.Context(), r.site, release.Keyset{App: "badge", Threshold: 1, Keys: []release.PublicKey{r.key.PublicKey()}}, r.key)
			r.must(err)
			_, err = release.ExtendChain(r.t.Context(), r.site, 1, []release.PublicKey{thief.PublicKey()}, r.key, thief)
			r.must(err)
			r.build(files, thief)
			p := r.publication()
			p.Keysets = nil
			return p
		}, fs.ErrNotExist},
	} {
		r := newRig(t)
		p := c.publication(r)
		if _, err := r.server.Publish(t.Context(), r.ada(), "badge", p); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		snap, err := r.store.Snapshot(t.Context(), nil)
		r.must(err)
		if n := len(snap.Views["badge"].Releases); n != 0 {
			t.Errorf("%s: there are %d releases", name, n)
		}
	}
}

func TestPublishOrder(t *testing.T) {
	r := newRig(t)
	r.build(map[string]string{"main.py": "one\n"}, r.key)
	first := r.publication()
	r.build(map[string]string{"main.py": "two\n"}, r.key)
	second := r.publication()
	if _, err := r.server.Publish(t.Context(), r.ada(), "badge", second); err != nil {
		t.Fatal(err)
	}
	if _, err := r.server.Publish(t.Context(), r.ada(), "badge", second); err != nil {
		t.Errorf("again: %v", err)
	}
	if _, err := r.server.Publish(t.Context(), r.ada(), "badge", first); !errors.Is(err, fleet.ErrOlder) {
		t.Errorf("an older one: %v", err)
	}
	if _, err := r.server.Publish(t.Context(), r.ada(), "nope", second); !errors.Is(err, fleet.ErrNotFound) {
		t.Errorf("to another application: %v", err)
	}
	// What is published is offered to nobody until something points to it.
	if got := r.poll(fleet.Report{ID: "b1"}); got != 0 {
		t.Errorf("offered %d", got)
	}
	if strings.Contains(r.log.String(), "level=ERROR") {
		t.Error(r.log.String())
	}
}
