package release

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestMakeVectors writes the vectors of statements and keysets anew, when asked
// to by -update. The texts are put together here, not by the code under test,
// and what is expected of each is said here.
func TestMakeVectors(t *testing.T) {
	if !*update {
		return
	}
	m := &vectorMaker{t: t, signers: map[string]PrivateKey{}}
	m.keys()
	m.statements()
	m.keysets()
}

type vectorMaker struct {
	t       *testing.T
	signers map[string]PrivateKey

	statementIndex []statementVector
	keysetIndex    []keysetVector
}

func (m *vectorMaker) write(path string, data []byte) {
	m.t.Helper()
	if err := os.WriteFile(filepath.Join(vectors, path), data, 0o666); err != nil {
		m.t.Fatal(err)
	}
}

// writeIndex writes a list as JSON, an entry a line.
func writeIndex[T any](m *vectorMaker, path string, list []T) {
	m.t.Helper()
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	between := "[\n"
	for _, entry := range list {
		b.WriteString(between)
		if err := enc.Encode(entry); err != nil {
			m.t.Fatal(err)
		}
		b.Truncate(b.Len() - 1)
		between = ",\n"
	}
	b.WriteString("\n]\n")
	m.write(path, b.Bytes())
}

func (m *vectorMaker) clear(folder string) {
	m.t.Helper()
	old, err := filepath.Glob(filepath.Join(vectors, folder, "*"))
	if err != nil {
		m.t.Fatal(err)
	}
	for _, path := range old {
		if err := os.Remove(path); err != nil {
			m.t.Fatal(err)
		}
	}
}

func (m *vectorMaker) keys() {
	var list []vectorKey
	for i := range 18 {
		name := string(rune('a' + i))
		seed := sha256.Sum256([]byte("SaguarOTA test key " + name))
		key, err := GenerateKey(bytes.NewReader(seed[:]))
		if err != nil {
			m.t.Fatal(err)
		}
		m.signers[name] = key
		list = append(list, vectorKey{Name: name, ID: string(key.PublicKey().ID()), Public: key.PublicKey().String(), Secret: fmt.Sprintf("%x", seed)})
	}
	writeIndex(m, "keys.json", list)
}

// sign returns the lines of the signatures of the keys with the given names
// under the text of two lines.
func (m *vectorMaker) sign(text string, names ...string) []string {
	domain, _, _ := strings.Cut(text, "\n")
	domain = strings.ReplaceAll(domain, " ", "-") + "\n"
	sum := sha256.Sum256([]byte(text))
	byID := map[string]string{}
	var ids []string
	for _, name := range names {
		key := m.signers[name]
		raw, err := key.Sign(context.Background(), append([]byte(domain), sum[:]...))
		if err != nil {
			m.t.Fatal(err)
		}
		id := string(key.PublicKey().ID())
		ids = append(ids, id)
		byID[id] = id + " " + base64.StdEncoding.EncodeToString(raw) + "\n"
	}
	slices.Sort(ids)
	var lines []string
	for _, id := range ids {
		lines = append(lines, byID[id])
	}
	return lines
}

func (m *vectorMaker) statements() {
	m.clear("statements")
	sum := fmt.Sprintf("%x", sha256.Sum256([]byte("{}\n")))
	pin := `"manifest":{"sha256":"` + sum + `","size":3}`
	const header = "saguarota-release 1\n"
	plain := `{"app":"badge","version":1700000000,` + pin + `,"keyset":1}`
	text := func(object string) string { return header + object + "\n" }

	// add lists a case. The file is text and signatures as they are given.
	add := func(v statementVector, content string) {
		v.File += ".sig"
		if v.Keys == nil {
			v.Keys = []string{"a"}
		}
		if v.Threshold == 0 {
			v.Threshold = 1
		}
		m.write("statements/"+v.File, []byte(content))
		m.statementIndex = append(m.statementIndex, v)
	}
	// signed is add for an object that is signed by a.
	signed := func(file, about, class, object string) {
		content := text(object) + strings.Join(m.sign(text(object), "a"), "")
		add(statementVector{File: file, About: about, Error: class}, content)
	}
	version := func(n int64) *int64 { return &n }
	var many strings.Builder
	for i := range 400 {
		fmt.Fprintf(&many, `,"x%d":0`, i)
	}
	var sixteen []string
	for i := range 16 {
		sixteen = append(sixteen, fmt.Sprintf("board %d", i))
	}

	// Good ones.
	add(statementVector{File: "minimal", About: "only what is required", Version: version(1700000000), Signers: []string{"a"}},
		text(plain)+m.sign(text(plain), "a")[0])
	full := `{"app":"badge","version":1700000001,"name":"1.4.2",` + pin + `,"keyset":3,"channels":["stable","beta"],"boards":["rp2","Badge of 2026"],"mpy":"6.3","micropython":"1.22","time":1700000000,"expires":1800000000}`
	fullFile := text(full) + strings.Join(m.sign(text(full), "a", "b"), "")
	add(statementVector{File: "full", About: "everything there is, two signers", Keys: []string{"a", "b", "c"}, Threshold: 2, Version: version(1700000001),
		Signers: m.order("a", "b"),
		Board:   &vectorBoard{App: "badge", Channel: "beta", Name: "x", Platform: "rp2", MPY: "6.3", MicroPython: "1.22.0", Time: 1800000000}}, fullFile)
	signed("key-order", "keys in another order", "format", `{"keyset":1,`+pin+`,"version":7,"app":"badge"}`)
	signed("blanks", "blanks where JSON allows them", "format", `{ "app" : "badge", "version": 7,	"manifest": { "size": 3, "sha256": "`+sum+`" }, "keyset": 1 }`)
	signed("unknown-keys", "keys of a later version are ignored", "", `{"app":"badge","version":7,`+pin+`,"keyset":1,"later":{"a":[1,2.5,null,true]},"App":null}`)
	signed("unknown-key-in-manifest", "an unknown key in manifest", "format", `{"app":"badge","version":7,"manifest":{"sha256":"`+sum+`","size":3,"md5":null},"keyset":1}`)
	signed("utf8", "text beyond ASCII", "", `{"app":"säule 🌵","version":7,`+pin+`,"keyset":1}`)
	signed("escapes", "a quote and a backslash, escaped", "format", `{"app":"a \"b\" \\c","version":7,`+pin+`,"keyset":1}`)
	signed("escaped-letter", "a letter, escaped", "format", `{"app":"b\u0061dge","version":7,`+pin+`,"keyset":1}`)
	signed("unknown-key-first", "an unknown key before the known ones", "format", `{"later":1,"app":"badge","version":7,`+pin+`,"keyset":1}`)
	signed("unknown-key-between", "an unknown key between known ones", "format", `{"app":"badge","version":7,`+pin+`,"keyset":1,"later":1,"expires":1800000000}`)
	signed("known-key-inside", "a known key in the value of an unknown one", "format", `{"app":"badge","version":7,`+pin+`,"keyset":1,"later":{"boards":["rp2"]}}`)
	signed("unknown-keys-many", "more unknown keys than anybody would hold in memory", "", `{"app":"badge","version":7,`+pin+`,"keyset":1`+many.String()+`}`)
	signed("unknown-key-long", "an unknown key of 3,000 bytes", "", `{"app":"badge","version":7,`+pin+`,"keyset":1,"`+strings.Repeat("x", 3000)+`":1}`)
	signed("unknown-deep", "an unknown key with 1,500 lists in each other", "", `{"app":"badge","version":7,`+pin+`,"keyset":1,"x":`+strings.Repeat("[", 1500)+strings.Repeat("]", 1500)+`}`)
	signed("16-boards", "as many boards as there can be", "", `{"app":"badge","version":7,`+pin+`,"keyset":1,"boards":["`+strings.Join(sixteen, `","`)+`"]}`)
	signed("number-20-digits", "a number of 20 digits", "format", `{"app":"badge","version":10000000000000000000,`+pin+`,"keyset":1}`)
	signed("number-3000-digits", "a number of 3,000 digits", "format", `{"app":"badge","version":`+strings.Repeat("9", 3000)+`,`+pin+`,"keyset":1}`)
	add(statementVector{File: "largest-version", About: "the largest version", Version: version(1<<63 - 1)},
		text(`{"app":"badge","version":9223372036854775807,`+pin+`,"keyset":9223372036854775807}`)+
			m.sign(text(`{"app":"badge","version":9223372036854775807,`+pin+`,"keyset":9223372036854775807}`), "a")[0])
	signed("version-0", "version 0", "", `{"app":"badge","version":0,`+pin+`,"keyset":1}`)
	signed("text-64-bytes", "an app of 64 bytes", "", `{"app":"`+strings.Repeat("é", 32)+`","version":7,`+pin+`,"keyset":1}`)
	strangers := text(plain) + strings.Join(m.sign(text(plain), "a", "b", "c"), "")
	add(statementVector{File: "strangers", About: "signatures of keys that are not known besides", Signers: []string{"a"}}, strangers)
	add(statementVector{File: "stranger-forged", About: "a signature under the id of a key that is not known need not be valid", Keys: []string{"a"}, Signers: []string{"a"}},
		text(plain)+strings.Join(sorted(m.sign(text(plain), "a")[0], m.sign(text(full), "b")[0]), ""))
	var all []string
	for i := range 16 {
		all = append(all, string(rune('a'+i)))
	}
	add(statementVector{File: "16-signers", About: "as many signatures as there can be", Keys: all, Threshold: 16, Signers: m.order(all...)},
		text(plain)+strings.Join(m.sign(text(plain), all...), ""))

	// Signatures.
	a := m.sign(text(plain), "a")[0]
	b := m.sign(text(plain), "b")[0]
	two := []string{"a", "b"}
	add(statementVector{File: "unsigned", About: "no signature", Error: "threshold"}, text(plain))
	add(statementVector{File: "unknown-key", About: "signed by a key that is not known", Error: "threshold"}, text(plain)+b)
	add(statementVector{File: "too-few", About: "one signature where two are needed", Keys: two, Threshold: 2, Error: "threshold"}, text(plain)+a)
	add(statementVector{File: "too-few-and-stranger", About: "one known and one unknown signer where two are needed", Keys: two, Threshold: 2, Error: "threshold"},
		text(plain)+strings.Join(m.sign(text(plain), "a", "c"), ""))
	add(statementVector{File: "same-key-twice", About: "one key counted twice", Keys: two, Threshold: 2, Error: "format"}, text(plain)+a+a)
	lines := m.sign(text(plain), "a", "b")
	add(statementVector{File: "not-sorted", About: "signatures in descending order of key ids", Keys: two, Threshold: 2, Error: "format"}, text(plain)+lines[1]+lines[0])
	add(statementVector{File: "other-text", About: "the signature of another statement", Error: "signature"}, text(plain)+m.sign(text(full), "a")[0])
	add(statementVector{File: "other-key", About: "a's id before b's signature", Error: "signature"}, text(plain)+a[:17]+b[17:])
	add(statementVector{File: "one-forged", About: "enough good signatures, and one of a known key that is not valid", Keys: two, Error: "signature"},
		text(plain)+strings.Join(sorted(a, m.sign(text(full), "b")[0]), ""))
	raw, _ := base64.StdEncoding.DecodeString(strings.TrimSpace(a[17:]))
	raw[40] ^= 1
	add(statementVector{File: "bit-of-signature", About: "one bit of the signature flipped", Error: "signature"},
		text(plain)+a[:17]+base64.StdEncoding.EncodeToString(raw)+"\n")
	add(statementVector{File: "bit-of-text", About: "one bit of the statement flipped", Error: "signature"},
		strings.Replace(text(plain), "badge", "badgd", 1)+a)
	add(statementVector{File: "blank-added", About: "a blank added after signing", Error: "format"}, strings.Replace(text(plain), ":1}", ": 1}", 1)+a)
	domain := m.signMessage("saguarota-keyset-1\n", text(plain), "a")
	add(statementVector{File: "keyset-domain", About: "signed as if it were a keyset", Error: "signature"}, text(plain)+domain)
	bare := m.signMessage("", text(plain), "a")
	add(statementVector{File: "no-domain", About: "only the hash is signed", Error: "signature"}, text(plain)+bare)
	object := m.signText("saguarota-release-1\n", plain, "a")
	add(statementVector{File: "object-only", About: "the first line is not in the hash", Error: "signature"}, text(plain)+object)

	// Form.
	add(statementVector{File: "empty", About: "an empty file", Error: "format"}, "")
	add(statementVector{File: "header-only", About: "nothing after the first line", Error: "format"}, header)
	for _, f := range []struct{ file, about, content string }{
		{"format-2", "a later version of the format", strings.Replace(text(plain), "release 1", "release 2", 1)},
		{"keyset-header", "the first line of a keyset", strings.Replace(text(plain), "release", "keyset", 1)},
		{"crlf", "lines that end as on Windows", strings.ReplaceAll(text(plain), "\n", "\r\n")},
		{"bom", "a byte order mark", "\ufeff" + text(plain)},
		{"two-objects", "two objects", text(plain + plain)},
		{"object-on-two-lines", "an object with a newline in it", text(strings.Replace(plain, ",", ",\n", 1))},
		{"blank-before-object", "a blank before the object", text(" " + plain)},
		{"list", "a list", text("[" + plain + "]")},
	} {
		add(statementVector{File: f.file, About: f.about, Error: "format"}, f.content+m.sign(f.content, "a")[0])
	}
	add(statementVector{File: "no-last-newline", About: "the last newline is missing", Error: "format"}, text(plain)+strings.TrimSpace(a))
	add(statementVector{File: "blank-line", About: "an empty line at the end", Error: "format"}, text(plain)+a+"\n")
	add(statementVector{File: "two-blanks", About: "two blanks in a signature line", Error: "format"}, text(plain)+strings.Replace(a, " ", "  ", 1))
	add(statementVector{File: "blank-at-end", About: "a blank after a signature", Error: "format"}, text(plain)+strings.Replace(a, "\n", " \n", 1))
	add(statementVector{File: "upper-case-id", About: "a key id in upper case", Error: "format"}, text(plain)+strings.ToUpper(a[:16])+a[16:])
	add(statementVector{File: "short-id", About: "a key id of 15 digits", Error: "format"}, text(plain)+a[1:])
	add(statementVector{File: "no-padding", About: "Base64 without its padding", Error: "format"}, text(plain)+strings.Replace(a, "==", "", 1))
	add(statementVector{File: "unused-bits", About: "the unused bits of the Base64 are not zero", Error: "format"}, text(plain)+m.unusedBits(a))
	add(statementVector{File: "url-base64", About: "the Base64 of URLs", Error: "format"}, text(plain)+m.urlBase64(text(plain)))
	add(statementVector{File: "short-signature", About: "a signature of 63 bytes", Error: "format"},
		text(plain)+a[:17]+base64.StdEncoding.EncodeToString(raw[:63])+"\n")
	var seventeen []string
	for i := range 17 {
		seventeen = append(seventeen, string(rune('a'+i)))
	}
	add(statementVector{File: "17-signers", About: "one signature too many", Keys: all, Error: "format"}, text(plain)+strings.Join(m.sign(text(plain), seventeen...), ""))
	long := strings.Replace(plain, ":1}", `:1,"filler":"`+strings.Repeat("x", 4097-len(text(plain))-len(a)-len(`,"filler":""`))+`"}`, 1)
	signed("too-long", "more than 4096 bytes", "format", long)
	longest := strings.Replace(plain, ":1}", `:1,"filler":"`+strings.Repeat("x", 4096-len(text(plain))-len(a)-len(`,"filler":""`))+`"}`, 1)
	signed("longest", "exactly 4096 bytes", "", longest)

	// Values.
	for _, f := range []struct{ file, about, object string }{
		{"no-app", "app is missing", `{"version":7,` + pin + `,"keyset":1}`},
		{"no-version", "version is missing", `{"app":"badge",` + pin + `,"keyset":1}`},
		{"no-manifest", "manifest is missing", `{"app":"badge","version":7,"keyset":1}`},
		{"no-keyset", "keyset is missing", `{"app":"badge","version":7,` + pin + `}`},
		{"no-sha256", "manifest without sha256", `{"app":"badge","version":7,"manifest":{"size":3},"keyset":1}`},
		{"no-size", "manifest without size", `{"app":"badge","version":7,"manifest":{"sha256":"` + sum + `"},"keyset":1}`},
		{"app-number", "app is a number", `{"app":1,"version":7,` + pin + `,"keyset":1}`},
		{"app-empty", "app is empty", `{"app":"","version":7,` + pin + `,"keyset":1}`},
		{"app-null", "app is null", `{"app":null,"version":7,` + pin + `,"keyset":1}`},
		{"app-control", "app has a control character", `{"app":"a\u0000","version":7,` + pin + `,"keyset":1}`},
		{"app-65-bytes", "app is too long", `{"app":"` + strings.Repeat("x", 65) + `","version":7,` + pin + `,"keyset":1}`},
		{"version-text", "version is text", `{"app":"badge","version":"7",` + pin + `,"keyset":1}`},
		{"version-true", "version is true", `{"app":"badge","version":true,` + pin + `,"keyset":1}`},
		{"version-float", "version has a fraction", `{"app":"badge","version":7.0,` + pin + `,"keyset":1}`},
		{"version-exponent", "version has an exponent", `{"app":"badge","version":7e0,` + pin + `,"keyset":1}`},
		{"version-negative", "version is negative", `{"app":"badge","version":-1,` + pin + `,"keyset":1}`},
		{"version-2-63", "version is 2^63", `{"app":"badge","version":9223372036854775808,` + pin + `,"keyset":1}`},
		{"keyset-0", "keyset 0", `{"app":"badge","version":7,` + pin + `,"keyset":0}`},
		{"sha256-upper-case", "sha256 in upper case", `{"app":"badge","version":7,"manifest":{"sha256":"` + strings.ToUpper(sum) + `","size":3},"keyset":1}`},
		{"sha256-short", "sha256 with 63 digits", `{"app":"badge","version":7,"manifest":{"sha256":"` + sum[1:] + `","size":3},"keyset":1}`},
		{"manifest-text", "manifest is text", `{"app":"badge","version":7,"manifest":"` + sum + `","keyset":1}`},
		{"size-negative", "size is negative", `{"app":"badge","version":7,"manifest":{"sha256":"` + sum + `","size":-3},"keyset":1}`},
		{"channels-text", "channels is text", plain[:len(plain)-1] + `,"channels":"stable"}`},
		{"channels-empty", "channels is an empty list", plain[:len(plain)-1] + `,"channels":[]}`},
		{"boards-number", "a board is a number", plain[:len(plain)-1] + `,"boards":[1]}`},
		{"boards-twice", "a board is named twice", plain[:len(plain)-1] + `,"boards":["rp2","rp2"]}`},
		{"boards-17", "too many boards", plain[:len(plain)-1] + `,"boards":["` + strings.Join(seventeen, `","`) + `"]}`},
		{"mpy-number", "mpy is a number", plain[:len(plain)-1] + `,"mpy":6.3}`},
		{"expires-text", "expires is text", plain[:len(plain)-1] + `,"time":1,"expires":"soon"}`},
		{"cut-json", "the JSON is cut short", plain[:60] + "}"},
	} {
		signed(f.file, f.about, "format", f.object)
	}
	for _, f := range []struct{ file, about, object string }{
		{"version-twice", "version is given twice", plain[:len(plain)-1] + `,"version":7}`},
		{"minus-zero", "version is -0", `{"app":"badge","version":-0,` + pin + `,"keyset":1}`},
		{"leading-zero", "version has a leading zero", `{"app":"badge","version":07,` + pin + `,"keyset":1}`},
		{"trailing-comma", "a comma after the last value", strings.Replace(plain, ":1}", ":1,}", 1)},
		{"half-escape", "half of an escaped character", `{"app":"\ud83c","version":7,` + pin + `,"keyset":1}`},
		{"sha256-twice", "sha256 is given twice", `{"app":"badge","version":7,"manifest":{"sha256":"` + sum + `","size":3,"sha256":"` + sum + `"},"keyset":1}`},
	} {
		signed(f.file, f.about, "format", f.object)
	}
	// A board does not look for these, and nothing follows from it.
	for _, f := range []struct{ file, about, object string }{
		{"mpy-words", "mpy is no version", plain[:len(plain)-1] + `,"mpy":"six"}`},
		{"micropython-words", "micropython is no version", plain[:len(plain)-1] + `,"micropython":"1.x"}`},
		{"micropython-one", "micropython has one part", plain[:len(plain)-1] + `,"micropython":"1"}`},
		{"unknown-key-twice", "an unknown key is given twice", plain[:len(plain)-1] + `,"x":1,"x":1}`},
		{"version-twice-escaped", "version is given twice, once with an escape in it", plain[:len(plain)-1] + `,"v\u0065rsion":7}`},
		{"unknown-no-json", "what follows the known keys is no JSON", plain[:len(plain)-1] + `,"x":}`},
		{"app-c1", "app has a control character above ASCII", strings.Replace(plain, "badge", "b\u0085dge", 1)},
		{"app-delete", "app has the character U+007F", strings.Replace(plain, "badge", "b\x7fdge", 1)},
		{"app-replacement", "app has a character that was lost", strings.Replace(plain, "badge", "b\ufffddge", 1)},
		{"utf8-surrogate", "a surrogate as UTF-8", strings.Replace(plain, "badge", "b\xed\xa0\x80dge", 1)},
		{"utf8-overlong", "a form of UTF-8 longer than need be", strings.Replace(plain, "badge", "b\xc0\x80dge", 1)},
		{"utf8-too-high", "a character above U+10FFFF", strings.Replace(plain, "badge", "b\xf4\x90\x80\x80dge", 1)},
	} {
		signed(f.file, f.about, "format", f.object)
		m.statementIndex[len(m.statementIndex)-1].Strict = true
	}
	bad := text(strings.Replace(plain, "badge", "b\xffdge", 1))
	add(statementVector{File: "not-utf8", About: "a byte that is not UTF-8", Error: "format"}, bad+m.sign(bad, "a")[0])

	// Boards.
	type boardCase struct {
		file, about, class string
		board              vectorBoard
	}
	for _, c := range []boardCase{
		{"board-app", "another application's", "app", vectorBoard{App: "lamp"}},
		{"board-channel", "not for the board's channel", "channel", vectorBoard{App: "badge", Channel: "nightly"}},
		{"board-boards", "not for this board", "board", vectorBoard{App: "badge", Name: "rp3", Platform: "esp32"}},
		{"board-name", "for boards of this name", "", vectorBoard{Name: "Badge of 2026", Platform: "esp32", Channel: "stable"}},
		{"board-case", "names are compared exactly", "board", vectorBoard{Name: "badge of 2026", Platform: "RP2"}},
		{"board-mpy", "another .mpy format", "mpy", vectorBoard{MPY: "5.3"}},
		{"board-mpy-minor", "another minor version of the .mpy format", "mpy", vectorBoard{MPY: "6.2"}},
		{"board-micropython-old", "the board's MicroPython is too old", "micropython", vectorBoard{MicroPython: "1.21.9"}},
		{"board-micropython-new", "1.100 is newer than 1.22", "", vectorBoard{MicroPython: "1.100.0"}},
		{"board-expired", "expired a second ago", "expired", vectorBoard{Time: 1800000001}},
		{"board-not-expired", "expires in this second", "", vectorBoard{Time: 1800000000}},
		{"board-older-keyset", "an older keyset than the installed release's, though its version is higher", "rollback", vectorBoard{Installed: &vectorInstalled{4, 1, sum, 3}}},
		{"board-older-version", "an older version than the installed one", "rollback", vectorBoard{Installed: &vectorInstalled{3, 1700000002, sum, 3}}},
		{"board-same-version", "the installed release itself", "", vectorBoard{Installed: &vectorInstalled{3, 1700000001, sum, 3}}},
		{"board-same-version-other", "the installed version with another manifest", "rollback", vectorBoard{Installed: &vectorInstalled{3, 1700000001, strings.Repeat("0", 64), 3}}},
		{"board-version-reset", "a lower version after a rotation", "", vectorBoard{Installed: &vectorInstalled{2, 1<<63 - 1, strings.Repeat("0", 64), 3}}},
		{"board-newer", "a newer version", "", vectorBoard{App: "badge", Installed: &vectorInstalled{3, 1700000000, strings.Repeat("0", 64), 3}}},
	} {
		add(statementVector{File: c.file, About: c.about, Error: c.class, Keys: two, Threshold: 2, Board: &c.board}, fullFile)
	}
	writeIndex(m, "statements/index.json", m.statementIndex)
}

// signMessage signs the hash of a text under a domain.
func (m *vectorMaker) signMessage(domain, text, name string) string {
	sum := sha256.Sum256([]byte(text))
	key := m.signers[name]
	raw, err := key.Sign(context.Background(), append([]byte(domain), sum[:]...))
	if err != nil {
		m.t.Fatal(err)
	}
	return string(key.PublicKey().ID()) + " " + base64.StdEncoding.EncodeToString(raw) + "\n"
}

func (m *vectorMaker) signText(domain, object, name string) string {
	return m.signMessage(domain, object+"\n", name)
}

// unusedBits sets one of the four bits that the last digit of a signature does
// not use.
func (m *vectorMaker) unusedBits(line string) string {
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	at := strings.Index(line, "==") - 1
	value := strings.IndexByte(digits, line[at])
	return line[:at] + string(digits[value|1]) + line[at+1:]
}

// urlBase64 returns a's signature, or another key's, in the alphabet of URLs;
// one that differs from the standard's.
func (m *vectorMaker) urlBase64(text string) string {
	line := m.sign(text, "a")[0]
	changed := line[:17] + strings.NewReplacer("+", "-", "/", "_").Replace(line[17:])
	if changed == line {
		m.t.Fatal("the signature has neither + nor /; choose another text")
	}
	return changed
}

// order returns names in the order of their key ids.
func (m *vectorMaker) order(names ...string) []string {
	byID := map[string]string{}
	var ids []string
	for _, name := range names {
		id := string(m.signers[name].PublicKey().ID())
		byID[id] = name
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for i, id := range ids {
		ids[i] = byID[id]
	}
	return ids
}

func sorted(lines ...string) []string {
	slices.Sort(lines)
	return lines
}
