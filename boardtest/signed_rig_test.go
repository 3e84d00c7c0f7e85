package boardtest

import (
	"bytes"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/cactuscon/saguarota/rehearse"
	signed "github.com/cactuscon/saguarota/release"
)

// The application whose releases the tests sign.
const signedApp = "badge"

// testKey returns the n-th private key, the same in every run.
func testKey(n byte) signed.PrivateKey {
	k, err := signed.GenerateKey(bytes.NewReader(bytes.Repeat([]byte{n}, 32)))
	if err != nil {
		panic(err) // of 32 bytes of random, which are there
	}
	return k
}

// The keys of the tests: a, b and c of keyset 1, d of a later one, and a thief's.
var keyA, keyB, keyC, keyD, thief = testKey(1), testKey(2), testKey(3), testKey(4), testKey(5)

// A publisher signs what the site of a rig offers.
type publisher struct {
	*rig
	keyset  int64
	signers []signed.PrivateKey
	chain   release // keys/<n>.json, as they are served
	say     func(s *signed.Statement)
}

// clockPy is a file on the board of a publisher with which options may change what is otherwise
// not theirs: the clock, the patience, what lies on the flash.
const clockPy = `import sys
import time as real

class Clock:
    def __getattr__(self, name):
        return getattr(real, name)

def at(now):
    clock = Clock()
    clock.time = lambda: now # no method: those cannot be imported by name
    sys.modules["time"] = clock
    return {}

def no_mpy():
    # a firmware that loads no .mpy files
    class Sys:
        def __getattr__(self, name):
            return getattr(sys, name)
    class Implementation:
        version = sys.implementation.version
    fake = Sys()
    fake.implementation = Implementation()
    sys.modules["sys"] = fake
    return {}

def grace(ms):
    import saguarota.pace
    saguarota.pace._GRACE_MS = ms
    return {}

def tamper(event, path, of):
    # flip a bit of a staged file as soon as there is such an event
    import os
    def show(e, details):
        if e != event or details.get("path") != path:
            return
        for line in open("saguarota_backup/todo") if of != "manifest" else ():
            f = line.rstrip("\n").split("\t")
            if f[8] == of:
                break
        else:
            f = (0, "manifest")
        with open("saguarota_backup/" + f[1] + ".n", "r+b") as f:
            f.seek(-3, 2)
            c = f.read(1)[0]
            f.seek(-3, 2)
            f.write(bytes((c ^ 1,)))
        print("tampered with", of)
    return {"progress_callback": show}
`

// trusting returns the options of a board that trusts some keys.
func trusting(threshold int, keys ...signed.PrivateKey) string {
	var list []string
	for _, k := range keys {
		list = append(list, fmt.Sprintf("%q", k.PublicKey().String()))
	}
	return fmt.Sprintf("app=%q, public_keys=[%s], threshold=%d", signedApp, strings.Join(list, ", "), threshold)
}

// newPublisher makes a board that trusts key A alone, unless the options say otherwise, and its
// publisher. The board runs release1, which nobody signed.
func newPublisher(t *testing.T, s setup) *publisher {
	t.Helper()
	if !strings.Contains(s.options, "public_keys") {
		if s.options != "" {
			s.options = ", " + s.options
		}
		s.options = trusting(1, keyA) + s.options
	}
	p := &publisher{rig: newRig(t, s), keyset: 1, signers: []signed.PrivateKey{keyA}, chain: release{}}
	p.write("clock.py", clockPy)
	return p
}

// publish offers a signed release.
func (p *publisher) publish(version int64, r release) {
	p.t.Helper()
	p.site.publish(version, r)
	p.sign()
}

// statement returns the statement of what the site offers, changed by say, without a signature.
func (p *publisher) statement() *signed.Document {
	p.t.Helper()
	s := &signed.Statement{
		App:      signedApp,
		Version:  p.site.current.Version,
		Manifest: signed.PinOf(p.site.manifest),
		Keyset:   p.keyset,
	}
	if p.say != nil {
		p.say(s)
	}
	d, err := s.Document()
	if err != nil {
		p.t.Fatal(err)
	}
	return d
}

// sign signs what the site offers, as it is.
func (p *publisher) sign() {
	p.t.Helper()
	d := p.statement()
	for _, k := range p.signers {
		if err := d.Sign(p.t.Context(), k); err != nil {
			p.t.Fatal(err)
		}
	}
	p.serve(p.chain)
	p.serve(release{signed.StatementName: string(d.Bytes())})
}

// serve offers files that are part of no release, or others in their places.
func (p *publisher) serve(files release) {
	p.site.mu.Lock()
	defer p.site.mu.Unlock()
	maps.Copy(p.site.files, files)
}

// file returns a file that is on offer.
func (p *publisher) file(name string) []byte {
	p.site.mu.Lock()
	defer p.site.mu.Unlock()
	return []byte(p.site.files[name])
}

// keysetFile returns a keyset, signed.
func keysetFile(t *testing.T, version int64, threshold int, keys []signed.PrivateKey, signers ...signed.PrivateKey) string {
	t.Helper()
	k := signed.Keyset{App: signedApp, Version: version, Threshold: threshold}
	for _, key := range keys {
		k.Keys = append(k.Keys, key.PublicKey())
	}
	d, err := k.Document()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range signers {
		if err := d.Sign(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	return string(d.Bytes())
}

// rotate has the publisher go on to a keyset with one key, signed by the keys before and by it.
func (p *publisher) rotate(to signed.PrivateKey) {
	p.t.Helper()
	p.keyset++
	p.chain[signed.KeysetName(p.keyset)] = keysetFile(p.t, p.keyset, 1, []signed.PrivateKey{to}, append(p.signers, to)...)
	p.signers = []signed.PrivateKey{to}
}

// refuses checks that a boot ends in one of the error codes and has changed nothing.
func (p *publisher) refuses(codes string, message string) string {
	p.t.Helper()
	before := p.live()
	said := p.bootTo(rehearse.AtREPL).Output
	_, after, _ := strings.Cut(said, "\nerror ")
	code, text, _ := strings.Cut(after, " ")
	text, rest, _ := strings.Cut(text, "\n")
	if !strings.Contains(" "+codes+" ", " "+code+" ") || !strings.Contains(text, message) {
		p.t.Errorf("the board ended with %q %q, want %q %q; it said\n%s", code, text, codes, message, said)
	}
	if !strings.HasPrefix(rest, "app ") {
		p.t.Errorf("the application did not run; the board said\n%s", said)
	}
	saysNot(p.t, said, "OTA: installed")
	p.holds(before)
	return said
}
