package release

import (
	"encoding/base64"
	"fmt"
	"strings"
)

// keysets makes the vectors of keysets: chains, steps that no board may follow, and bad form.
func (m *vectorMaker) keysets() {
	m.clear("keysets")
	const header = "saguarota-keyset 1\n"
	public := func(name string) string {
		key, ok := m.signers[name]
		if !ok {
			return name // what is to stand there itself
		}
		return key.PublicKey().String()
	}
	object := func(version string, threshold int, keys ...string) string {
		var list []string
		for _, k := range keys {
			list = append(list, `"`+public(k)+`"`)
		}
		return fmt.Sprintf(`{"app":"badge","version":%s,"threshold":%d,"keys":[%s]}`, version, threshold, strings.Join(list, ","))
	}
	add := func(file, about, after, class, content string) {
		if after != "" {
			after += ".json"
		}
		m.write("keysets/"+file+".json", []byte(content))
		m.keysetIndex = append(m.keysetIndex, keysetVector{File: file + ".json", About: about, After: after, Error: class})
	}
	signed := func(object string, names ...string) string {
		text := header + object + "\n"
		return text + strings.Join(m.sign(text, names...), "")
	}

	// Chains to go on from.
	add("root-a", "the first keyset: one key", "", "", signed(object("1", 1, "a"), "a"))
	add("root-abc", "the first keyset: two of three keys", "", "", signed(object("1", 2, "a", "b", "c"), "a", "c"))
	add("root-all-signed", "all keys signed, though two would do", "", "", signed(object("1", 2, "a", "b", "c"), "a", "b", "c"))
	var sixteen []string
	for i := range 16 {
		sixteen = append(sixteen, string(rune('a'+i)))
	}
	add("root-16", "as many keys as there can be", "", "", signed(object("1", 16, sixteen...), sixteen...))
	add("root-unsigned", "nobody signed", "", "threshold", signed(object("1", 1, "a")))
	add("root-too-few", "one of two", "", "threshold", signed(object("1", 2, "a", "b", "c"), "b"))
	add("root-stranger", "signed by a key that is not in it", "", "threshold", signed(object("1", 1, "a"), "b"))
	add("root-forged", "a signature that is not valid", "", "signature",
		header+object("1", 1, "a")+"\n"+m.signMessage("saguarota-release-1\n", header+object("1", 1, "a")+"\n", "a"))

	// One step.
	add("replace", "a hands over to b", "root-a", "", signed(object("2", 1, "b"), "a", "b"))
	add("add-key", "b is added", "root-a", "", signed(object("2", 1, "a", "b"), "a"))
	add("raise", "b is added, and both must sign", "root-a", "", signed(object("2", 2, "a", "b"), "a", "b"))
	add("third", "the step after that", "replace", "", signed(object("3", 1, "c"), "b", "c"))
	add("lower", "the threshold is lowered, by two who may", "root-abc", "", signed(object("2", 1, "b", "c"), "b", "c"))
	add("rotate-abc", "c is replaced by d", "root-abc", "", signed(object("2", 2, "a", "b", "d"), "a", "b"))
	add("unknown-key", "an unknown key in the object", "root-a", "", signed(strings.Replace(object("2", 1, "b"), "}", `,"later":[]}`, 1), "a", "b"))
	add("old-only", "signed by the old key only", "root-a", "threshold", signed(object("2", 1, "b"), "a"))
	add("new-only", "signed by the new key only", "root-a", "threshold", signed(object("2", 1, "b"), "b"))
	add("lower-alone", "one of two lowers the threshold for itself", "root-abc", "threshold", signed(object("2", 1, "a"), "a"))
	add("raise-too-few", "the new threshold is not met", "root-a", "threshold", signed(object("2", 2, "a", "b"), "a"))
	add("old-too-few", "one of two old keys, and all new ones", "root-abc", "threshold", signed(object("2", 2, "a", "d", "e"), "a", "d", "e"))
	add("skip", "a step is left out", "root-a", "sequence", signed(object("3", 1, "b"), "a", "b"))
	add("again", "the same number again", "root-a", "sequence", signed(object("1", 1, "b"), "a", "b"))
	add("back", "a step back", "third", "sequence", signed(object("2", 1, "a"), "a", "b", "c"))
	add("other-app", "another application's", "root-a", "sequence", signed(strings.Replace(object("2", 1, "b"), "badge", "lamp", 1), "a", "b"))
	forged := header + object("2", 1, "b") + "\n"
	add("forged-old", "the old key's signature is not valid", "root-a", "signature",
		forged+strings.Join(sorted(m.sign(forged, "b")[0], m.signMessage("saguarota-release-1\n", forged, "a")), ""))
	add("forged-new", "the new key's signature is not valid", "root-a", "signature",
		forged+strings.Join(sorted(m.sign(forged, "a")[0], m.signMessage("saguarota-release-1\n", forged, "b")), ""))
	tampered := strings.Replace(signed(object("2", 1, "b"), "a", "b"), `}`, `,"x":1}`, 1)
	add("tampered", "changed after it was signed", "root-a", "signature", tampered)

	// Form.
	for _, f := range []struct{ file, about, content string }{
		{"empty", "an empty file", ""},
		{"statement-header", "the first line of a statement", strings.Replace(signed(object("1", 1, "a"), "a"), "keyset", "release", 1)},
		{"no-keys", "no key", signed(object("1", 1), "a")},
		{"17-keys", "too many keys", signed(object("1", 1, append(sixteen, "q")...), "a")},
		{"key-twice", "a key twice", signed(object("1", 2, "a", "a"), "a")},
		{"threshold-0", "threshold 0", signed(object("1", 0, "a"), "a")},
		{"threshold-2", "a threshold above the number of keys", signed(object("1", 2, "a"), "a")},
		{"threshold-huge", "a threshold of 2^32 + 1", signed(strings.Replace(object("1", 1, "a"), `"threshold":1`, `"threshold":4294967297`, 1), "a")},
		{"version-0", "number 0", signed(object("0", 1, "a"), "a")},
		{"version-text", "the number is text", signed(object(`"1"`, 1, "a"), "a")},
		{"version-twice", "the number is given twice", signed(strings.Replace(object("1", 1, "a"), "{", `{"version":1,`, 1), "a")},
		{"no-app", "app is missing", signed(strings.Replace(object("1", 1, "a"), `"app":"badge",`, "", 1), "a")},
		{"keys-text", "keys is text", signed(`{"app":"badge","version":1,"threshold":1,"keys":"`+public("a")+`"}`, "a")},
		{"key-short", "a key of 31 bytes", signed(object("1", 1, "a", base64.StdEncoding.EncodeToString(make([]byte, 31))), "a")},
		{"key-no-padding", "a key without its padding", signed(object("1", 1, strings.TrimSuffix(public("a"), "=")), "a")},
		{"blanks", "blanks where JSON allows them", signed(strings.ReplaceAll(object("1", 1, "a"), ",", ", "), "a")},
		{"key-order", "keys in another order", signed(strings.Replace(object("1", 1, "a"), `"version":1,"threshold":1`, `"threshold":1,"version":1`, 1), "a")},
		{"same-signer-twice", "a signature twice", signed(object("1", 1, "a"), "a") + m.sign(header+object("1", 1, "a")+"\n", "a")[0]},
	} {
		add(f.file, f.about, "", "format", f.content)
	}
	small := make([]byte, 32)
	small[0] = 1
	add("key-small-order", "a key of small order besides", "", "format", signed(object("1", 1, "a", base64.StdEncoding.EncodeToString(small)), "a"))
	m.keysetIndex[len(m.keysetIndex)-1].Strict = true
	filled := func(size int) string {
		rest := size - len(signed(object("1", 1, "a"), "a")) - len(`,"filler":""`)
		return signed(strings.Replace(object("1", 1, "a"), "}", `,"filler":"`+strings.Repeat("x", rest)+`"}`, 1), "a")
	}
	add("longest", "exactly 8192 bytes", "", "", filled(8192))
	add("too-long", "more than 8192 bytes", "", "format", filled(8193))
	writeIndex(m, "keysets/index.json", m.keysetIndex)
}
