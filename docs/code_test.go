package docs_test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cactuscon/saguarota/manifest"
	"github.com/cactuscon/saguarota/rehearse"
)

// The addresses that stand for a server in the documents.
var server = regexp.MustCompile(`https?://(192\.168\.1\.5:8000|updates\.example\.com)`)

// What stands for the application in the documents.
const app = `
print("app %d")
left = 3

def start():
    pass

def running():
    global left
    left -= 1
    return left > 0

def work():
    pass

def button_pressed():
    return False
`

// What a board needs that the documents' code takes for granted.
var boardFiles = map[string]string{
	"app.py":   fmt.Sprintf(app, 1),
	"ota.key":  "the shared secret\n",
	"old.json": "{}",
	"lib/network.py": `
STA_IF = 0

class WLAN:
    def __init__(self, interface):
        pass

    def active(self, on):
        pass

    def connect(self, name, password):
        pass

    def isconnected(self):
        return True
`,
	"lib/flashbdev.py": `
class RAM:
    def __init__(self):
        self.data = bytearray(32 * 4096)

    def readblocks(self, n, buf, off=0):
        at = n * 4096 + off
        buf[:] = self.data[at : at + len(buf)]

    def writeblocks(self, n, buf, off=0):
        at = n * 4096 + off
        self.data[at : at + len(buf)] = buf

    def ioctl(self, op, arg):
        return {4: 32, 5: 4096, 6: 0}.get(op)

bdev = RAM()
`,
}

const plainBoot = `
from saguarota import OTAUpdater
ota = OTAUpdater("http://192.168.1.5:8000/ota/versions.json", "http://192.168.1.5:8000/ota/")
ota.check_and_perform_ota()
`

const plainMain = `
from saguarota import OTAUpdater
import app
ota = OTAUpdater("http://192.168.1.5:8000/ota/versions.json", "http://192.168.1.5:8000/ota/")
ota.confirm_update(cleanup=True)
`

// TestBoardSnippets runs what the documents show for a board on one: it has the first release of
// an application, a server has the second, and the board must end up with that, confirmed.
func TestBoardSnippets(t *testing.T) {
	for _, name := range documents {
		snippets, _ := parse(t, name)
		for i, s := range snippets {
			if s.language != "python" || isHost(s) {
				continue
			}
			files := map[string]string{"boot.py": plainBoot, "main.py": plainMain}
			switch title(s) {
			case "main.py", "application.py":
				if i > 0 && follows(snippets[i-1], s) {
					continue // it runs with that
				}
				if strings.Contains(s.code, "check_and_perform_ota") || strings.Contains(s.code, "steps()") {
					files["boot.py"] = ""
				}
				files[title(s)] = s.code
			case "boot.py":
				files["boot.py"] = s.code
			case "":
				files["boot.py"] = s.code + "\nota.check_and_perform_ota()\n"
			default:
				continue // see TestBoardScripts
			}
			for j := i; j+1 < len(snippets) && follows(snippets[j], snippets[j+1]); j++ {
				files[title(snippets[j+1])] = snippets[j+1].code
			}
			t.Run(fmt.Sprintf("%s:%d", filepath.Base(name), s.line), func(t *testing.T) {
				t.Parallel()
				runSnippets(t, files)
			})
		}
	}
}

// follows reports whether two snippets show files of one board.
func follows(a, b snippet) bool {
	order := []string{"boot.py", "main.py", "application.py"}
	i, j := slices.Index(order, title(a)), slices.Index(order, title(b))
	return a.heading == b.heading && i >= 0 && j == i+1
}

// publicKey is a key that a document shows; a board gets that of the test's server instead.
var publicKey = regexp.MustCompile(`"[A-Za-z0-9+/]{43}="`)

// prepare makes a board with the files that a document shows, the address of a server in them.
func prepare(t *testing.T, shown map[string]string, site *site) *rehearse.Board {
	t.Helper()
	files := maps.Clone(boardFiles)
	if strings.Contains(shown["boot.py"], `dest_dir="/release"`) {
		files["release/app.py"] = files["app.py"]
		delete(files, "app.py")
	}
	for name, code := range shown {
		// Nobody waits for hours here.
		code = strings.Replace(code, "> 6 * 3600", "> -1", 1)
		code = publicKey.ReplaceAllLiteralString(code, `"`+site.publicKey+`"`)
		files[name] = server.ReplaceAllString(code, site.url)
	}
	return newBoard(t, rehearse.Littlefs, files)
}

func runSnippets(t *testing.T, shown map[string]string) {
	key := ""
	if strings.Contains(shown["boot.py"], "manifest_auth_key") {
		key = strings.TrimSpace(boardFiles["ota.key"])
	}
	site := newSite(t, key, map[string]string{"app.py": fmt.Sprintf(app, 2)})
	b := prepare(t, shown, site)
	results, out := run(t, b)
	last := results[len(results)-1]
	if last.Raised != "" || last.Ending != rehearse.AtREPL {
		t.Fatalf("the board ended %v, %q raised:\n%s", last.Ending, last.Raised, out)
	}
	if !strings.Contains(out, "OTA: installed; restarting") || !strings.Contains(last.Output, "app 2") {
		t.Errorf("the second release was not installed and run:\n%s", out)
	}
	place := "app.py"
	if strings.Contains(shown["boot.py"], `dest_dir="/release"`) {
		place = "release/app.py"
	}
	if got, err := b.ReadFile(t.Context(), place); err != nil || string(got) != fmt.Sprintf(app, 2) {
		t.Errorf("%s on the board is not the release's: %v", place, err)
	}
	state, err := b.ReadFile(t.Context(), "ota_state.txt")
	if err != nil || string(state) != "idle" {
		t.Errorf("the board's state is %q, %v; want idle\n%s", state, err, out)
	}
	if _, err := b.ReadFile(t.Context(), "ota.key"); err != nil {
		t.Errorf("the board lost its own file: %v", err)
	}
}

// TestGuideForBoardsThatNobodyWatches gives the board of the guide's section 6 a release that
// cannot start. The board must get back to the one before by itself, and say so.
func TestGuideForBoardsThatNobodyWatches(t *testing.T) {
	shown := map[string]string{}
	snippets, _ := parse(t, "docs/GUIDE.md")
	for i, s := range snippets {
		if title(s) == "application.py" {
			for _, s := range snippets[i-2 : i+1] {
				shown[title(s)] = s.code
			}
		}
	}
	if len(shown) != 3 {
		t.Fatalf("the guide shows %d files of such a board, want boot.py, main.py and application.py", len(shown))
	}
	site := newSite(t, "", map[string]string{"app.py": "raise ValueError('broken')\n"})
	b := prepare(t, shown, site)
	results, out := run(t, b)
	last := results[len(results)-1]
	if !strings.Contains(last.Output, "app 1") || !strings.Contains(last.Output, "version_rejected") {
		t.Errorf("the last boot does not run the first release, or does not say why:\n%s", out)
	}
	// Installed, three boots on trial, undone, and that is it.
	if len(results) != 6 || strings.Count(out, "ValueError: broken") != 3 {
		t.Errorf("%d boots, want 6, three of them with the broken release:\n%s", len(results), out)
	}
}

// TestBoardScripts runs what is neither boot.py nor main.py.
func TestBoardScripts(t *testing.T) {
	want := map[string]*regexp.Regexp{
		"lost.py":   regexp.MustCompile(`^[0-3] clusters of [0-9]+ bytes are lost\n$`),
		"format.py": regexp.MustCompile(`^$`),
	}
	for _, name := range documents {
		snippets, _ := parse(t, name)
		for _, s := range snippets {
			output := want[title(s)]
			if s.language != "python" || isHost(s) || title(s) == "" || follows(snippet{heading: s.heading, code: "# boot.py\n"}, s) || title(s) == "boot.py" || title(s) == "application.py" {
				continue
			}
			if output == nil {
				t.Errorf("%s:%d: no test for %s", name, s.line, title(s))
				continue
			}
			delete(want, title(s))
			files := map[string]string{"main.py": s.code, "folder/inner/file.txt": strings.Repeat("x", 3000)}
			for name, content := range boardFiles {
				files[name] = content
			}
			results, out := run(t, newBoard(t, rehearse.FAT, files))
			if results[0].Raised != "" || !output.MatchString(out) {
				t.Errorf("%s:%d: %s printed:\n%s", name, s.line, title(s), out)
			}
		}
	}
	for title := range want {
		t.Errorf("no document shows %s", title)
	}
}

// TestLostSeesWhatACutLeaks cuts the power while a board on FAT writes a file, then counts.
func TestLostSeesWhatACutLeaks(t *testing.T) {
	snippets, _ := parse(t, "docs/GUIDE.md")
	at := slices.IndexFunc(snippets, func(s snippet) bool { return title(s) == "lost.py" })
	if at < 0 {
		t.Fatal("the guide does not show lost.py")
	}
	b := newBoard(t, rehearse.FAT, map[string]string{"main.py": `
with open("file", "w") as f:
    for _ in range(10):
        f.write("x" * 2000)
`})
	before := b.Image + ".before"
	if err := b.CopyImage(before); err != nil {
		t.Fatal(err)
	}
	b.Log = b.Image + ".log"
	run(t, b)
	writes, err := rehearse.ReadLog(b.Log)
	if err != nil {
		t.Fatal(err)
	}
	b.Log = ""
	lost := func(after int) (n int) {
		t.Helper()
		if err := b.ReplayTo(before, writes, after, 0); err != nil {
			t.Fatal(err)
		}
		if err := b.WriteFile(t.Context(), "main.py", []byte(snippets[at].code)); err != nil {
			t.Fatal(err)
		}
		_, out := run(t, b)
		if _, err := fmt.Sscanf(out, "%d clusters", &n); err != nil {
			t.Fatalf("%v:\n%s", err, out)
		}
		return n
	}
	whole, cut := lost(len(writes)), lost(len(writes)/2)
	if cut <= whole {
		t.Errorf("%d clusters are lost after a cut in the middle of the file, %d without a cut", cut, whole)
	}
}

// title returns the name of the file that a snippet shows, which is in its first line.
func title(s snippet) string {
	first, _, _ := strings.Cut(s.code, "\n")
	name, ok := strings.CutPrefix(first, "# ")
	if !ok || !strings.HasSuffix(name, ".py") {
		return ""
	}
	return name
}

func isHost(s snippet) bool { return strings.Contains(s.code, "py3utils") }

// program builds the host's program, once for all tests.
var program = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "saguarota-docs-")
	if err != nil {
		return "", err
	}
	cmd := exec.Command("go", "build", "-o", dir, "./cmd/saguarota")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return filepath.Join(dir, "saguarota"), nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := program(); err == nil {
		_ = os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// A desk is a folder with the files that the host's commands in the documents work on.
type desk struct {
	dir string
	env []string
}

func newDesk(t *testing.T) desk {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	d := desk{dir: t.TempDir()}
	for name, content := range map[string]string{
		"src/app.py":            fmt.Sprintf(app, 1),
		"releases/badge/app.py": fmt.Sprintf(app, 1),
		"ota.key":               boardFiles["ota.key"],
		"previous.json":         `{"version": 1, "files": []}`,
	} {
		file := filepath.Join(d.dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	checkout, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	d.env = append(os.Environ(),
		"PATH="+filepath.Dir(path)+string(os.PathListSeparator)+os.Getenv("PATH"),
		"SAGUAROTA_BIN="+path, "PYTHONPATH="+checkout, "PYTHONDONTWRITEBYTECODE=1", "OTA_KEY=another secret")
	return d
}

func (d desk) run(t *testing.T, name string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if name == "saguarota" {
		path, err := program()
		if err != nil {
			return "", err
		}
		name = path
	}
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = d.dir, d.env
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// TestHostSnippets runs the Python of the computer's half.
func TestHostSnippets(t *testing.T) {
	count := 0
	for _, name := range documents {
		snippets, _ := parse(t, name)
		for _, s := range snippets {
			if s.language != "python" || !isHost(s) {
				continue
			}
			count++
			// A free port, and nobody there to press Ctrl-C.
			code := strings.NewReplacer("port=8000", "port=0", "start()", "start(background=True)").Replace(s.code)
			d := newDesk(t)
			if out, err := d.run(t, "python3", "-W", "error", "-c", code); err != nil {
				t.Errorf("%s:%d: %v\n%s", name, s.line, err, out)
			}
			for _, written := range []string{"site/versions.json", "releases/badge/versions.json"} {
				if !strings.Contains(code, `write_manifest("`+written+`")`) {
					continue
				}
				data, err := os.ReadFile(filepath.Join(d.dir, written))
				if err != nil {
					t.Errorf("%s:%d: %v", name, s.line, err)
				} else if m, err := manifest.Read(bytes.NewReader(data)); err != nil || len(m.Files) != 1 {
					t.Errorf("%s:%d: it wrote %s, %v", name, s.line, data, err)
				}
			}
		}
	}
	if count == 0 {
		t.Error("the documents show no Python for the computer")
	}
}

// commands returns the command lines of a snippet, split into words.
func commands(s snippet) [][]string {
	var lines []string
	switch s.language {
	case "sh":
		lines = strings.Split(strings.ReplaceAll(s.code, "\\\n", " "), "\n")
	case "yaml":
		// "run: command", or "run: >-" and then the command's lines, further to the right.
		fold := -1
		for line := range strings.Lines(s.code) {
			text := strings.TrimLeft(line, " ")
			indent := len(line) - len(text)
			text = strings.TrimPrefix(strings.TrimSpace(text), "- ")
			command, ok := strings.CutPrefix(text, "run: ")
			switch {
			case ok && command == ">-":
				fold = indent + len("- ")
				lines = append(lines, "")
			case ok:
				lines = append(lines, command)
				fold = -1
			case fold >= 0 && indent >= fold && !strings.HasSuffix(text, ":"):
				lines[len(lines)-1] += " " + text
			default:
				fold = -1
			}
		}
	}
	var list [][]string
	for _, line := range lines {
		command, _, _ := strings.Cut(line, " #")
		if words := strings.Fields(command); len(words) > 0 && words[0][0] != '#' {
			list = append(list, words)
		}
	}
	return list
}

// TestShellSnippets runs the manifest command as the documents show it, and checks of the other
// commands what can be checked without a board or a network.
func TestShellSnippets(t *testing.T) {
	targets := read(t, "Makefile")
	for _, name := range documents {
		snippets, _ := parse(t, name)
		d := newDesk(t)
		for _, s := range snippets {
			for _, words := range commands(s) {
				line := strings.Join(words, " ")
				var out string
				var err error
				switch words[0] {
				case "saguarota":
					if words[1] != "manifest" {
						words = append(words, "--help") // only reads the other options
					}
					out, err = d.run(t, words[0], words[1:]...)
				case "make":
					for _, target := range words[1:] {
						if !strings.Contains(target, "=") && !strings.Contains(targets, "\n"+target+":") {
							err = fmt.Errorf("the Makefile has no target %s", target)
						}
					}
				case "go":
					for _, arg := range words[2:] {
						if path, _, _ := strings.Cut(arg, "/..."); strings.HasPrefix(path, ".") {
							if _, e := os.Stat(filepath.Join(root, path)); e != nil {
								err = e
							}
						}
						if path, ok := strings.CutPrefix(arg, "github.com/cactuscon/saguarota/"); ok {
							path, _, _ = strings.Cut(path, "@")
							_, err = os.Stat(filepath.Join(root, path))
						}
					}
				case "mpremote":
					package_ := words[len(words)-1]
					if path, ok := strings.CutPrefix(package_, "./"); ok {
						_, err = os.Stat(filepath.Join(root, path))
					} else if package_ != "github:cactuscon/saguarota" {
						err = fmt.Errorf("no package %s", package_)
					}
				case "python3":
					for _, arg := range words[1:] {
						if strings.Contains(arg, "/") {
							if _, e := os.Stat(filepath.Join(root, arg)); e != nil {
								err = e
							}
						}
					}
				case "git", "curl":
				default:
					if _, e := os.Stat(filepath.Join(root, words[0])); e != nil {
						err = fmt.Errorf("nothing is known of this command")
					}
				}
				if err != nil {
					t.Errorf("%s:%d: %s: %v\n%s", name, s.line, line, err, out)
				}
			}
		}
	}
}

var (
	span = regexp.MustCompile("`[^`\n]+`")
	flag = regexp.MustCompile(`(?:^|[\x60 ])(--[a-z][a-z-]*)`)
)

// TestFlags looks for every option in the documents' text in the program's own help.
func TestFlags(t *testing.T) {
	d := newDesk(t)
	var help []string
	commands := []string{"", "manifest", "serve", "rehearse", "keygen", "build", "sign", "verify", "inspect",
		"keys init", "keys add", "keys remove", "keys rotate", "keys sign", "keys list",
		"fleet serve", "fleet app add", "fleet ca init", "fleet ca issue", "fleet simulate", "fleet device list", "fleet device pin", "fleet device tag", "fleet device hide", "fleet audit", "fleet webhook add", "publish", "rollout start", "rollback"}
	for _, command := range commands {
		args := append(strings.Fields(command), "--help")
		out, err := d.run(t, "saguarota", args...)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range flag.FindAllStringSubmatch(out, -1) {
			help = append(help, m[1])
		}
	}
	found := 0
	for _, name := range documents {
		_, text := parse(t, name)
		for _, code := range span.FindAllString(text, -1) {
			for _, m := range flag.FindAllStringSubmatch(code, -1) {
				found++
				if !slices.Contains(help, m[1]) {
					t.Errorf("%s mentions %s, which saguarota does not know", name, m[1])
				}
			}
		}
	}
	if found == 0 {
		t.Error("the documents mention no option: the test looks for the wrong thing")
	}
}

// TestJSONSnippets reads the manifests that the documents show.
func TestJSONSnippets(t *testing.T) {
	for _, name := range documents {
		snippets, _ := parse(t, name)
		for _, s := range snippets {
			if s.language != "json" {
				continue
			}
			if _, err := manifest.Read(strings.NewReader(s.code)); err != nil {
				t.Errorf("%s:%d: %v", name, s.line, err)
			}
		}
	}
}

// Every block of code names a language that one of these tests looks at.
func TestLanguages(t *testing.T) {
	for _, name := range documents {
		snippets, _ := parse(t, name)
		for _, s := range snippets {
			if !slices.Contains([]string{"python", "sh", "yaml", "json", "text"}, s.language) {
				t.Errorf("%s:%d: nothing tests code in %q", name, s.line, s.language)
			}
		}
	}
}
