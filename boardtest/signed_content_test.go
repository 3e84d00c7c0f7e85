package boardtest

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/cactuscon/saguarota/manifest"
	"github.com/cactuscon/saguarota/rehearse"
	signed "github.com/cactuscon/saguarota/release"
)

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

// One flipped bit in a pack, from a server whose other files are not those that were signed either: the
// board has the signed release whole or none of it.
func TestSignedFlippedPack(t *testing.T) {
	const positions = 16
	for i := range positions {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			p := newPublisher(t, setup{})
			old := p.site.manifest
			p.publish(200, release2)
			name := p.site.pack(old, release1, release2)
			data := p.file(name)
			at := i * (len(data) - 1) / (positions - 1)
			data[at] ^= 1 << (i % 8)
			p.serve(release1)
			p.serve(release{name: string(data)})
			before := p.live()
			said := p.boot()
			if strings.Contains(said.Output, "OTA: installed") {
				// The bit was of no consequence, such as where a reader may go on after a cut.
				p.run()
				p.holdsRelease(release2)
			} else {
				says(t, said.Output, "event pack_failed error=", "error md5_mismatch ", "app one")
				p.holds(before)
			}
			p.publish(300, release3)
			p.updates(release3)
		})
	}
}
