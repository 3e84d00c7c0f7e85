package boardtest

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cactuscon/saguarota/manifest"
	"github.com/cactuscon/saguarota/rehearse"
	signed "github.com/cactuscon/saguarota/release"
)

// A signedCase is something that a server, a network or a thief does to a board that trusts key A,
// runs release1 and is offered release2, signed. The board must refuse it, and then update to the
// next honest release.
type signedCase struct {
	name    string
	options string
	fs      rehearse.FileSystem
	hostile func(p *publisher) // makes the case of an honest site
	codes   string             // any of these
	message string
	says    string // more of what the board says
	asked   int    // requests in that boot, if not 0
	mend    func(p *publisher)
}

func runSignedCases(t *testing.T, cases []signedCase) {
	t.Helper()
	for _, tt := range cases {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := newPublisher(t, setup{fs: tt.fs, options: tt.options})
			honest := *p
			p.publish(200, release2)
			tt.hostile(p)
			p.site.asked()
			says(t, p.refuses(tt.codes, tt.message), tt.says)
			if n := len(p.site.asked()); tt.asked != 0 && n != tt.asked {
				t.Errorf("the board asked for %d files, want %d", n, tt.asked)
			}
			p.site.misbehave(nil)
			p.keyset, p.signers, p.chain, p.say = honest.keyset, honest.signers, release{}, nil
			if tt.mend != nil {
				tt.mend(p)
			}
			p.publish(300, release3)
			p.updates(release3)
		})
	}
}

// signedBy has the statement signed by other keys.
func signedBy(keys ...signed.PrivateKey) func(p *publisher) {
	return func(p *publisher) {
		p.signers = keys
		p.sign()
	}
}

// saying has the statement say something else, signed as it should be.
func saying(say func(s *signed.Statement)) func(p *publisher) {
	return func(p *publisher) {
		p.say = say
		p.sign()
	}
}

// answering has the server answer requests of one file in its own way.
func answering(name string, answer func(w http.ResponseWriter, r *http.Request)) func(p *publisher) {
	return func(p *publisher) { p.site.misbehave(on(name, answer)) }
}

// serving has the server send other bytes as one of its files.
func serving(name string, change func(p *publisher, honest []byte) []byte) func(p *publisher) {
	return func(p *publisher) {
		if name == "versions.json" {
			p.site.offerBytes(change(p, p.site.manifest))
			return
		}
		p.serve(release{name: string(change(p, p.file(name)))})
	}
}

// resigned signs other bytes than those of a manifest that anybody would write.
func resigned(change func(p *publisher, honest []byte) []byte) func(p *publisher) {
	return func(p *publisher) {
		p.site.offerBytes(change(p, p.site.manifest))
		p.sign()
	}
}

const statementFile = signed.StatementName

// endless is a body that never ends.
func endless(w http.ResponseWriter, _ *http.Request) {
	block := bytes.Repeat([]byte("x"), 4096)
	for {
		if _, err := w.Write(block); err != nil {
			return
		}
	}
}

// endlessHeaders never comes to its body.
func endlessHeaders(w http.ResponseWriter, _ *http.Request) {
	conn, buf, err := w.(http.Hijacker).Hijack()
	if err != nil {
		panic(err)
	}
	defer conn.Close()
	buf.WriteString("HTTP/1.1 200 OK\r\n")
	for i := 0; ; i++ {
		if _, err := fmt.Fprintf(buf, "X-%d: %s\r\n", i, strings.Repeat("y", 100)); err != nil {
			return
		}
	}
}

func endlessRedirects(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, r.URL.Path+"?again", http.StatusFound)
}

// stall answers with the beginning of a body and then nothing.
func stall(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Length", "1000")
	w.Write([]byte("sag"))
	w.(http.Flusher).Flush()
	<-r.Context().Done()
}

// drip answers with a few bytes a second, for ever: of a body, that is, which looks alive.
func drip(w http.ResponseWriter, r *http.Request) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := w.Write([]byte(" ")); err != nil {
			return
		}
		w.(http.Flusher).Flush()
		select {
		case <-tick.C:
		case <-r.Context().Done():
			return
		}
	}
}

// Documents that are not signed as they must be, or not for this board.
func TestSignedRefusesStatement(t *testing.T) {
	twoOfThree := trusting(2, keyA, keyB, keyC)
	pair := func(p *publisher) { p.signers = []signed.PrivateKey{keyA, keyB} }
	hour := int64(3600)
	now := time.Now().Unix()
	runSignedCases(t, []signedCase{
		{name: "no statement", codes: "statement_fetch_failed", message: "answered 404", asked: 1,
			hostile: answering(statementFile, status(404))},
		{name: "empty", codes: "statement_invalid", hostile: serving(statementFile, func(*publisher, []byte) []byte { return nil })},
		{name: "a manifest as the statement", codes: "statement_invalid", message: "line 1",
			hostile: serving(statementFile, func(p *publisher, _ []byte) []byte { return p.site.manifest[:min(4096, len(p.site.manifest))] })},
		{name: "cut short", codes: "statement_invalid", hostile: serving(statementFile, func(_ *publisher, b []byte) []byte { return b[:len(b)-1] })},
		{name: "another statement's text", codes: "statement_signature_invalid", message: "signature of ",
			hostile: serving(statementFile, func(_ *publisher, b []byte) []byte {
				return bytes.Replace(b, []byte(`"version":200`), []byte(`"version":201`), 1)
			})},
		{name: "a keyset's signature", codes: "statement_signature_invalid", message: "signature of ",
			hostile: serving(statementFile, func(p *publisher, b []byte) []byte {
				// The text of the statement under the header of a keyset, for key A to sign.
				other := keysetFile(p.t, 1, 1, []signed.PrivateKey{keyA}, keyA)
				i, j := bytes.LastIndexByte(b[:len(b)-1], '\n')+1, strings.LastIndexByte(other[:len(other)-1], '\n')+1
				return append(bytes.Clone(b[:i]), other[j:]...)
			})},
		{name: "signed by nobody", codes: "statement_signature_invalid", message: "signed by 0 trusted keys, where it takes 1", asked: 1, hostile: signedBy()},
		{name: "unknown key", codes: "statement_signature_invalid", message: "signed by 0 trusted keys, where it takes 1", asked: 1, hostile: signedBy(thief)},
		{name: "unknown key under a known name", codes: "statement_signature_invalid", message: string(keyA.PublicKey().ID()),
			hostile: func(p *publisher) {
				signedBy(thief)(p)
				serving(statementFile, func(_ *publisher, b []byte) []byte {
					return bytes.Replace(b, []byte(thief.PublicKey().ID()), []byte(keyA.PublicKey().ID()), 1)
				})(p)
			}},
		{name: "one of two signatures", options: twoOfThree, codes: "statement_signature_invalid", message: "signed by 1 trusted keys, where it takes 2",
			hostile: signedBy(keyB), mend: pair},
		{name: "one of two signatures, and a thief's", options: twoOfThree, codes: "statement_signature_invalid", message: "signed by 1 trusted keys, where it takes 2",
			hostile: signedBy(keyB, thief), mend: pair},
		{name: "one signature twice", options: twoOfThree, codes: "statement_invalid", message: "order", mend: pair,
			hostile: serving(statementFile, func(_ *publisher, b []byte) []byte {
				i := bytes.LastIndexByte(b[:len(b)-1], '\n') + 1
				return append(bytes.Clone(b), b[i:]...)
			})},
		{name: "one key counted twice", options: trusting(2, keyA, keyA), codes: "statement_signature_invalid", message: "signed by 1 trusted keys, where it takes 2",
			hostile: signedBy(keyA), mend: func(p *publisher) { p.set(trusting(2, keyA, keyB), ""); pair(p) }},
		{name: "a small-order key and the signature that fits anything", options: fmt.Sprintf("app=%q, public_keys=['AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=', %q]", signedApp, keyA.PublicKey()),
			codes: "statement_signature_invalid", message: "signature of ",
			hostile: serving(statementFile, func(_ *publisher, b []byte) []byte {
				// R the neutral element and S zero: true for every message where the key is neutral, too.
				id := signed.PublicKey{1}.ID()
				i := bytes.IndexByte(b[bytes.IndexByte(b, '\n')+1:], '\n') + bytes.IndexByte(b, '\n') + 2
				return fmt.Appendf(bytes.Clone(b[:i]), "%s AQ%s==\n", id, strings.Repeat("A", 84))
			})},

		{name: "another app", codes: "not_for_this_board", message: "for the application other, not badge", hostile: saying(func(s *signed.Statement) { s.App = "other" })},
		{name: "another app, of a newer keyset", codes: "not_for_this_board", message: "for the application other, not badge", asked: 1,
			hostile: saying(func(s *signed.Statement) { s.App, s.Keyset = "other", 2 })},
		{name: "another channel", codes: "not_for_this_board", message: "channel stable", hostile: saying(func(s *signed.Statement) { s.Channels = []string{"beta"} })},
		{name: "another board", codes: "not_for_this_board", message: "linux", hostile: saying(func(s *signed.Statement) { s.Boards = []string{"esp32", "rp2"} })},
		{name: "another board than the option says", options: "board='badge-2026'", codes: "not_for_this_board", message: "badge-2026",
			hostile: saying(func(s *signed.Statement) { s.Boards = []string{"badge-2025"} })},
		{name: "another .mpy ABI", codes: "not_for_this_board", message: "it needs the .mpy format 5", hostile: saying(func(s *signed.Statement) { s.MPY = "5" })},
		{name: "another .mpy ABI for native code", codes: "not_for_this_board", message: "it needs the .mpy format 6.0", hostile: saying(func(s *signed.Statement) { s.MPY = "6.0" })},
		{name: "a newer MicroPython", codes: "not_for_this_board", message: "it needs MicroPython 9.1", hostile: saying(func(s *signed.Statement) { s.MicroPython = "9.1" })},

		{name: "expired", codes: "release_expired", message: "it expired at ", asked: 1,
			hostile: saying(func(s *signed.Statement) { s.Time, s.Expires = now-2*hour, now-hour })},
		{name: "expired by the clock", options: "**__import__('clock').at(1900000000)", codes: "release_expired", message: "it expired at 1899999999, and it is 1900000000",
			hostile: saying(func(s *signed.Statement) { s.Time, s.Expires = 1800000000, 1899999999 })},
		{name: "expired, says an FAT board", fs: rehearse.FAT, codes: "release_expired", message: "it expired at ",
			hostile: saying(func(s *signed.Statement) { s.Time, s.Expires = now-2*hour, now-hour })},

		{name: "4 kB and one byte", codes: "statement_invalid", message: "longer than 4096 bytes",
			hostile: serving(statementFile, func(_ *publisher, b []byte) []byte { return append(b, bytes.Repeat([]byte("x"), 4097-len(b))...) })},
		{name: "JSON bomb", codes: "statement_invalid", message: "no value of app in its place",
			hostile: serving(statementFile, func(_ *publisher, b []byte) []byte {
				return bytes.Replace(b, []byte(`{"app"`), []byte(`{"x":`+strings.Repeat("[", 1500)+strings.Repeat("]", 1500)+`,"app"`), 1)
			})},
		{name: "JSON bomb behind the known keys", codes: "statement_signature_invalid", message: "wrong signature of ",
			hostile: serving(statementFile, func(_ *publisher, b []byte) []byte {
				return bytes.Replace(b, []byte("}\n"), []byte(`,"x":`+strings.Repeat("[", 1500)+strings.Repeat("]", 1500)+"}\n"), 1)
			})},
		{name: "a number of 3,000 digits", codes: "statement_invalid",
			hostile: serving(statementFile, func(_ *publisher, b []byte) []byte {
				return bytes.Replace(b, []byte(`"version":200`), []byte(`"version":`+strings.Repeat("9", 3000)), 1)
			})},
		{name: "400 keys", codes: "statement_invalid", message: "no value of app in its place",
			hostile: serving(statementFile, func(_ *publisher, b []byte) []byte {
				var more strings.Builder
				for i := range 400 {
					fmt.Fprintf(&more, `"x%d":0,`, i)
				}
				return bytes.Replace(b, []byte(`{"app"`), []byte(`{`+more.String()+`"app"`), 1)
			})},
		{name: "recursive mode", options: "recurse_http_fs=True", codes: "statement_signature_invalid", message: "nothing is signed in the recursive mode",
			hostile: func(*publisher) {}, mend: func(p *publisher) { p.set(trusting(1, keyA), "") }},
		{name: "no manifest URL", options: "manifest_url=None", codes: "statement_signature_invalid", message: "nothing is signed in the recursive mode",
			hostile: func(*publisher) {}, mend: func(p *publisher) { p.set(trusting(1, keyA), "") }},
	})
}

// Options that hold no key, or make no sense, are no reason to trust anybody.
func TestSignedRefusesOptions(t *testing.T) {
	one := fmt.Sprintf("public_keys=[%q], ", keyA.PublicKey())
	p := newPublisher(t, setup{})
	p.publish(200, release2)
	for _, options := range []string{
		"public_keys=['garbage']", "public_keys=['AAAA']", "public_keys='AAAA'", "public_keys=['']", "public_keys=''",
		"public_keys=[None]", "public_keys=[5]", "public_keys=5", "public_keys=b'x'", "public_keys=[['a']]", "public_keys=True",
		fmt.Sprintf("public_keys=[%q, 'AAAA']", keyA.PublicKey()),
		one + "threshold=2", one + "threshold=0", one + "threshold=-1", one + "threshold='one'", one + "threshold=[]",
		one + "threshold=0.5", one + "threshold=True", one + "keyset='x'", one + "keyset=0", one + "keyset=1<<64",
	} {
		t.Run(options, func(t *testing.T) {
			p := &publisher{rig: &rig{t: t, board: p.board, site: p.site, setup: p.setup}}
			p.set(options, "")
			p.site.asked()
			p.refuses("keyset_invalid", "")
			if asked := p.site.asked(); len(asked) != 0 {
				t.Errorf("the board asked for %q", asked)
			}
		})
	}
	p.set(trusting(1, keyA), "")
	p.updates(release2)
}

// Manifests and files that are not what was signed.
func TestSignedRefusesContent(t *testing.T) {
	const slow = "download_retries=0, http_timeout_s=1"
	million := func(*publisher, []byte) []byte {
		var b bytes.Buffer
		b.WriteString(`{"version":200,"files":[`)
		for i := range 1_000_000 {
			if i > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, `{"path":"f%d","version":200}`, i)
		}
		b.WriteString(`]}`)
		return b.Bytes()
	}
	path := func(n int) func(*publisher, []byte) []byte {
		return func(_ *publisher, b []byte) []byte {
			return bytes.Replace(b, []byte(`"app.py"`), []byte(`"`+strings.Repeat("a", n)+`"`), 1)
		}
	}
	drop := func(key string) func(p *publisher, b []byte) []byte {
		return func(p *publisher, _ []byte) []byte {
			m := *p.site.current
			m.Files = append([]manifest.File(nil), m.Files...)
			for i := range m.Files {
				if key == "all" {
					m.Files[i].MD5 = ""
				}
				m.Files[i].SHA256 = ""
			}
			data, err := m.Encode(2)
			if err != nil {
				p.t.Fatal(err)
			}
			return data
		}
	}
	older := func(p *publisher) {
		// The old files under the new statement and manifest.
		p.serve(release{"app.py": release1["app.py"], "lib/util.py": release1["lib/util.py"]})
	}
	cases := []signedCase{
		{name: "another manifest of that length", codes: "manifest_mismatch", message: "not the one that was signed",
			hostile: serving("versions.json", func(_ *publisher, b []byte) []byte { return bytes.Replace(b, []byte("app.py"), []byte("apq.py"), 1) })},
		{name: "a byte more", codes: "manifest_mismatch", hostile: serving("versions.json", func(_ *publisher, b []byte) []byte { return append(bytes.Clone(b), '\n') })},
		{name: "a byte less", codes: "manifest_mismatch", hostile: serving("versions.json", func(_ *publisher, b []byte) []byte { return b[:len(b)-1] })},
		{name: "the old manifest under a new statement", codes: "manifest_mismatch", hostile: func(p *publisher) {
			m := p.site.manifest
			p.publish(201, release3)
			p.site.offerBytes(m)
		}},
		{name: "files of the release before", codes: "md5_mismatch", message: "app.py: what arrived is not what the manifest says", hostile: older},
		{name: "files of the release before, and no MD5", codes: "md5_mismatch", hostile: func(p *publisher) {
			m := *p.site.current
			for i := range m.Files {
				m.Files[i].MD5 = ""
			}
			p.site.offer(&m)
			p.sign()
			older(p)
		}},
		{name: "a manifest of another version", codes: "manifest_fetch_failed", message: "of version 200, not as announced",
			hostile: saying(func(s *signed.Statement) { s.Version = 201 })},
		{name: "a manifest without SHA-256", codes: "manifest_mismatch", message: "no SHA-256", hostile: resigned(drop("sha256"))},
		{name: "a manifest without any hash", codes: "manifest_mismatch", message: "no SHA-256", hostile: resigned(drop("all"))},
		{name: "a manifest of another app", codes: "manifest_mismatch", message: "other",
			hostile: resigned(func(_ *publisher, b []byte) []byte {
				return bytes.Replace(b, []byte("{"), []byte(`{"app": "other",`), 1)
			})},
		{name: "no manifest, signed", codes: "manifest_fetch_failed", message: "not a manifest", hostile: resigned(func(*publisher, []byte) []byte { return []byte("[]") })},
		{name: "a million entries, announced", codes: "manifest_fetch_failed", message: "too long for this board", asked: 1, hostile: resigned(million)},
		{name: "a million entries, instead of the manifest", codes: "manifest_mismatch", message: "not the one that was signed", asked: 2, hostile: serving("versions.json", million)},
		{name: "a path of 10 MB", codes: "manifest_fetch_failed", message: "too long for this board", asked: 1, hostile: resigned(path(10 << 20))},
		{name: "a path of 200 kB", codes: "manifest_fetch_failed", message: "longer than 1024 bytes", hostile: resigned(path(200 << 10))},
		{name: "a path of 256 bytes", codes: "manifest_fetch_failed", message: "longer than 255 bytes", hostile: resigned(path(256))},
		{name: "larger than max_manifest_bytes", options: "max_manifest_bytes=500", codes: "manifest_fetch_failed", message: "too long for this board", asked: 1,
			hostile: func(*publisher) {}, mend: func(p *publisher) { p.set(trusting(1, keyA), "") }},
		{name: "JSON bomb in the manifest", codes: "manifest_fetch_failed",
			hostile: resigned(func(_ *publisher, b []byte) []byte {
				return bytes.Replace(b, []byte(`"app.py"`), []byte(strings.Repeat("[", 400)+strings.Repeat("]", 400)), 1)
			})},
		{name: "a file longer than the manifest says", codes: "download_failed", message: "is longer than the ",
			hostile: serving("app.py", func(_ *publisher, b []byte) []byte { return append(bytes.Clone(b), '\n') })},
		{name: "a file shorter than the manifest says", codes: "md5_mismatch", hostile: serving("app.py", func(_ *publisher, b []byte) []byte { return b[:len(b)-1] })},

		// Files that change on the flash, after they were verified.
		{name: "a staged file tampered with", options: "**__import__('clock').tamper('file_update_done', 'pages/sub/sub.py', 'app.py')",
			codes: "md5_mismatch", message: "staged file changed: app.py", says: "tampered with app.py", hostile: func(*publisher) {},
			mend: func(p *publisher) { p.set(trusting(1, keyA), "") }},
		{name: "a staged file tampered with, on FAT", fs: rehearse.FAT, options: "**__import__('clock').tamper('file_update_done', 'pages/sub/sub.py', 'app.py')",
			codes: "md5_mismatch", message: "staged file changed: app.py", says: "tampered with app.py", hostile: func(*publisher) {},
			mend: func(p *publisher) { p.set(trusting(1, keyA), "") }},
		{name: "the staged manifest tampered with", options: "**__import__('clock').tamper('file_update_done', 'pages/sub/sub.py', 'manifest')",
			codes: "md5_mismatch", message: "staged file changed: versions.json", says: "tampered with manifest", hostile: func(*publisher) {},
			mend: func(p *publisher) { p.set(trusting(1, keyA), "") }},
		{name: "the staged manifest tampered with while it is read", options: "**__import__('clock').tamper('file_update_skip', 'boot.py', 'manifest')",
			codes: "manifest_mismatch manifest_fetch_failed", says: "tampered with manifest", hostile: func(*publisher) {},
			mend: func(p *publisher) { p.set(trusting(1, keyA), "") }},
	}
	for _, f := range []struct{ name, codes, ended string }{
		{statementFile, "statement_fetch_failed", "statement_invalid"},
		{"versions.json", "manifest_fetch_failed", "manifest_mismatch"},
		{"lib/util.py", "download_failed", "download_failed"},
	} {
		mend := func(p *publisher) { p.set(trusting(1, keyA), "") }
		cases = append(cases,
			signedCase{name: "endless body: " + f.name, codes: f.ended, hostile: answering(f.name, endless)},
			signedCase{name: "endless headers: " + f.name, options: slow, codes: f.codes, message: "headers", hostile: answering(f.name, endlessHeaders), mend: mend},
			signedCase{name: "endless redirects: " + f.name, options: slow, codes: f.codes, message: "too many redirects", hostile: answering(f.name, endlessRedirects), mend: mend},
			signedCase{name: "stall: " + f.name, options: slow, codes: f.codes, message: "within 1 s", hostile: answering(f.name, stall), mend: mend},
			signedCase{name: "dripping: " + f.name, options: slow + ", min_bytes_per_s=1000, **__import__('clock').grace(300)", codes: f.codes, message: "too slow: ",
				hostile: answering(f.name, drip), mend: mend},
			signedCase{name: "dripping, to a deadline: " + f.name, options: "download_deadline_s=1", codes: f.codes, message: "not done within download_deadline_s=1",
				hostile: answering(f.name, drip), mend: mend},
		)
	}
	runSignedCases(t, cases)
}

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

// One flipped bit, anywhere.
func TestSignedFlippedBit(t *testing.T) {
	for _, f := range []struct {
		name  string
		codes string
	}{
		{statementFile, "statement_invalid statement_signature_invalid"},
		{"versions.json", "manifest_mismatch"},
		{"app.py", "md5_mismatch"},
		{"pages/sub/sub.py", "md5_mismatch"},
		{"keys/2.json", "keyset_invalid"},
	} {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			p := newPublisher(t, setup{})
			if f.name == "keys/2.json" {
				p.rotate(keyB)
			}
			p.publish(200, release2)
			honest := p.file(f.name)
			if f.name == "versions.json" {
				honest = p.site.manifest
			}
			// The first and the last bytes, and some between.
			const positions = 12
			for i := range positions {
				at := i * (len(honest) - 1) / (positions - 1)
				data := bytes.Clone(honest)
				data[at] ^= 1 << (i % 8)
				serving(f.name, func(*publisher, []byte) []byte { return data })(p)
				if p.refuses(f.codes, ""); t.Failed() {
					t.Fatalf("byte %d, bit %d", at, i%8)
				}
			}
			serving(f.name, func(*publisher, []byte) []byte { return honest })(p)
			p.updates(release2)
		})
	}
}

// What was current once is no release any more.
func TestSignedRollback(t *testing.T) {
	onBoth(t, func(t *testing.T, fs rehearse.FileSystem) {
		p := newPublisher(t, setup{fs: fs, size: 2 << 20})
		p.publish(200, release1.with(release{"more.py": "MORE = 1\n"}))
		old, oldManifest := p.file(statementFile), p.site.manifest
		p.run()
		p.publish(300, release2)
		p.updates(release2)
		// The old release, as it was.
		p.serve(release{statementFile: string(old)})
		p.site.offerBytes(oldManifest)
		p.refuses("rollback_refused", "version 200 after version 300")
		// Signed anew with a lower number.
		p.publish(299, release3)
		p.refuses("rollback_refused", "version 299 after version 300")
		// The same number for something else.
		p.publish(300, release3)
		p.refuses("rollback_refused", "version 300 again, with another manifest")
		p.publish(301, release3)
		p.updates(release3)
	})
}

// The highest signed time counts where the clock says less, or nothing.
func TestSignedTime(t *testing.T) {
	const first, day = 1_800_000_000, 86400
	clock := func(now int64) string {
		return trusting(1, keyA) + fmt.Sprintf(", **__import__('clock').at(%d)", now)
	}
	p := newPublisher(t, setup{options: clock(0)})
	signedAt := func(at, until int64) { p.say = func(s *signed.Statement) { s.Time, s.Expires = at, until } }

	signedAt(first, first+10*day)
	p.publish(200, release2)
	says(t, p.run(), "OTA: warning: no clock is set; expiry is not checked", "OTA: installed; restarting", "confirmed True")
	p.holdsRelease(release2)

	// Signed anew, with nothing to install: the time is noted all the same.
	signedAt(first+20*day, first+30*day)
	p.publish(200, release2)
	saysNot(t, p.bootTo(rehearse.AtREPL).Output, "expiry is not checked", "installed")
	p.idles()
	for _, now := range []int64{0, 946684800 /* 2000 */, 1609459200 /* 2021 */, first, first + 20*day - 1} {
		p.set(clock(now), "")
		signedAt(first+day, first+19*day)
		p.publish(300, release3)
		p.refuses("release_expired", fmt.Sprintf("it expired at %d, and it is %d", first+19*day, first+20*day))
	}
	// The last second in which it is valid.
	p.set(clock(first+30*day), "")
	signedAt(first+day, first+30*day-1)
	p.publish(300, release3)
	p.refuses("release_expired", "")
	signedAt(first+day, first+30*day)
	p.publish(300, release3)
	p.updates(release3)
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
