package boardtest

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cactuscon/saguarota/rehearse"
	signed "github.com/cactuscon/saguarota/release"
	"github.com/google/go-cmp/cmp"
)

// Two signed releases, one after the other, and polls with nothing to do between.
func TestSigned(t *testing.T) {
	onBoth(t, func(t *testing.T, fs rehearse.FileSystem) {
		p := newPublisher(t, setup{fs: fs, size: 2 << 20})
		p.publish(200, release2)
		p.updates(release2)
		p.idles()
		p.publish(300, release3)
		p.updates(release3)
		p.idles()
	})
}

// idles checks that a poll with nothing to do asks for the statement alone and writes nothing.
func (p *publisher) idles() {
	p.t.Helper()
	p.site.asked()
	p.board.Log = filepath.Join(p.t.TempDir(), "writes")
	said := p.bootTo(rehearse.AtREPL).Output
	says(p.t, said, fmt.Sprintf("OTA: no update: the server has version %d\n", p.site.current.Version), "error None None")
	if diff := cmp.Diff([]string{"versions.json.sig"}, p.site.asked()); diff != "" {
		p.t.Errorf("requests (-want +got):\n%s", diff)
	}
	if info, err := os.Stat(p.board.Log); err != nil {
		p.t.Error(err)
	} else if info.Size() != 0 {
		p.t.Errorf("the board wrote to its flash")
	}
	p.board.Log = ""
}

// A server that signs anew at each poll, as serve does, does not wear out the flash: a later time is
// kept only when it is later by hours.
func TestSignedPollsKeepFewTimes(t *testing.T) {
	onBoth(t, func(t *testing.T, fs rehearse.FileSystem) {
		const first, hour = 1_800_000_000, 3600
		p := newPublisher(t, setup{fs: fs, size: 2 << 20})
		signedAt := func(at int64) {
			p.say = func(s *signed.Statement) { s.Time, s.Expires = at, at+1000*hour }
			p.sign()
		}
		signedAt(first)
		p.publish(200, release2)
		p.updates(release2)
		for _, at := range []int64{first, first + 1, first + hour, first + 6*hour - 1} {
			signedAt(at)
			p.idles()
		}
		signedAt(first + 6*hour)
		if n := p.writes(); n == 0 {
			t.Error("a time 6 hours later was not written")
		}
		p.idles()
		signedAt(first + 12*hour - 1)
		p.idles()
		signedAt(first + 3*hour) // an older one, out of a cache
		p.idles()
	})
}

// A release that was undone and is still offered costs no writes either.
func TestSignedRejectedWritesNothing(t *testing.T) {
	onBoth(t, func(t *testing.T, fs rehearse.FileSystem) {
		p := newPublisher(t, setup{fs: fs, size: 2 << 20, options: trusting(1, keyA) + ", trial_boots=1", main: "pass"})
		p.say = func(s *signed.Statement) { s.Time, s.Expires = 1_800_000_000, 4_000_000_000 }
		p.publish(200, release2)
		says(t, p.run()+p.run()+p.run(), "OTA: installed; restarting", "OTA: the update was not confirmed; undoing it", "error version_rejected")
		p.say = func(s *signed.Statement) { s.Time, s.Expires = 1_800_003_600, 4_000_000_000 }
		p.sign()
		p.board.Log = filepath.Join(t.TempDir(), "writes")
		says(t, p.bootTo(rehearse.AtREPL).Output, "error version_rejected")
		if info, err := os.Stat(p.board.Log); err != nil || info.Size() != 0 {
			t.Errorf("the board wrote to its flash: %v, %v", info, err)
		}
	})
}

// writes boots with nothing to do, and returns how many bytes of log the writes to the flash made.
func (p *publisher) writes() int64 {
	p.t.Helper()
	p.board.Log = filepath.Join(p.t.TempDir(), "writes")
	defer func() { p.board.Log = "" }()
	says(p.t, p.bootTo(rehearse.AtREPL).Output, "OTA: no update")
	info, err := os.Stat(p.board.Log)
	if err != nil {
		p.t.Fatal(err)
	}
	return info.Size()
}

// The first signed release where there was none at all, and one that adds nothing.
func TestSignedFirst(t *testing.T) {
	p := newPublisher(t, setup{empty: true})
	p.publish(200, release1)
	says(t, p.run(), "OTA: installed; restarting", "confirmed True")
	p.holdsRelease(release1)
	p.idles()
}

// The version of what was never signed counts, so that turning signatures on is no way back.
func TestSignedAfterUnsigned(t *testing.T) {
	p := newPublisher(t, setup{})
	p.publish(factoryVersion-1, release2)
	p.idles()
	p.publish(factoryVersion, release2)
	p.idles()
	p.publish(factoryVersion+1, release2)
	p.updates(release2)
}

// Two of three keys.
func TestSignedThreshold(t *testing.T) {
	p := newPublisher(t, setup{options: trusting(2, keyA, keyB, keyC)})
	for i, signers := range [][]signed.PrivateKey{{keyA, keyB}, {keyC, keyB}, {keyA, keyC}, {keyA, keyB, keyC}, {thief, keyA, keyC}} {
		p.signers = signers
		rel := release2.with(release{"round.py": fmt.Sprintf("ROUND = %d\n", i)})
		p.publish(200+int64(i), rel)
		p.updates(rel)
	}
}

// Statements that name a board, and fit this one.
func TestSignedFor(t *testing.T) {
	for _, tt := range []struct {
		name    string
		options string
		say     func(s *signed.Statement)
	}{
		{"app, told to nobody", trusting(1, keyA) + ", app=None", func(s *signed.Statement) { s.App = "anything" }},
		{"channel, by default", "", func(s *signed.Statement) { s.Channels = []string{"beta", signed.DefaultChannel} }},
		{"channel", "channel='beta'", func(s *signed.Statement) { s.Channels = []string{"beta", "stable"} }},
		{"board", "board='badge-2026'", func(s *signed.Statement) { s.Boards = []string{"badge-2025", "badge-2026"} }},
		{"platform", "", func(s *signed.Statement) { s.Boards = []string{"esp32", "linux"} }},
		{"platform, of a board with a name", "board='badge-2026'", func(s *signed.Statement) { s.Boards = []string{"linux"} }},
		{"mpy", "", func(s *signed.Statement) { s.MPY = "6" }},
		{"micropython", "", func(s *signed.Statement) { s.MicroPython = "1.22" }},
		{"expires", "", func(s *signed.Statement) { s.Time, s.Expires = 1_800_000_000, 4_000_000_000 }},
		{"everything", "", func(s *signed.Statement) {
			s.Name, s.Channels, s.Boards, s.MPY, s.MicroPython = "1.4.2 ä€", []string{"stable"}, []string{"linux"}, "6", "1.20"
			s.Time, s.Expires = 1_800_000_000, 4_000_000_000
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := newPublisher(t, setup{options: tt.options})
			p.say = tt.say
			p.publish(200, release2)
			p.updates(release2)
		})
	}
}

// Keysets 1, 2 and 3 in one poll; what was followed survives reboots and power cuts.
func TestSignedRotation(t *testing.T) {
	p := newPublisher(t, setup{})
	p.publish(200, release2)
	p.updates(release2)
	p.rotate(keyB)
	p.rotate(keyC)
	p.publish(300, release3)
	p.site.asked()
	p.updates(release3)
	asked := p.site.asked()
	if diff := cmp.Diff([]string{"versions.json.sig", "keys/2.json", "keys/3.json", "versions.json"}, asked[:min(4, len(asked))]); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	// Nothing of the way is asked for again.
	p.idles()
	p.chain = release{}
	p.publish(400, release2)
	p.updates(release2)
	// The keys of before are worth nothing any more, whatever number they write on it.
	for _, k := range []signed.PrivateKey{keyA, keyB} {
		p.signers = []signed.PrivateKey{k}
		p.publish(500, release3)
		p.refuses("statement_signature_invalid", "signed by 0 trusted keys, where it takes 1")
	}
	p.signers = []signed.PrivateKey{keyA}
	p.keyset = 1
	p.publish(500, release3)
	p.refuses("rollback_refused", "keyset 1 after keyset 3")
}

// The power is cut at any write of a poll that follows two keysets.
func TestSignedRotationCut(t *testing.T) {
	onBoth(t, func(t *testing.T, fs rehearse.FileSystem) {
		p := newPublisher(t, setup{fs: fs, size: 2 << 20})
		p.publish(200, release2)
		p.updates(release2)
		p.rotate(keyB)
		p.rotate(keyC)
		// There is nothing to install under the new keys yet.
		p.say = func(s *signed.Statement) { s.Boards = []string{"another"} }
		p.publish(300, release3)
		base := filepath.Join(t.TempDir(), "base.img")
		if err := p.board.CopyImage(base); err != nil {
			t.Fatal(err)
		}
		p.board.Log = filepath.Join(t.TempDir(), "writes")
		p.refuses("not_for_this_board", "not for this board")
		log, err := rehearse.ReadLog(p.board.Log)
		if err != nil {
			t.Fatal(err)
		}
		p.board.Log = ""
		if len(log) < 4 {
			t.Fatalf("the board wrote %d times", len(log))
		}
		p.say = nil
		p.sign()
		for n := range log {
			for _, torn := range []int{0, log[n].Length / 2} {
				if err := p.board.ReplayTo(base, log, n, torn); err != nil {
					t.Fatal(err)
				}
				// A plan for this board now, of keyset 3, whatever the flash knows.
				said := p.bootTo(rehearse.Reset).Output
				says(t, said, "OTA: installed; restarting")
				if t.Failed() {
					t.Fatalf("after %d of %d writes, and %d bytes", n, len(log), torn)
				}
			}
		}
	})
}

// What the flash does to the memory of keysets: either file damaged, and both.
func TestSignedKeysDamaged(t *testing.T) {
	for _, names := range [][]string{{"k0"}, {"k1"}, {"k0", "k1"}} {
		for _, text := range []string{"", "\xff\xfegarbage", strings.Repeat("x\t", 2000), "otakeys1\t99\tbadge\t9\t1\t0\tAAAA\tdeadbeef\n"} {
			t.Run(strings.Join(names, " and ")+fmt.Sprintf(" %.8q", text), func(t *testing.T) {
				t.Parallel()
				p := newPublisher(t, setup{})
				p.rotate(keyB)
				p.rotate(keyC)
				p.publish(200, release2)
				p.updates(release2)
				for _, name := range names {
					p.write(stateFolder+"/"+name, text)
				}
				p.publish(300, release3)
				p.updates(release3)
			})
		}
	}
}

// Keys are in the options, too: of a later keyset than the one that was followed, they count.
func TestSignedKeysInOptions(t *testing.T) {
	p := newPublisher(t, setup{})
	p.say = func(s *signed.Statement) { s.Time, s.Expires = 1_800_000_000, 4_000_000_000 }
	p.publish(200, release2)
	p.updates(release2)
	// Key A is withdrawn by another boot.py, with no keyset.
	p.set(trusting(1, keyB), "")
	p.publish(300, release3)
	p.refuses("statement_signature_invalid", "signed by 0 trusted keys")
	p.signers = []signed.PrivateKey{keyB}
	p.publish(300, release3)
	p.updates(release3)
	// And by one of keyset 5.
	p.set(trusting(1, keyC)+", keyset=5", "")
	p.publish(400, release2)
	p.refuses("rollback_refused", "keyset 1 after keyset 5")
	p.signers, p.keyset = []signed.PrivateKey{keyC}, 5
	p.publish(400, release2)
	p.updates(release2)
	p.rotate(keyD)
	p.publish(500, release3)
	p.updates(release3)
	// The older options of a release that was undone do not bring back the older keys.
	p.set(trusting(1, keyC)+", keyset=5", "")
	p.publish(600, release2)
	p.updates(release2)
}

// With force_update, what is installed is installed again, if it is signed.
func TestSignedForceUpdate(t *testing.T) {
	p := newPublisher(t, setup{})
	p.publish(200, release2)
	p.updates(release2)
	p.set(trusting(1, keyA)+", force_update=True", "")
	p.site.asked()
	says(t, p.bootTo(rehearse.Reset).Output, "OTA: installed; restarting")
	if asked := p.site.asked(); !slices.Contains(asked, "app.py") || !slices.Contains(asked, "main.py") {
		t.Errorf("the board asked for %q", asked)
	}
	p.set(trusting(1, keyA), "")
	says(t, p.run(), "confirmed True")
	p.holdsRelease(release2)
	p.set(trusting(1, keyA)+", force_update=True", "")
	p.signers = []signed.PrivateKey{thief}
	p.publish(300, release3)
	p.refuses("statement_signature_invalid", "signed by 0 trusted keys")
}

// fetch_manifest returns what is signed, and nothing else.
func TestSignedFetchManifest(t *testing.T) {
	const show = `m = ota.fetch_manifest()
print("fetched", m and (m["version"], [f["path"] for f in m["files"]]), ota.last_error_code)`
	p := newPublisher(t, setup{main: show})
	p.say = func(s *signed.Statement) { s.Time, s.Expires = 1_800_000_000, 4_000_000_000 }
	p.publish(factoryVersion, release1) // not newer, and shown all the same
	paths := slices.Sorted(maps.Keys(release1))
	says(t, p.bootTo(rehearse.AtREPL).Output, "error None", fmt.Sprintf("fetched (100, ['%s']) None", strings.Join(paths, "', '")))
	p.signers = []signed.PrivateKey{thief}
	p.sign()
	says(t, p.refuses("statement_signature_invalid", ""), "fetched None statement_signature_invalid")
	p.signers = []signed.PrivateKey{keyA}
	p.sign()
	p.site.offerBytes(append(p.site.manifest, ' '))
	// What was signed lies in flash.
	says(t, p.bootTo(rehearse.AtREPL).Output, "error None", "fetched (100, ")
	p.remove("saguarota_backup/manifest.n")
	says(t, p.bootTo(rehearse.AtREPL).Output, "error None", "fetched None manifest_mismatch")
}

// Who sends all this is not known without https and a certificate. That is said once.
func TestSignedTransport(t *testing.T) {
	p := newPublisher(t, setup{main: "ota.fetch_manifest()\nota.check_and_perform_ota()"})
	p.publish(factoryVersion, release1)
	said := p.bootTo(rehearse.AtREPL).Output
	if n := strings.Count(said, "OTA: warning: the server is not authenticated; what it sends must be signed"); n != 1 {
		t.Errorf("the board warned %d times:\n%s", n, said)
	}
}
