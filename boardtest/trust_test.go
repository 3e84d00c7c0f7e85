package boardtest

import (
	"bytes"
	"crypto/ed25519"
	crand "crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	signed "github.com/cactuscon/saguarota/release"
)

// runTrustScript is runWithLibrary for a script that go test's cache takes notice of.
func runTrustScript(t *testing.T, heap, input, script string, args ...string) []string {
	t.Helper()
	if err := depend(filepath.Join("scripts", script)); err != nil {
		t.Fatal(err)
	}
	return runWithLibrary(t, heap, input, script, args...)
}

// A hexBytes is bytes as scripts/trust_cases.py takes them.
type hexBytes []byte

// MarshalText implements encoding.TextMarshaler.
func (h hexBytes) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(h)), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (h *hexBytes) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

type signatureCase struct {
	Public    hexBytes `json:"public"`
	Message   hexBytes `json:"message"`
	Signature hexBytes `json:"signature"`
}

type statementCase struct {
	Statement hexBytes   `json:"statement"`
	Keys      []hexBytes `json:"keys"`
	Threshold int        `json:"threshold"`
	Board     *boardCase `json:"board"`
}

// A boardCase has the arguments of the library's check; nil is None.
type boardCase struct {
	App         any `json:"app"`
	Channel     any `json:"channel"`
	Names       any `json:"names"`
	Mpy         any `json:"mpy"`
	MicroPython any `json:"micropython"`
	Now         any `json:"time"`
	Installed   any `json:"installed"`
}

type keysetCase struct {
	Keyset hexBytes `json:"keyset"`
	After  hexBytes `json:"after"`
}

// A trustCheck asks MicroPython for many verdicts in one run.
type trustCheck struct {
	input bytes.Buffer
	names []string
	want  [][]string // for each case the verdicts that are right; * stands for any end
}

func (c *trustCheck) add(t *testing.T, name string, v any, want ...string) {
	t.Helper()
	line, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	c.input.Write(append(line, '\n'))
	c.names = append(c.names, name)
	c.want = append(c.want, want)
}

func (c *trustCheck) run(t *testing.T) {
	t.Helper()
	if len(c.names) == 0 {
		t.Fatal("no cases")
	}
	got := runTrustScript(t, "4M", c.input.String(), "trust_cases.py")
	if len(got) != len(c.names) {
		t.Fatalf("%d verdicts on %d cases:\n%s", len(got), len(c.names), strings.Join(got, "\n"))
	}
	for i, name := range c.names {
		ok := false
		for _, want := range c.want[i] {
			start, any := strings.CutSuffix(want, "*")
			ok = ok || got[i] == want || any && strings.HasPrefix(got[i], start)
		}
		if !ok {
			t.Errorf("%s: %s, want %s", name, got[i], strings.Join(c.want[i], " or "))
		}
	}
}

func python(valid bool) string {
	if valid {
		return "True"
	}
	return "False"
}

func readTrustVector(t *testing.T, path string, v any) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "testdata", "vectors", path))
	if err != nil {
		t.Fatal(err)
	}
	if v != nil {
		if err := json.Unmarshal(data, v); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
	}
	return data
}

func TestEd25519Vectors(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("..", "testdata", "vectors", "ed25519", "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	var c trustCheck
	for _, file := range files {
		var list []struct {
			signatureCase
			About string
			Valid bool
		}
		readTrustVector(t, filepath.Join("ed25519", filepath.Base(file)), &list)
		for _, v := range list {
			c.add(t, filepath.Base(file)+": "+v.About, v.signatureCase, python(v.Valid))
		}
	}
	c.run(t)
}

// Random keys on messages of every length up to a little over a block of SHA-512, and the same
// with one bit flipped, get the verdict of the standard library.
func TestEd25519LikeTheStandardLibrary(t *testing.T) {
	var c trustCheck
	for n := range 200 {
		public, private, err := ed25519.GenerateKey(nil)
		if err != nil {
			t.Fatal(err)
		}
		message := make([]byte, n)
		if _, err := crand.Read(message); err != nil {
			t.Fatal(err)
		}
		v := signatureCase{hexBytes(public), message, ed25519.Sign(private, message)}
		c.add(t, fmt.Sprintf("%x", v), v, "True")

		parts := []*hexBytes{&v.Public, &v.Signature}
		if n > 0 {
			parts = append(parts, &v.Message)
		}
		part := parts[rand.N(len(parts))]
		flipped := bytes.Clone(*part)
		flipped[rand.N(len(flipped))] ^= 1 << rand.N(8)
		*part = flipped
		c.add(t, fmt.Sprintf("flipped: %x", v), v, python(ed25519.Verify(ed25519.PublicKey(v.Public), v.Message, v.Signature)))
	}
	c.run(t)
}

// vectorKeys returns the keys of testdata/vectors/keys.json by name.
func vectorKeys(t *testing.T) map[string]hexBytes {
	t.Helper()
	var list []struct {
		Name   string
		Public []byte // Base64 in the file
	}
	readTrustVector(t, "keys.json", &list)
	keys := map[string]hexBytes{}
	for _, k := range list {
		keys[k.Name] = k.Public
	}
	return keys
}

// verdicts returns what the library may say on a vector.
func verdicts(ok, class string, strict bool) []string {
	switch {
	case class == "":
		return []string{ok}
	case strict:
		return []string{class, ok}
	default:
		return []string{class}
	}
}

func TestStatementVectors(t *testing.T) {
	keys := vectorKeys(t)
	var index []struct {
		File, About, Error string
		Keys               []string
		Threshold          int
		Version            *int64
		Strict             bool
		Board              *struct {
			App, Channel, Name, Platform, MPY, MicroPython string
			Time                                           int64
			Installed                                      *struct {
				Keyset, Version int64
				SHA256          string
				Size            int64
			}
		}
	}
	readTrustVector(t, "statements/index.json", &index)
	var c trustCheck
	for _, v := range index {
		sc := statementCase{Statement: readTrustVector(t, filepath.Join("statements", v.File), nil), Threshold: v.Threshold}
		for _, name := range v.Keys {
			sc.Keys = append(sc.Keys, keys[name])
		}
		if b := v.Board; b != nil {
			sc.Board = new(boardCase)
			if b.App != "" {
				sc.Board.App = b.App
			}
			if b.Channel != "" {
				sc.Board.Channel = b.Channel
			}
			if b.Name != "" || b.Platform != "" {
				sc.Board.Names = []string{b.Name, b.Platform}
			}
			if b.MPY != "" {
				sc.Board.Mpy = numbers(t, b.MPY)
			}
			if b.MicroPython != "" {
				sc.Board.MicroPython = numbers(t, b.MicroPython)
			}
			if b.Time != 0 {
				sc.Board.Now = b.Time
			}
			if i := b.Installed; i != nil {
				sc.Board.Installed = map[string]any{
					"keyset": i.Keyset, "version": i.Version,
					"manifest": map[string]any{"sha256": i.SHA256, "size": i.Size},
				}
			}
		}
		// What the file says is compared where the index gives it, and else with Go's reader.
		ok := "ok *"
		if v.Version != nil {
			ok = fmt.Sprint("ok ", *v.Version)
		} else if s, _, err := signed.ReadStatement(sc.Statement); err == nil {
			ok = fmt.Sprint("ok ", s.Version)
		}
		c.add(t, v.File+", "+v.About, sc, verdicts(ok, v.Error, v.Strict)...)
	}
	c.run(t)
}

func numbers(t *testing.T, version string) []int {
	t.Helper()
	var list []int
	for part := range strings.SplitSeq(version, ".") {
		n, err := strconv.Atoi(part)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, n)
	}
	return list
}

func TestKeysetVectors(t *testing.T) {
	var index []struct {
		File, About, After, Error string
		Strict                    bool
	}
	readTrustVector(t, "keysets/index.json", &index)
	var c trustCheck
	for _, v := range index {
		kc := keysetCase{Keyset: readTrustVector(t, filepath.Join("keysets", v.File), nil)}
		if v.After != "" {
			kc.After = readTrustVector(t, filepath.Join("keysets", v.After), nil)
		}
		c.add(t, v.File+", "+v.About, kc, verdicts("ok", v.Error, v.Strict)...)
	}
	c.run(t)
}

// Statements without signatures: what is in order gets as far as having too few of them.
func TestStatementJSON(t *testing.T) {
	const start, rest = `{"app":"badge","version":1,`, `"manifest":{"sha256":"` + hexDigits + `","size":3},"keyset":1`
	const minimal = start + rest
	tests := []struct{ object, want string }{
		{minimal + `}`, "threshold"},
		{minimal + `,"x":1}`, "threshold"},
		{minimal + `,"x":{},"y":[1,-2.5e+3,true,false,null,{"a":1,"b":2}]}`, "threshold"},
		{minimal + `,"x":"\u00e9\ud83c\udf35\"\\\/\b\f\n\r\t"}`, "threshold"},
		{minimal + `,"x" : [ ] }`, "threshold"},
		{start + `"name":"ñ 🌵 /",` + rest + `}`, "threshold"},
		{minimal + `,"channels":["stable","β"],"boards":["rp2"],"mpy":"6","micropython":"1.22.1","time":1,"expires":9223372036854775807}`, "threshold"},
		{minimal + `,"mpy":"6","later":"mpy"}`, "threshold"},
		{`{ ` + minimal[1:] + `}`, "format"},
		{minimal + ` }`, "format"},
		{minimal + `,}`, "format"},
		{minimal + `, "x":1}`, "format"},
		{minimal + `}}`, "format"},
		{minimal + `}{}`, "format"},
		{`{,` + minimal[1:] + `}`, "format"},
		{`{/**/` + minimal[1:] + `}`, "format"},
		{minimal + `,"mpy":"6","channels":["stable"]}`, "format"},
		{minimal + `,"x":{"expires":5}}`, "format"},
		{minimal + `,"x":"\"expires":5}`, "format"},
		{minimal + `,"time":0}`, "format"},
		{minimal + `,"expires":0}`, "format"},
		{minimal + `,"expires":null}`, "format"},
		{minimal + `,"expires":00000000000000000001}`, "format"},
		{minimal + `,"expires":9223372036854775808}`, "format"},
		{minimal + `,"expires":18446744073709551617}`, "format"},
		{minimal + `,"expires":1e3}`, "format"},
		{minimal + `,"expires":}`, "format"},
		{minimal + `,"channels":[["stable"]]}`, "format"},
		{minimal + `,"channels":{"stable":1}}`, "format"},
		{minimal + `,"channels":[null]}`, "format"},
		{minimal + `,"channels":["a",]}`, "format"},
		{minimal + `,"channels":["a" ,"b"]}`, "format"},
		{minimal + `,"channels":["a"}`, "format"},
		{minimal + `,"channels":["a}`, "format"},
		{start + `"name":"\u0041",` + rest + `}`, "format"},
		{start + `"name":"a\\b",` + rest + `}`, "format"},
		{start + `"name":'a',` + rest + `}`, "format"},
		{start + "\"name\":\"a\tb\"," + rest + `}`, "format"},
		{start + `name:"a",` + rest + `}`, "format"},
		{start + `"name" :"a",` + rest + `}`, "format"},
	}
	var c trustCheck
	for _, tt := range tests {
		document := []byte("saguarota-release 1\n" + tt.object + "\n")
		c.add(t, tt.object, statementCase{Statement: document, Threshold: 1}, tt.want)
		// The publisher's half must agree, or a board refuses what it was told is in order.
		_, _, err := signed.ReadStatement(document)
		if (err == nil) != (tt.want == "threshold") {
			t.Errorf("%s: Go's reader says %v, want %s", tt.object, err, tt.want)
		}
	}
	c.run(t)
}

const hexDigits = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// Both readers find the same damaged documents acceptable, but that the host is stricter with what no
// board looks at.
func TestDocumentsLikeGo(t *testing.T) {
	const statement = `{"app":"badge","version":17,"name":"1.2 é","manifest":{"sha256":"` + hexDigits + `","size":3},` +
		`"keyset":1,"channels":["stable","β"],"mpy":"6.3","micropython":"1.22","time":1,"expires":1800000000,"x":[{"a":-1.5e3},true,null]}`
	keyset := fmt.Sprintf(`{"app":"badge","version":17,"threshold":1,"keys":[%q,%q],"x":{"a":[]}}`, keyA.PublicKey(), keyB.PublicKey())
	for _, tt := range []struct {
		name, header, object string
		read                 func(data []byte) error
		add                  func(document []byte) any
		host                 []string // what only the host objects to
	}{
		{"statement", "saguarota-release 1\n", statement,
			func(data []byte) error { _, _, err := signed.ReadStatement(data); return err },
			func(document []byte) any { return statementCase{Statement: document, Threshold: 1} },
			[]string{"not UTF-8", "control character", "mpy", "micropython", "is no JSON", "is given twice"}},
		{"keyset", "saguarota-keyset 1\n", keyset,
			func(data []byte) error { _, _, err := signed.ReadKeyset(data); return err },
			func(document []byte) any { return keysetCase{Keyset: document} },
			[]string{"not UTF-8", "control character", "is no JSON", "is given twice", signed.ErrKey.Error()}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var c trustCheck
			accepted := 0
			for range 1500 {
				document := []byte(tt.header + damage(tt.object) + "\n")
				want := []string{"threshold"} // nobody signed
				if err := tt.read(document); errors.Is(err, signed.ErrFormat) {
					want = []string{"format"}
					if slices.ContainsFunc(tt.host, func(text string) bool { return strings.Contains(err.Error(), text) }) {
						want = append(want, "threshold")
					}
				} else if err != nil {
					t.Fatal(err)
				} else {
					accepted++
				}
				c.add(t, strconv.Quote(string(document)), tt.add(document), want...)
			}
			if accepted == 0 {
				t.Error("nothing was acceptable, so nothing was compared")
			}
			c.run(t)
		})
	}
}

// damage changes a text of JSON in one or two places.
func damage(object string) string {
	pieces := []string{`"`, `\`, `{`, `}`, `[`, `]`, `,`, `:`, ` `, "\t", `0`, `1`, `9`, `-`, `+`, `.`, `e`, `E`, `u`, `_`,
		`null`, `true`, `\u00e9`, `\ud83c`, `\udf35`, "\x80", "\xc3", "\xe9", "\x7f", "\x00", `"":0,`, `"app":"x",`, `,"x":1`, `A`, `=`}
	for range 1 + rand.N(2) {
		at := 1 + rand.N(len(object)-2)
		object = object[:at] + pieces[rand.N(len(pieces))] + object[at+rand.N(2):]
	}
	return object
}

// What the options say may list a key twice; it signs once all the same.
func TestKeyListedTwiceCountsOnce(t *testing.T) {
	keys := vectorKeys(t)
	data := readTrustVector(t, "statements/minimal.sig", nil)
	var c trustCheck
	c.add(t, "twice", statementCase{Statement: data, Keys: []hexBytes{keys["a"], keys["a"]}, Threshold: 2}, "threshold")
	c.add(t, "no threshold", statementCase{Statement: data, Keys: []hexBytes{keys["b"]}}, "threshold")
	c.add(t, "no keys", statementCase{Statement: data}, "threshold")
	c.run(t)
}

func TestVerifyGarbage(t *testing.T) {
	data := readTrustVector(t, "statements/minimal.sig", nil)
	file := filepath.Join(t.TempDir(), "statement")
	if err := os.WriteFile(file, append(data, vectorKeys(t)["a"]...), 0o666); err != nil {
		t.Fatal(err)
	}
	// Small enough that a bomb which is unpacked bursts it.
	out := runTrustScript(t, "96K", "", "trust_garbage.py", file)
	refused, ok := strings.CutPrefix(out[0], "refused ")
	n, err := strconv.Atoi(refused)
	if !ok || err != nil || len(out) != 1 || n < 3000 {
		t.Errorf("%s", strings.Join(out, "\n"))
	}
}

// A board with 40 kB for everything verifies the largest statement there can be.
func TestVerifyInASmallHeap(t *testing.T) {
	keys := vectorKeys(t)
	for _, tt := range []struct {
		file    string
		signers []string
	}{
		{"minimal.sig", []string{"a"}},
		{"full.sig", []string{"a", "b"}},
		{"longest.sig", []string{"a"}},
		{"16-signers.sig", strings.Split("abcdefghijklmnop", "")},
	} {
		dir := t.TempDir()
		document, trusted := filepath.Join(dir, "statement"), filepath.Join(dir, "keys")
		var list []byte
		for _, name := range tt.signers {
			list = append(list, keys[name]...)
		}
		if err := errors.Join(
			os.WriteFile(document, readTrustVector(t, filepath.Join("statements", tt.file), nil), 0o666),
			os.WriteFile(trusted, list, 0o666)); err != nil {
			t.Fatal(err)
		}
		out := strings.Fields(runTrustScript(t, "40K", "", "trust_heap.py", document, trusted)[0])
		steps, err := strconv.Atoi(out[len(out)-2])
		if err != nil {
			t.Fatal(out)
		}
		// So many chances for an application to go on in between.
		if steps < 20*len(tt.signers) {
			t.Errorf("%s: %d steps to verify %d signatures, want more", tt.file, steps, len(tt.signers))
		}
		t.Logf("%s: %s µs for %d signatures", tt.file, out[len(out)-1], len(tt.signers))
	}
}
