package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cactuscon/saguarota/release"
)

// Commands that read a private key, those that fail too, show it nowhere: not on their outputs, in
// no file but the key's own, and in no temporary file, also while they run.
func TestPrivateKeysStayInTheirFiles(t *testing.T) {
	if _, err := exec.LookPath("sh"); err != nil {
		t.Fatal(err)
	}
	program, err := exec.LookPath("saguarota")
	if err != nil {
		t.Fatal(err)
	}
	dir, temp := t.TempDir(), t.TempDir()
	env := append(os.Environ(), "TMPDIR="+temp, "HOME="+temp)
	var said bytes.Buffer
	run := func(args ...string) {
		cmd := exec.CommandContext(t.Context(), program, args...)
		cmd.Dir, cmd.Env = dir, env
		out, _ := cmd.CombinedOutput() // what fails is as interesting
		fmt.Fprintf(&said, "$ %q\n%s\n", args, out)
	}
	write := func(name, content string) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	read := func(name string) string {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}

	write("src/main.py", "print('hello')\n")
	// The external signer looks at what lies about while another key is in the program's hands.
	const look = `n=0; while [ -e seen.$n ]; do n=$((n+1)); done; mkdir seen.$n; cp -R site keys.out "$TMPDIR" seen.$n/ 2>/dev/null; signer raw b.key`
	for _, name := range []string{"a", "b", "c"} {
		run("keygen", "-o", name+".key")
	}
	run("keygen", "-o", "a.key")
	keys := map[string]string{"a.key": read("a.key"), "b.key": read("b.key"), "c.key": read("c.key")}
	body := func(name string) string { return strings.Split(keys[name], "\n")[1] }
	write("broken.key", strings.Replace(keys["a.key"], "END", "ENDE", 1))
	write("long.key", keys["a.key"]+keys["c.key"])
	keys["broken.key"], keys["long.key"] = "", ""
	for _, args := range [][]string{
		{"build", "src", "-o", "site", "--app", "badge", "--key", "a.key", "--pub", "b.key.pub", "--sign-command", look},
		{"build", "src", "-o", "site", "--app", "badge", "--key", body("a.key")},
		{"build", "src", "-o", "site", "--app", "badge", "--key", keys["a.key"]},
		{"build", "src", "-o", "site", "--app", "badge", "--key", "broken.key"},
		{"build", "src", "-o", "site", "--app", "badge", "--key", "long.key"},
		{"build", "src", "-o", "src/main.py", "--app", "badge", "--key", "a.key"},
		{"build", "src", "-o", "other", "--app", `bad"ge`, "--key", "a.key"},
		{"sign", "site", "--key", "c.key", "--pub", "b.key.pub", "--sign-command", look},
		{"sign", "site", "--key", "a.key", "--pub", "a.key", "--sign-command", look},
		{"sign", "site", "--pub", "a.key.pub", "--sign-command", "cat a.key >/dev/null; false"},
		{"sign", "nowhere", "--key", "a.key"},
		{"keys", "init", "site", "a.key.pub", "b.key.pub", "--app", "badge", "--key", "a.key"},
		{"keys", "add", "site", "c.key", "--key", "a.key"},
		{"keys", "add", "site", "c.key.pub", "--key", "a.key", "--pub", "b.key.pub", "--sign-command", look},
		{"keys", "rotate", "site", "c.key.pub", "--key", "a.key", "--key", "c.key"},
		{"keys", "rotate", "site", body("c.key"), "--key", "c.key"},
		{"build", "src", "-o", "site", "--app", "badge", "--key", "c.key"},
		{"keys", "list", "site"},
		{"verify", "site", "--pub", "a.key"},
		{"verify", "site", "--pub", "a.key.pub"},
		{"inspect", "site"}, {"inspect", "site", "--json"}, {"inspect", "a.key"}, {"inspect", "a.key", "--json"},
		{"serve", "src", "--key", "a.key", "--port", "99999"},
		{"manifest", "src", "--key", "a.key"},
		{"rollback", "badge", "--to", "1", "--key", "a.key", "--server", "http://127.0.0.1:1", "--token-file", "a.key.pub"},
		{"rollback", "badge", "--to", "1", "--key", body("a.key"), "--server", "http://127.0.0.1:1", "--token-file", "a.key.pub"},
		{"rollback", "badge", "--to", "1", "--key", "a.key", "--root", "a.key", "--server", "http://127.0.0.1:1", "--token-file", "a.key.pub"},
	} {
		run(args...)
	}

	// The server signs, and logs who asked.
	serve := exec.CommandContext(t.Context(), program, "serve", "src", "--key", "a.key", "--port", "0")
	serve.Dir, serve.Env, serve.Stderr = dir, env, &said
	out, err := serve.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := serve.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	var log bytes.Buffer
	for asked := false; lines.Scan(); {
		fmt.Fprintln(&log, lines.Text())
		if url, ok := strings.CutPrefix(lines.Text(), "listening on "); ok && !asked {
			asked = true
			for _, name := range []string{release.StatementName, release.ManifestName, "a.key", "..%2fa.key"} {
				resp, err := http.Get(strings.TrimSuffix(url, "/") + "/ota/" + name)
				if err != nil {
					t.Fatal(err)
				}
				if err := resp.Write(&log); err != nil {
					t.Fatal(err)
				}
			}
			if err := serve.Process.Signal(os.Interrupt); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := serve.Wait(); err != nil {
		t.Errorf("serve: %v", err)
	}
	said.Write(log.Bytes())
	if !strings.Contains(log.String(), "saguarota-release 1") {
		t.Errorf("the server signed nothing:\n%s", log.String())
	}

	// A key in all the ways in which somebody may have let it out.
	shapes := map[string][]byte{}
	for name, text := range keys {
		if text == "" {
			continue
		}
		der, err := base64.StdEncoding.DecodeString(body(name))
		if err != nil || len(der) < 32 {
			t.Fatalf("%s: %v", name, err)
		}
		seed := der[len(der)-32:]
		list := strings.Trim(fmt.Sprint(seed), "[]")
		for what, shape := range map[string]string{
			"as bytes":       string(seed),
			"in hexadecimal": hex.EncodeToString(seed),
			"in upper case":  strings.ToUpper(hex.EncodeToString(seed)),
			"as PEM":         body(name),
			"in Base64":      base64.RawStdEncoding.EncodeToString(seed[:30]),
			"as a list":      list,
			"in Go's syntax": strings.Trim(fmt.Sprintf("%#v", seed), "[]byte{}"),
		} {
			shapes[name+" "+what] = []byte(shape)
		}
	}
	check := func(where string, data []byte) {
		for what, shape := range shapes {
			if bytes.Contains(data, shape) {
				t.Errorf("%s has %s", where, what)
			}
		}
	}
	// What was typed on purpose is not what the program said.
	typed := strings.NewReplacer(fmt.Sprintf("%q", keys["a.key"]), "", fmt.Sprintf("%q", body("a.key")), "", fmt.Sprintf("%q", body("c.key")), "")
	check("the output", []byte(typed.Replace(said.String())))
	files, seen := 0, 0
	for _, root := range []string{dir, temp} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			if _, isKey := keys[filepath.Base(path)]; isKey && filepath.Dir(path) == dir {
				return nil
			}
			files++
			if strings.Contains(path, "seen.") {
				seen++
			}
			data, err := os.ReadFile(path)
			check(path, data)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if files < 10 || seen == 0 {
		t.Errorf("only %d files were looked at, %d of them while a command ran:\n%s", files, seen, said.String())
	}
	// Else nothing was tried.
	for _, sign := range []string{"signed by", "takes the name of a file", "keyset 2", "a private key is given where a public one is needed"} {
		if !strings.Contains(said.String(), sign) {
			t.Errorf("no command said %q:\n%s", sign, said.String())
		}
	}
}
