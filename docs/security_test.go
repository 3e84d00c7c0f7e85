package docs_test

import (
	"cmp"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	testName = regexp.MustCompile("`(?:([a-z]+)\\.)?((?:Test|Fuzz)[A-Za-z0-9]+)`")
	// a test and the cases of its table
	caseNames = regexp.MustCompile("`(?:Test|Fuzz)[A-Za-z0-9]+`: (\"[^\"|]+\"(?:, \"[^\"|]+\")*)")
	caseName  = regexp.MustCompile(`"[^"]+"`)
	errorCode = regexp.MustCompile("`([a-z0-9]+(?:_[a-z0-9]+)+)`")

	scriptName = regexp.MustCompile("`([a-z_]+\\.txtar)`")
)

// TestSECURITYNamesTests checks that every test that SECURITY.md names is there,
// with its cases, and that no attack is without one. Error codes are those of
// boards. A name without a package is that of a test
// of the board.
func TestSECURITYNamesTests(t *testing.T) {
	text := read(t, "docs/SECURITY.md")
	code := map[string]string{} // of a package's tests
	named := 0
	for _, m := range testName.FindAllStringSubmatch(text, -1) {
		named++
		pkg, name := cmp.Or(m[1], "boardtest"), m[2]
		if code[pkg] == "" {
			folder := pkg
			if pkg == "saguarota" { // the program
				folder = "cmd/saguarota"
			}
			files, err := filepath.Glob(filepath.Join(root, folder, "*_test.go"))
			if err != nil {
				t.Fatal(err)
			}
			for _, file := range files {
				data, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				code[pkg] += string(data)
			}
		}
		if !strings.Contains(code[pkg], "\nfunc "+name+"(") {
			t.Errorf("SECURITY.md names %s, which package %s does not have", name, pkg)
		}
	}
	for _, m := range scriptName.FindAllStringSubmatch(text, -1) {
		named++
		if _, err := os.Stat(filepath.Join(root, "cmd", "saguarota", "testdata", "script", m[1])); err != nil {
			t.Errorf("SECURITY.md names %s: %v", m[1], err)
		}
	}
	if named == 0 {
		t.Fatal("SECURITY.md names no test")
	}
	_, attacks, _ := strings.Cut(text, "\n## Attacks\n")
	attacks, _, _ = strings.Cut(attacks, "\n## When a key is stolen\n")
	for _, m := range caseNames.FindAllStringSubmatch(attacks, -1) {
		for _, name := range caseName.FindAllString(m[1], -1) {
			if !strings.Contains(code["boardtest"], name) {
				t.Errorf("SECURITY.md names the case %s, which no test has", name)
			}
		}
	}
	names := read(t, "saguarota/names.py")
	onBoards, _, _ := strings.Cut(attacks, "\n## ")
	for line := range strings.Lines(onBoards) {
		if cells := strings.Split(line, "|"); len(cells) == 6 {
			for _, m := range errorCode.FindAllStringSubmatch(cells[3], -1) {
				if !strings.Contains(names, `"`+m[1]+`"`) {
					t.Errorf("SECURITY.md names the error code %s, which boards do not have", m[1])
				}
			}
		}
	}
	above := ""
	for line := range strings.Lines(attacks) {
		isRow := strings.HasPrefix(line, "| ") && !strings.HasPrefix(line, "| attack ") && !strings.HasPrefix(line, "| ---")
		sameAsAbove := strings.HasSuffix(line, "| the same |\n") && testName.MatchString(above)
		if isRow && !sameAsAbove && !testName.MatchString(line) && !scriptName.MatchString(line) {
			t.Errorf("no test for: %s", line)
		}
		above = line
	}
}
