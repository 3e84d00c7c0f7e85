// Package releases makes pairs of releases to update a simulated board with: what real
// updates do to a tree, one thing at a time.
package releases

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/cactuscon/saguarota/internal/micropython"
	"github.com/cactuscon/saguarota/manifest"
	"github.com/cactuscon/saguarota/saguarota"
)

// Pair is an update, from the tree Old to the tree New: contents by path.
type Pair struct {
	Name     string
	Old, New map[string]string
	// OwnLibrary says that the updater is part of both trees.
	OwnLibrary bool
	// Room is how much of the flash is left free beside the old release, RoomFAT the same on
	// FAT; 0 for plenty.
	Room, RoomFAT int
}

// All has every pair.
func All() []Pair {
	return []Pair{App(), Core(), MainOnly(), Renamed(), Full(), Asset(), Large()}
}

// Options are those to build the pairs' manifests with.
func Options() manifest.Options {
	o := manifest.DefaultOptions()
	o.Extensions = append(o.Extensions, ".json")
	return o
}

// Boot is a boot.py that looks for a release and says which one it belongs to.
func Boot(version int) string {
	return fmt.Sprintf(`print("boot.py of release %d")
from saguarota import OTAUpdater
OTAUpdater(
    manifest_url="http://updates/ota/versions.json",
    base_file_url="http://updates/ota/",
    download_retries=0,
    delete_files_not_in_manifest_policy="custom_extensions",
    delete_files_not_in_manifest_extensions=(".py", ".mpy", ".json", ".raw"),
).check_and_perform_ota()
`, version)
}

// Main is a main.py that confirms.
func Main(version int) string {
	return fmt.Sprintf(`print("main.py of release %d")
from saguarota import OTAUpdater
OTAUpdater("http://updates/ota/versions.json", "http://updates/ota/").confirm_update(cleanup=True)
`, version)
}

// Library has the updater's modules, as files of a release. Each has a mark, if it isn't empty.
func Library(mark string) map[string]string {
	files := map[string]string{}
	entries, err := fs.ReadDir(saguarota.Library, ".")
	if err != nil {
		panic(err) // an embedded folder
	}
	for _, e := range entries {
		if e.Name() == "py3utils.py" {
			continue
		}
		data, err := fs.ReadFile(saguarota.Library, e.Name())
		if err != nil {
			panic(err)
		}
		text := string(data)
		if mark != "" {
			text += fmt.Sprintf("\n_MARK = %q\n", mark)
		}
		files["lib/saguarota/"+e.Name()] = text
	}
	return files
}

// Compiled returns the files with every .py compiled to a .mpy, but for boot.py and main.py,
// which the firmware wants as sources.
func Compiled(ctx context.Context, files map[string]string) (map[string]string, error) {
	cross, err := micropython.FindCross(ctx)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "saguarota-releases-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	out := map[string]string{}
	for name, text := range files {
		module, isPy := strings.CutSuffix(name, ".py")
		if !isPy || name == "boot.py" || name == "main.py" {
			out[name] = text
			continue
		}
		source := filepath.Join(dir, path.Base(name))
		if err := os.WriteFile(source, []byte(text), 0o666); err != nil {
			return nil, err
		}
		if err := cross.Compile(ctx, source, source+".mpy"); err != nil {
			return nil, err
		}
		data, err := os.ReadFile(source + ".mpy")
		if err != nil {
			return nil, err
		}
		out[module+".mpy"] = string(data)
	}
	return out, nil
}

// CompileLibrary returns the pair with the updater as .mpy files, where it is part of the
// trees: boards load these faster.
func (p Pair) CompileLibrary(ctx context.Context) (Pair, error) {
	for _, tree := range []*map[string]string{&p.Old, &p.New} {
		library, rest := map[string]string{}, map[string]string{}
		for name, text := range *tree {
			if strings.HasPrefix(name, "lib/saguarota/") {
				library[name] = text
			} else {
				rest[name] = text
			}
		}
		library, err := Compiled(ctx, library)
		if err != nil {
			return Pair{}, err
		}
		maps.Copy(rest, library)
		*tree = rest
	}
	return p, nil
}

// App is a pair of eight files: some changed, one added, one removed, one a binary asset.
func App() Pair {
	return Pair{
		Name: "app",
		Old: map[string]string{
			"boot.py":           Boot(1),
			"main.py":           Main(1),
			"app/__init__.py":   "",
			"app/screen.py":     source("screen", 1, 20),
			"app/menu.py":       source("menu", 1, 60),
			"app/same.py":       source("same", 0, 10),
			"app/old.py":        source("old", 1, 30),
			"assets/logo.raw":   binary(1, 3000),
			"assets/colour.raw": binary(2, 100),
		},
		New: map[string]string{
			"boot.py":           Boot(1),
			"main.py":           Main(2),
			"app/__init__.py":   "",
			"app/screen.py":     source("screen", 2, 25),
			"app/menu.py":       source("menu", 2, 50),
			"app/same.py":       source("same", 0, 10),
			"app/new/page.py":   source("page", 2, 30),
			"assets/logo.raw":   binary(3, 2500),
			"assets/colour.raw": binary(4, 120),
		},
	}
}

// Core replaces boot.py, main.py and the updater itself.
func Core() Pair {
	p := App()
	p.Name, p.OwnLibrary = "core", true
	p.New["boot.py"] = Boot(2)
	for path, text := range Library("") {
		p.Old[path] = text
	}
	for path, text := range Library("release 2") {
		p.New[path] = text
	}
	return p
}

// MainOnly has a boot.py that does not call the updater: main.py alone does.
func MainOnly() Pair {
	p := App()
	p.Name = "main only"
	for i, tree := range []map[string]string{p.Old, p.New} {
		tree["boot.py"] = "print('booting')\n"
		tree["main.py"] = bootCall() + Main(i+1)
	}
	return p
}

// Start replaces both start files and one module; calls says whose boot.py calls the updater, the old
// release's and the new one's. main.py does where boot.py does not.
func Start(calls [2]bool) Pair {
	trees := [2]map[string]string{}
	for i := range trees {
		boot, main := Boot(i+1), Main(i+1)
		if !calls[i] {
			boot, main = fmt.Sprintf("print('boot.py of release %d')\n", i+1), bootCall()+main
		}
		trees[i] = map[string]string{"boot.py": boot, "main.py": main, "app.py": source("app", i+1, 10)}
	}
	return Pair{Name: "start files", Old: trees[0], New: trees[1]}
}

// bootCall is what a boot.py calls the updater with, for a main.py that does it instead.
func bootCall() string { return strings.TrimPrefix(Boot(0), "print(\"boot.py of release 0\")\n") }

// Renamed has files and folders under other names.
func Renamed() Pair {
	p := App()
	p.Name = "renamed"
	p.New = map[string]string{
		"boot.py":          Boot(1),
		"main.py":          Main(2),
		"ui/__init__.py":   "",
		"ui/screen.py":     source("screen", 1, 20),
		"ui/list.py":       source("menu", 1, 60),
		"ui/same.py":       source("same", 0, 10),
		"art/logo.raw":     binary(1, 3000),
		"art/deep/two.raw": binary(2, 100),
	}
	return p
}

// Asset has one large file that changes whole.
func Asset() Pair {
	p := App()
	p.Name = "large asset"
	p.Old["assets/film.raw"] = binary(10, 100_000)
	p.New["assets/film.raw"] = binary(11, 100_000)
	return p
}

// Full leaves little more room than the update needs.
func Full() Pair {
	p := App()
	p.Name, p.Room, p.RoomFAT = "full disk", 64<<10, 96<<10
	return p
}

// Large changes 200 kB in 20 files.
func Large() Pair {
	p := App()
	p.Name = "200 kB"
	for i := range 20 {
		path := fmt.Sprintf("data/part%02d.raw", i)
		p.Old[path] = binary(uint64(100+i), 10_000)
		p.New[path] = binary(uint64(200+i), 10_000)
	}
	return p
}

// Write puts the trees into two folders.
func (p Pair) Write(oldDir, newDir string) error {
	for dir, tree := range map[string]map[string]string{oldDir: p.Old, newDir: p.New} {
		for name, text := range tree {
			name = filepath.Join(dir, filepath.FromSlash(name))
			if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
				return err
			}
			if err := os.WriteFile(name, []byte(text), 0o666); err != nil {
				return err
			}
		}
	}
	return nil
}

func source(name string, version, lines int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "VERSION = %d\n", version)
	for i := range lines {
		fmt.Fprintf(&b, "%s_%d = %d\n", name, i, i*version)
	}
	return b.String()
}

func binary(seed uint64, n int) string {
	r := rand.New(rand.NewPCG(seed, seed))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return string(b)
}
