package docs_test

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cactuscon/saguarota/internal/micropython"
	"github.com/cactuscon/saguarota/rehearse"
)

// section returns what API.md has below a heading, up to the next one of any level.
func section(t *testing.T, heading string) string {
	t.Helper()
	_, text := parse(t, "docs/API.md")
	_, rest, ok := strings.Cut(text, "\n"+heading+"\n")
	if !ok {
		t.Fatalf("API.md has no section %q", heading)
	}
	rest, _, _ = strings.Cut(rest, "\n#")
	return rest
}

// table returns the cells of the rows of a section's table, without its head.
func table(t *testing.T, heading string) [][]string {
	t.Helper()
	var rows [][]string
	for line := range strings.Lines(section(t, heading)) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "|") {
			continue
		}
		var cells []string
		for _, cell := range strings.Split(strings.Trim(line, "|"), " | ") {
			cells = append(cells, strings.TrimSpace(cell))
		}
		rows = append(rows, cells)
	}
	if len(rows) < 3 {
		t.Fatalf("section %q of API.md has no table", heading)
	}
	return rows[2:]
}

// board runs a script on MicroPython, beside the library's source, and returns its lines.
func board(t *testing.T, script string) []string {
	t.Helper()
	in, err := micropython.Find(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	checkout, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := in.Command(ctx, "", "-c", "import sys\nsys.path[:] = [sys.argv[1], '.frozen']\n"+script, checkout)
	cmd.Dir = t.TempDir()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

func TestAPIOptions(t *testing.T) {
	var documented []string
	for _, row := range table(t, "### Options") {
		documented = append(documented, strings.Trim(row[0], "`")+" "+strings.Trim(row[1], "`"))
	}
	got := board(t, `
from saguarota.config import _OPTIONS
for name, default, convert in _OPTIONS:
    if name in ("manifest_url", "base_file_url"):
        print(name, "required")
    elif name.startswith("backup_skip"):
        print(name, "[list](#skip-lists)")
    else:
        print(name, repr(default))
`)
	if diff := cmp.Diff(got, documented); diff != "" {
		t.Errorf("options (-config.py +API.md):\n%s", diff)
	}
}

func TestAPISkipLists(t *testing.T) {
	var documented []string
	lists, _, _ := strings.Cut(section(t, "#### Skip lists"), "\n\nThey")
	for _, name := range span.FindAllString(lists, -1) {
		if name = strings.Trim(name, "`"); !strings.HasPrefix(name, "backup_") {
			documented = append(documented, name)
		}
	}
	got := board(t, `
from saguarota.config import _OPTIONS
for name, default, convert in _OPTIONS:
    if name.startswith("backup_skip"):
        for item in default:
            print(item)
`)
	if diff := cmp.Diff(got, documented); diff != "" {
		t.Errorf("skip lists (-config.py +API.md):\n%s", diff)
	}
}

func TestAPIConstants(t *testing.T) {
	for class, heading := range map[string]string{
		"OTAState":        "### States",
		"OTAErrorCode":    "### Error codes",
		"OTADeletePolicy": "### Delete policies",
	} {
		var documented []string
		for _, row := range table(t, heading) {
			documented = append(documented, strings.Trim(row[0], "`")+" "+strings.Trim(row[1], "`"))
		}
		got := board(t, strings.ReplaceAll(`
from saguarota import CLASS
for name in dir(CLASS):
    if name[0] != "_" and name != "ALL_POLICIES":
        print('CLASS.{} "{}"'.format(name, getattr(CLASS, name)))
`, "CLASS", class))
		slices.Sort(documented)
		slices.Sort(got)
		if diff := cmp.Diff(got, documented); diff != "" {
			t.Errorf("%s (-names.py +API.md):\n%s", class, diff)
		}
	}
}

var methodHeading = regexp.MustCompile(`(?m)^#### (\w+)\(.*\)$`)

func TestAPIMethods(t *testing.T) {
	var documented []string
	for _, m := range methodHeading.FindAllStringSubmatch(read(t, "docs/API.md"), -1) {
		documented = append(documented, m[1])
	}
	const make = `
from saguarota import OTAUpdater
ota = OTAUpdater("http://localhost/ota/versions.json", "http://localhost/ota/")
`
	got := board(t, make+`
for name in "`+strings.Join(documented, " ")+`".split():
    print(name, callable(getattr(ota, name)))
`)
	var want []string
	for _, name := range documented {
		want = append(want, name+" True")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("methods in API.md that OTAUpdater does not have:\n%s", diff)
	}
	for _, name := range board(t, make+`
for name in dir(OTAUpdater):
    if name[0] != "_":
        print(name)
`) {
		if !slices.Contains(documented, name) {
			t.Errorf("API.md has no heading for %s()", name)
		}
	}
	// Found by OTAUpdater.__getattr__, so dir() does not tell.
	for _, name := range []string{"cleanup_files", "revert_update", "fetch_manifest", "release"} {
		if !slices.Contains(documented, name) {
			t.Errorf("API.md has no heading for %s()", name)
		}
	}
}

// The module that run() is in has its name, and must not take its place.
func TestAPIRun(t *testing.T) {
	got := board(t, `
for _ in range(2):
    from saguarota import run
    print(run("hashlib").__name__)
`)
	if diff := cmp.Diff([]string{"hashlib", "hashlib"}, got); diff != "" {
		t.Errorf("run() imported:\n%s", diff)
	}
}

func TestAPIAttributes(t *testing.T) {
	var script strings.Builder
	script.WriteString(`
from saguarota import OTAUpdater
ota = OTAUpdater("http://localhost/ota/versions.json", "http://localhost/ota/", application_name="badge")
`)
	for _, row := range table(t, "### Attributes") {
		name := strings.Trim(row[0], "`")
		script.WriteString("print('" + name + "', ota." + name + ")\n")
	}
	want := []string{"last_error_code None", "last_error_message None", "next_poll_s None", "backup_dir badge_backup"}
	if diff := cmp.Diff(want, board(t, script.String())); diff != "" {
		t.Errorf("attributes:\n%s", diff)
	}
}

// documentedEvents returns the events in API.md with the sets of keys that they have there.
func documentedEvents(t *testing.T) map[string][]string {
	events := map[string][]string{}
	for _, row := range table(t, "### Progress events") {
		name := strings.Trim(row[0], "`")
		for _, keys := range strings.Split(row[1], ", or ") {
			words := strings.Fields(strings.ReplaceAll(keys, "`", ""))
			slices.Sort(words)
			events[name] = append(events[name], strings.Join(words, " "))
		}
	}
	return events
}

var emitted = regexp.MustCompile(`emit\(\s*ota,\s*"(\w+)"`)

func TestAPIEventNames(t *testing.T) {
	found := map[string]bool{}
	modules, err := filepath.Glob(filepath.Join(root, "saguarota", "*.py"))
	if err != nil {
		t.Fatal(err)
	}
	for _, module := range modules {
		data, err := os.ReadFile(module)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range emitted.FindAllStringSubmatch(string(data), -1) {
			found[m[1]] = true
		}
	}
	documented := map[string]bool{}
	for name := range documentedEvents(t) {
		documented[name] = true
	}
	if diff := cmp.Diff(found, documented); diff != "" {
		t.Errorf("events (-in the code +API.md):\n%s", diff)
	}
}

// TestAPIEventKeys lets boards meet every event and compares its keys with those in API.md.
func TestAPIEventKeys(t *testing.T) {
	const boot = `
from saguarota import OTAUpdater

def progress(event, details):
    print("EVENT", event, " ".join(sorted(details)))

ota = OTAUpdater(
    manifest_url="http://192.168.1.5:8000/ota/versions.json",
    base_file_url="http://192.168.1.5:8000/ota/",
    retry_base_delay_ms=1,
    delete_files_not_in_manifest_policy="custom_extensions",
    delete_files_not_in_manifest_extensions=(".txt",),
    progress_callback=progress,
    recurse_http_fs=MODE,
    strict_http_fs=False,
)
try:
    for _ in ota.steps(apply=APPLY):
        pass
except Exception as e:
    print(repr(e))
`
	met := map[string][]string{}
	for _, mode := range []string{"False", "True"} {
		site := newSite(t, "", map[string]string{"same.py": "pass\n", "new.py": "pass\n", "gone.py": "pass\n"})
		asked := map[string]int{}
		site.fail = func(path string) bool {
			asked[path]++
			// In manifest mode a file that never comes would be the end.
			return path == "/ota/new.py" && asked[path] == 1 || path == "/ota/gone.py" && mode == "True"
		}
		site.badPacks = true
		code := strings.Replace(server.ReplaceAllString(boot, site.url), "MODE", mode, 1)
		b := newBoard(t, rehearse.Littlefs, map[string]string{"same.py": "pass\n", "extra.txt": "old"})
		var out string
		for _, apply := range []string{"False", "True"} {
			if err := b.WriteFile(t.Context(), "boot.py", []byte(strings.Replace(code, "APPLY", apply, 1))); err != nil {
				t.Fatal(err)
			}
			_, said := run(t, b)
			out += said
		}
		for line := range strings.Lines(out) {
			words := strings.Fields(line)
			if len(words) < 2 || words[0] != "EVENT" {
				continue
			}
			keys := strings.Join(words[2:], " ")
			if !slices.Contains(met[words[1]], keys) {
				met[words[1]] = append(met[words[1]], keys)
			}
		}
	}
	documented := documentedEvents(t)
	for _, events := range []map[string][]string{met, documented} {
		for _, keys := range events {
			slices.Sort(keys)
		}
	}
	if diff := cmp.Diff(met, documented); diff != "" {
		t.Errorf("events (-on a board +API.md):\n%s", diff)
	}
}

// TestAPIBuilder compares the arguments of the computer's classes, and the table of methods.
func TestAPIBuilder(t *testing.T) {
	d := newDesk(t)
	out, err := d.run(t, "python3", "-c", `
import inspect
from saguarota.py3utils import OTAManifestBuilder, OTAManifestServer
for name in list(inspect.signature(OTAManifestBuilder).parameters):
    print("argument", name)
for cls in (OTAManifestBuilder, OTAManifestServer):
    for name, method in vars(cls).items():
        if name[0] != "_":
            print("method", name)
`)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	documented := ""
	name := regexp.MustCompile("^`(\\w+)(\\(.*\\))?`$")
	for _, heading := range []string{"### OTAManifestBuilder", "### OTAManifestServer"} {
		for _, row := range table(t, heading) {
			switch m := name.FindStringSubmatch(row[0]); {
			case m == nil:
			case m[2] == "":
				documented += "argument " + m[1] + "\n"
			default:
				documented += "method " + m[1] + "\n"
			}
		}
	}
	if diff := cmp.Diff(out, documented); diff != "" {
		t.Errorf("computer's half (-py3utils.py +API.md):\n%s", diff)
	}
}
