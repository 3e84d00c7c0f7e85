package boardtest

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cactuscon/saguarota/rehearse"
	signed "github.com/cactuscon/saguarota/release"
)

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
		{name: "a .mpy ABI, for a firmware that loads no .mpy files", options: "**__import__('clock').no_mpy()", codes: "not_for_this_board", message: "it needs the .mpy format 6",
			hostile: saying(func(s *signed.Statement) { s.MPY = "6" })},
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
		"public_keys=[]", "public_keys=()", "public_keys={}", "public_keys=(k for k in ())",
		fmt.Sprintf("public_keys=[%q] * 17", keyA.PublicKey()),
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
