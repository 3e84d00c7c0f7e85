package boardtest

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/cactuscon/saguarota/rehearse"
	signed "github.com/cactuscon/saguarota/release"
)

// Keysets that no board may follow.
func TestSignedRefusesKeyset(t *testing.T) {
	one := func(k ...signed.PrivateKey) []signed.PrivateKey { return k }
	// newer has the statement name a keyset, signed by its key, and the server serve files.
	newer := func(n int64, by signed.PrivateKey, files func(p *publisher) release) func(p *publisher) {
		return func(p *publisher) {
			p.keyset, p.signers, p.chain = n, one(by), files(p)
			p.sign()
		}
	}
	const k2, k3 = "keys/2.json", "keys/3.json"
	pair := func(p *publisher) { p.signers = one(keyA, keyB) }
	twoOfThree := trusting(2, keyA, keyB, keyC)
	mend := func(p *publisher) { p.set(trusting(1, keyA), "") }
	cases := []signedCase{
		{name: "not there", codes: "keyset_fetch_failed", message: "keys/2.json answered 404", hostile: newer(2, keyA, func(*publisher) release { return nil })},
		{name: "skips a step", codes: "keyset_fetch_failed", message: "keys/2.json answered 404", hostile: newer(3, keyB, func(p *publisher) release {
			return release{k3: keysetFile(p.t, 3, 1, one(keyB), keyA, keyB)}
		})},
		{name: "skips a step, under the name of the one between", codes: "keyset_invalid", message: "keyset 3 is not next to 1", hostile: newer(3, keyB, func(p *publisher) release {
			return release{k2: keysetFile(p.t, 3, 1, one(keyB), keyA, keyB)}
		})},
		{name: "stands still", codes: "keyset_invalid", message: "keyset 1 is not next to 1", hostile: newer(2, keyA, func(p *publisher) release {
			return release{k2: keysetFile(p.t, 1, 1, one(keyA), keyA)}
		})},
		{name: "signed by the old key only", codes: "keyset_invalid", message: "signed by 0 trusted keys, where it takes 1", hostile: newer(2, keyB, func(p *publisher) release {
			return release{k2: keysetFile(p.t, 2, 1, one(keyB), keyA)}
		})},
		{name: "signed by the new key only", codes: "keyset_invalid", message: "signed by 0 trusted keys, where it takes 1", hostile: newer(2, keyB, func(p *publisher) release {
			return release{k2: keysetFile(p.t, 2, 1, one(keyB), keyB)}
		})},
		{name: "signed by a thief only", codes: "keyset_invalid", message: "signed by 0 trusted keys, where it takes 1", hostile: newer(2, thief, func(p *publisher) release {
			return release{k2: keysetFile(p.t, 2, 1, one(thief), thief)}
		})},
		{name: "too few of the old keys", options: twoOfThree, codes: "keyset_invalid", message: "signed by 1 trusted keys, where it takes 2", mend: pair,
			hostile: newer(2, thief, func(p *publisher) release {
				return release{k2: keysetFile(p.t, 2, 1, one(thief), keyA, thief)}
			})},
		{name: "lowers its threshold without permission", options: twoOfThree, codes: "keyset_invalid", message: "signed by 1 trusted keys, where it takes 2", mend: pair,
			hostile: newer(2, keyA, func(p *publisher) release {
				return release{k2: keysetFile(p.t, 2, 1, one(keyA, keyB, keyC), keyA)}
			})},
		{name: "of another app", codes: "keyset_invalid", message: "for other, not badge", hostile: newer(2, keyB, func(p *publisher) release {
			k := signed.Keyset{App: "other", Version: 2, Threshold: 1, Keys: []signed.PublicKey{keyB.PublicKey()}}
			d, err := k.Document()
			if err != nil {
				p.t.Fatal(err)
			}
			for _, s := range one(keyA, keyB) {
				if err := d.Sign(p.t.Context(), s); err != nil {
					p.t.Fatal(err)
				}
			}
			return release{k2: string(d.Bytes())}
		})},
		{name: "a statement in its place", codes: "keyset_invalid", message: "line 1", hostile: newer(2, keyA, func(p *publisher) release { return release{k2: string(p.file(statementFile))} })},
		{name: "8 kB and one byte", codes: "keyset_invalid", message: "longer than 8192 bytes", hostile: newer(2, keyA, func(*publisher) release { return release{k2: strings.Repeat("x", 8193)} })},
		{name: "JSON bomb", codes: "keyset_invalid", message: "no value of app in its place", hostile: newer(2, keyB, func(p *publisher) release {
			return release{k2: strings.Replace(keysetFile(p.t, 2, 1, one(keyB), keyA, keyB), `{"app"`, `{"x":`+strings.Repeat(`{"y":[`, 900)+strings.Repeat("]}", 900)+`,"app"`, 1)}
		})},
		{name: "the farthest there is", codes: "keyset_fetch_failed", message: "keys/2.json answered 404", asked: 2, hostile: newer(1<<63-1, keyA, func(*publisher) release { return nil })},
	}
	for _, f := range []struct {
		name, code, message string
		answer              func(w http.ResponseWriter, r *http.Request)
	}{
		{"endless body", "keyset_invalid", "longer than 8192 bytes", endless},
		{"endless headers", "keyset_fetch_failed", "headers", endlessHeaders},
		{"endless redirects", "keyset_fetch_failed", "too many redirects", endlessRedirects},
		{"stall", "keyset_fetch_failed", "within 1 s", stall},
		{"dripping", "keyset_fetch_failed", "not done within download_deadline_s=1", drip},
		{"server error", "keyset_fetch_failed", "answered 500", status(500)},
	} {
		cases = append(cases, signedCase{name: f.name, options: "download_retries=0, http_timeout_s=1, download_deadline_s=1", codes: f.code, message: f.message, mend: mend,
			hostile: func(p *publisher) {
				newer(2, keyB, func(*publisher) release { return nil })(p)
				p.site.misbehave(on(k2, f.answer))
			}})
	}
	runSignedCases(t, cases)
}

// A board that was not told its application has it from the keyset that it followed.
func TestSignedAppOfKeyset(t *testing.T) {
	p := newPublisher(t, setup{options: fmt.Sprintf("public_keys=[%q]", keyA.PublicKey())})
	p.rotate(keyB)
	p.publish(200, release2)
	p.updates(release2)
	p.say = func(s *signed.Statement) { s.App = "other" }
	p.publish(300, release3)
	p.refuses("not_for_this_board", "for the application other, not badge")
	p.say = nil
	p.publish(301, release3)
	p.updates(release3)
}

// Whoever has the keys can write keysets without end; a poll ends nevertheless, and the next goes on.
func TestSignedEndlessChain(t *testing.T) {
	p := newPublisher(t, setup{})
	for range 40 {
		p.rotate(keyA)
	}
	p.publish(200, release2)
	p.site.asked()
	p.refuses("keyset_invalid", "more than 32 new keysets")
	if n := len(p.site.asked()); n != 1+32 {
		t.Errorf("the board asked for %d files", n)
	}
	p.updates(release2)
}

// A thief signs the highest version and the latest time that there are. With the next keyset,
// updates go on.
func TestSignedStolenKey(t *testing.T) {
	const most = 1<<63 - 1
	for _, tt := range []struct {
		name string
		main string
		says string
	}{
		{"confirmed", confirm, "confirmed True"},
		{"undone", "pass", "OTA: the update was not confirmed; undoing it"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			onBoth(t, func(t *testing.T, fs rehearse.FileSystem) {
				options := trusting(1, keyA) + ", trial_boots=1"
				p := newPublisher(t, setup{fs: fs, size: 2 << 20, options: options})
				p.publish(200, release2)
				p.updates(release2)
				p.set(options, tt.main)
				p.say = func(s *signed.Statement) { s.Time, s.Expires = most, most }
				evil := release2.with(release{"app.py": "NAME = 'two'\nEVIL = 1\n"})
				p.publish(most, evil)
				said := p.run()
				if tt.main == "pass" {
					said += p.run() + p.run()
				}
				says(t, said, "OTA: installed; restarting", tt.says)
				p.set(options, confirm)
				p.say = nil
				p.publish(300, release3)
				if tt.main != "pass" {
					p.refuses("rollback_refused", fmt.Sprintf("version 300 after version %d", int64(most)))
				}
				p.rotate(keyB)
				p.say = func(s *signed.Statement) { s.Time, s.Expires = 1_800_000_000, 4_000_000_000 }
				p.publish(201, release3)
				p.updates(release3)
				p.publish(202, release2)
				p.updates(release2)
			})
		})
	}
}

// The journal is lost while the release of a stolen key runs, with the highest version there is. What
// is installed is known all the same, so that the next keyset is a way on, and rollback stays refused.
func TestSignedJournalLost(t *testing.T) {
	const most = 1<<63 - 1
	for _, text := range []string{"", "\xff\xfegarbage"} {
		t.Run(fmt.Sprintf("%.8q", text), func(t *testing.T) {
			onBoth(t, func(t *testing.T, fs rehearse.FileSystem) {
				p := newPublisher(t, setup{fs: fs, size: 2 << 20})
				lose := func() {
					for _, name := range []string{"s0", "s1"} {
						p.write(stateFolder+"/"+name, text)
					}
				}
				p.publish(200, release2)
				p.updates(release2)
				evil := release2.with(release{"app.py": "NAME = 'two'\nEVIL = 1\n"})
				p.publish(most, evil)
				p.updates(evil)
				lose()
				p.publish(300, release3)
				p.refuses("rollback_refused", fmt.Sprintf("version 300 after version %d", int64(most)))
				p.rotate(keyB)
				p.publish(201, release3)
				p.updates(release3)
				lose()
				p.publish(200, release2)
				p.refuses("rollback_refused", "version 200 after version 201")
				p.publish(202, release2)
				p.updates(release2)
			})
		})
	}
}
