// Package docs_test keeps the documents true: it runs what they show, follows their links, and
// compares the names in them with the code.
package docs_test

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

// root is the repository's root, seen from this folder.
const root = ".."

// documents are all Markdown files for people, relative to root.
var documents = find("*.md", "docs/*.md", "examples/*/*.md")

func find(patterns ...string) []string {
	var names []string
	for _, pattern := range patterns {
		paths, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			panic(err) // only for a pattern that is none
		}
		for _, path := range paths {
			name, err := filepath.Rel(root, path)
			if err != nil {
				panic(err) // only for paths that do not start with root
			}
			names = append(names, filepath.ToSlash(name))
		}
	}
	return names
}

func read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// A snippet is a fenced block of code.
type snippet struct {
	line     int // where it starts
	language string
	heading  string // the last one before it
	code     string
}

// parse returns a document's snippets, and its text without them.
func parse(t *testing.T, name string) (snippets []snippet, text string) {
	t.Helper()
	var s *snippet
	var b strings.Builder
	heading := ""
	for i, line := range strings.Split(read(t, name), "\n") {
		language, fence := strings.CutPrefix(line, "```")
		switch {
		case fence && s == nil:
			s = &snippet{line: i + 1, language: language, heading: heading}
		case fence:
			snippets = append(snippets, *s)
			s = nil
		case s != nil:
			s.code += line + "\n"
		default:
			if strings.HasPrefix(line, "#") {
				heading = line
			}
			b.WriteString(line + "\n")
		}
	}
	if s != nil {
		t.Fatalf("%s:%d: the block of code has no end", name, s.line)
	}
	return snippets, b.String()
}

// anchors returns the names under which a document's headings can be linked to.
func anchors(t *testing.T, name string) map[string]bool {
	_, text := parse(t, name)
	found := map[string]bool{}
	for line := range strings.Lines(text) {
		hashes, title, ok := strings.Cut(line, " ")
		if ok && hashes != "" && strings.Trim(hashes, "#") == "" {
			found[slug(strings.TrimSpace(title))] = true
		}
	}
	return found
}

// slug makes an anchor of a heading, as GitHub does.
func slug(title string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
			return unicode.ToLower(r)
		}
		return -1
	}, title)
}

var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

func TestLinks(t *testing.T) {
	for _, name := range documents {
		_, text := parse(t, name)
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			file, anchor, _ := strings.Cut(m[1], "#")
			target := name
			if file != "" {
				target = path.Join(path.Dir(name), file)
			}
			if _, err := os.Stat(filepath.Join(root, target)); err != nil {
				t.Errorf("%s links to %s, which is not there", name, m[1])
				continue
			}
			if anchor != "" && !anchors(t, target)[anchor] {
				t.Errorf("%s links to %s, but %s has no such heading", name, m[1], target)
			}
		}
	}
}

// Links to these anchors are out in the world: older documents had them.
func TestOldAnchorsAreThere(t *testing.T) {
	for name, list := range map[string][]string{
		"docs/GUIDE.md": {
			"1-recommended-ota-flow",
			"7-deleting-files-missing-from-manifest",
			"8-production-guidance",
			"10-ci-manifest-generation-without-dev-server",
		},
	} {
		found := anchors(t, name)
		for _, anchor := range list {
			if !found[anchor] {
				t.Errorf("%s has no heading for #%s", name, anchor)
			}
		}
	}
}

// Whoever opens the README sees at once what to type.
func TestREADMEBeginsWithTheTwoCommands(t *testing.T) {
	snippets, _ := parse(t, "README.md")
	first := snippets[0]
	var commands []string
	for line := range strings.Lines(first.code) {
		command, _, _ := strings.Cut(line, "#")
		commands = append(commands, strings.TrimSpace(command))
	}
	if got := strings.Join(commands, ", "); first.line > 3 || got != "make demo, make test" {
		t.Errorf("the README's first block of code, in line %d, has %q", first.line, got)
	}
}

// CONTRIBUTING.md names every module of the board and every folder, so that nobody has to guess.
func TestCONTRIBUTINGNamesEverything(t *testing.T) {
	text := read(t, "CONTRIBUTING.md")
	names := map[string]bool{}
	for _, module := range find("saguarota/*.py") {
		names[path.Base(module)] = true
	}
	for _, file := range find("*/*.go", "*/*/*.go", "*/*.py", "*/*/*.py") {
		folder := path.Dir(file)
		// What is built, the insides of the example, and folders that belong to the one
		// above them.
		switch top, inner, _ := strings.Cut(folder, "/"); {
		case top == "build" || top == "dist" || strings.HasPrefix(top, "."):
		case top == "boardtest" || top == "rehearse" || top == "examples" || top == "manifest":
			names[top+"/"] = true
		case inner == "testdata":
		default:
			names[folder+"/"] = true
		}
	}
	for name := range names {
		if !strings.Contains(text, "`"+name+"`") {
			t.Errorf("CONTRIBUTING.md does not mention %s", name)
		}
	}
}
