// Command packs measures how many bytes an update takes, over pairs of releases of
// public MicroPython applications: as packs, as whole files, and as these files deflated
// one by one. Each pair is taken twice, as .py files and compiled
// to .mpy.
//
//	go run ./bench/packs
//
// It clones what it needs into build/bench, so it needs a network the first time,
// or, with -clones, a folder with clones named owner+name. Compiling needs
// mpy-cross ("make tools").
package main

import (
	"archive/tar"
	"bytes"
	"compress/flate"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/cactuscon/saguarota/internal/micropython"
	"github.com/cactuscon/saguarota/manifest"
	"github.com/cactuscon/saguarota/pack"
	"github.com/cactuscon/saguarota/release"
)

// A project is a public repository and releases of it, oldest first. Each and
// the next are a pair.
type project struct {
	repo     string // owner/name
	root     string // folder with the application
	releases []commit
}

type commit struct{ name, hash string }

// Projects of different kinds, in each some releases one after the other. None was left
// out for what came of it.
var projects = []project{
	{"miguelgrinberg/microdot", "src", []commit{{"v2.0.7", "32f5e415e7795252b4cdeee0a8c324ed6a1cc6aa"}, {"v2.1.0", "2efbd6787879cd6c0bf2796dece4620854352ea8"}}},
	{"miguelgrinberg/microdot", "src", []commit{{"v2.2.0", "9337a2ec9bb763d25cde9dcee587ce05a0d013c0"}, {"v2.3.0", "815594fc8b3a1f7db4402553496c30d987cdbcef"}}},
	{"emfcamp/badge-2024-software", "modules", []commit{{"v1.6.0", "8ee0030b9ce4e55f96b86e1aad31f5a870f7637e"}, {"v1.7.0", "05aeda43c3e0878e0b821479948c0c34874aac8a"}, {"v1.8.0", "c2b76a9ae4a1b9ffb2f92ae6944753eb650ec90f"}, {"v1.9.0", "2a196c3881459aa48a0e019a7e1c68c846874bc1"}, {"v1.10.0", "81983d5603f5db5e2d8f6a7b1d6ad36e445675e4"}}},
	{"micropython/micropython-lib", "micropython", []commit{{"v1.24.0", "68e3e07bc7ab63931cead3854b2a114e9a084248"}, {"v1.25.0", "5b496e944ec045177afa1620920a168410b7f60b"}, {"v1.26.0", "34c4ee1647ac4b177ae40adf0ec514660e433dc0"}, {"v1.27.0", "6ae440a8a144233e6e703f6759b7e7a0afaa37a4"}, {"v1.28.0", "8380c7bb8f9e5e5260e9539156742925e00366b2"}}},
	{"pimoroni/enviro", ".", []commit{{"v0.0.9", "d091f7539acc9513c391f0eec498c0cc898edb7a"}, {"v0.0.10", "3bfc9da1c88a0351edf1ff612c71fc880ea8dd15"}, {"v0.1.0", "f4a8f0e6335ce97f601236d6bc69e4c0b1af861b"}}},
	{"pimoroni/badger2040", "badger_os", []commit{{"v0.0.4", "a8552a55ad090783f9bf06aa2a07821051accf87"}, {"v0.0.5", "9e67d95c687fc5da342363fb873a50b1cee6a77a"}}},
	{"echo-lalia/MicroHydra", "src", []commit{{"v2.2", "2bbf7065f29b6a9ae60d131ac3f32fb08f99b7ed"}, {"v2.3", "8f3e5cd57ecc699f663cb9aab663c79f6fcef6c7"}, {"v2.4", "a0465bbe1de248e182670a8705e2783868271348"}, {"v2.5", "0c8591062a47efe9279c1141c28df0cb7a2f9066"}}},
	{"m5stack/uiflow-micropython", "m5stack/libs", []commit{{"2.3.5", "a069909284ac5c6245080713b057fe17c2fe7b70"}, {"2.3.6", "7af4551a9794679f80f12ef65f2ab53878eb9559"}}},
	{"m5stack/uiflow-micropython", "m5stack/libs", []commit{{"2.3.9", "3158a059787227b2c5afb8c6b10bf55693034a02"}, {"2.4.0", "3758a2df53fd576425382928967c3623e7fae36b"}}},
	{"MicroPythonOS/MicroPythonOS", "internal_filesystem", []commit{{"0.9.6", "d0174793e352bc0b47f2f5c40d47291f4653e194"}, {"0.10.0", "6e0d45a95a1c47e7c13691abb9f62cec970e37ac"}, {"0.11.0", "5943a87b3c5cfa9e0c15ad4c74ee12f17c11f23a"}}},
	{"peterhinch/micropython-mqtt", ".", []commit{{"2023-06", "f0dd0734042073e7df560990b0945b5f670b1960"}, {"2024-08", "765a7d2ccead88e17e11f8f1995b13b66c6cd9ee"}, {"2025-05", "7b6a11dd7910f7bb8275341fdc24b89ed1dfbc47"}}},
	{"peterhinch/micropython-micro-gui", ".", []commit{{"2023-09", "11b9ab655e80ccb68ced70b0089eedafe2a57234"}, {"2024-04", "637e48ea26219abe573f202558487f19ad1fba75"}, {"2024-09", "868ea26f997bd2087f1338bb4425be7ad1f8a23d"}, {"2026-06", "f7668293e2f1a2895a41c2c1e60807adfe108de1"}}},
	{"Hack-a-Day/2025-Communicator_Badge", "firmware/badge", []commit{{"10-31", "3260f677de19daa54b3cf40743d04cd48a7fc141"}, {"11-01", "b77533061f5da995faf07ee2041c4ca1792e0b94"}, {"11-08", "c5d2d4add02c425c288141f72f1681800cdb066f"}}},
}

// A row is what one pair takes.
type row struct {
	Pair      string  `json:"pair"`
	Form      string  `json:"form"` // py or mpy
	Files     int     `json:"files"`
	Raw       int64   `json:"raw"`       // bytes of the changed and new files
	Deflated  int64   `json:"deflated"`  // the same, each deflated in a window of 32 kB
	Manifest  int64   `json:"manifest"`  // bytes of the manifest, which is part of the pack
	Statement int64   `json:"statement"` // which boards get in any case
	Pack      int64   `json:"pack"`
	Whole     int64   `json:"whole"` // the pack of the whole release
	Seconds   float64 `json:"seconds"`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var b bench
	flag.StringVar(&b.clones, "clones", "", "folder with clones of the repositories, named owner+name or owner+name/repo")
	flag.StringVar(&b.cache, "cache", filepath.Join("build", "bench"), "folder for what is cloned and built")
	flag.StringVar(&b.only, "only", "", "only pairs whose name contains this")
	flag.IntVar(&b.window, "window", pack.DefaultWindow, "power of 2 of the window")
	flag.StringVar(&b.form, "form", "", "only py or mpy")
	flag.BoolVar(&b.whole, "whole", false, "also packs of the whole releases")
	asJSON := flag.Bool("json", false, "print JSON")
	flag.Parse()
	rows, err := b.run(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, "packs:", err)
		os.Exit(1)
	}
	if *asJSON {
		enc := json.NewEncoder(os.Stdout)
		enc.SetIndent("", "  ")
		err = enc.Encode(rows)
	} else {
		err = print(os.Stdout, rows, b.whole)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "packs:", err)
		os.Exit(1)
	}
}

type bench struct {
	clones, cache, only, form string
	window                    int
	whole                     bool
}

func (b *bench) run(ctx context.Context) ([]row, error) {
	var rows []row
	for _, form := range []string{"py", "mpy"} {
		for _, p := range projects {
			for i := range p.releases[1:] {
				old, new := p.releases[i], p.releases[i+1]
				pair := fmt.Sprintf("%s %s→%s", path.Base(p.repo), old.name, new.name)
				if !strings.Contains(pair, b.only) || b.form != "" && b.form != form {
					continue
				}
				r, err := b.measure(ctx, p, old, new, form)
				if err != nil {
					return nil, fmt.Errorf("%s: %w", pair, err)
				}
				r.Pair, r.Form = pair, form
				rows = append(rows, *r)
			}
		}
	}
	return rows, nil
}

func print(w io.Writer, rows []row, whole bool) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(t, "pair\tfiles\tbytes\tdeflated\t%\tpack\tstatement\t%\tseconds\t")
	if whole {
		fmt.Fprint(t, "whole pack\t")
	}
	fmt.Fprintln(t)
	line := func(r row) {
		percent := func(n int64) float64 { return 100 * float64(n) / float64(r.Raw) }
		fmt.Fprintf(t, "%s .%s\t%d\t%d\t%d\t%.1f\t%d\t%d\t%.2f\t%.2f\t", r.Pair, r.Form, r.Files, r.Raw,
			r.Deflated, percent(r.Deflated), r.Pack, r.Statement, percent(r.Pack+r.Statement), r.Seconds)
		if whole {
			fmt.Fprintf(t, "%d\t", r.Whole)
		}
		fmt.Fprintln(t)
	}
	for _, form := range []string{"py", "mpy"} {
		sum := row{Pair: "all", Form: form}
		for _, r := range rows {
			if r.Form == form {
				line(r)
				sum.Files += r.Files
				sum.Raw += r.Raw
				sum.Deflated += r.Deflated
				sum.Statement += r.Statement
				sum.Pack += r.Pack
				sum.Whole += r.Whole
				sum.Seconds += r.Seconds
			}
		}
		line(sum)
	}
	return t.Flush()
}

// measure makes the pack of a pair and applies it.
func (b *bench) measure(ctx context.Context, p project, from, to commit, form string) (*row, error) {
	oldDir, err := b.site(ctx, p, from, nil, form)
	if err != nil {
		return nil, err
	}
	newDir, err := b.site(ctx, p, to, []release.Source{release.Dir(oldDir)}, form)
	if err != nil {
		return nil, err
	}
	old, _, err := release.PackRelease(ctx, release.Dir(oldDir), "")
	if err != nil {
		return nil, err
	}
	new, _, err := release.PackRelease(ctx, release.Dir(newDir), "")
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	start := time.Now()
	stats, err := pack.Encode(ctx, &out, old, new, pack.Options{Window: b.window})
	if err != nil {
		return nil, err
	}
	r := &row{Files: stats.Files, Raw: stats.Raw, Manifest: stats.Manifest, Pack: stats.Pack, Seconds: time.Since(start).Seconds()}
	statement, err := os.ReadFile(filepath.Join(newDir, release.StatementName))
	if err != nil {
		return nil, err
	}
	r.Statement = int64(len(statement))
	made, err := pack.Apply(ctx, out.Bytes(), old)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(made.Manifest, new.Manifest) {
		return nil, errors.New("the pack makes another release")
	}
	if b.whole {
		var all bytes.Buffer
		if _, err := pack.Encode(ctx, &all, nil, new, pack.Options{Window: b.window}); err != nil {
			return nil, err
		}
		r.Whole = int64(all.Len())
	}
	r.Deflated, err = deflated(ctx, out.Bytes(), new)
	return r, err
}

// deflated returns what the files that a pack makes take as they are, each
// deflated for itself.
func deflated(ctx context.Context, packed []byte, new *pack.Release) (int64, error) {
	contents, err := pack.Read(packed)
	if err != nil {
		return 0, err
	}
	m, err := manifest.Read(bytes.NewReader(new.Manifest))
	if err != nil {
		return 0, err
	}
	total := int64(0)
	for _, s := range contents.Segments {
		for _, rec := range s.Records {
			if rec.Index == 0 || rec.Start > 0 {
				continue
			}
			in, err := new.Open(ctx, m.Files[rec.Index-1].Path)
			if err != nil {
				return 0, err
			}
			var b bytes.Buffer
			w, err := flate.NewWriter(&b, flate.BestCompression)
			if err == nil {
				_, err = io.Copy(w, in)
			}
			_ = in.Close()
			if err == nil {
				err = w.Close()
			}
			if err != nil {
				return 0, err
			}
			total += int64(b.Len())
		}
	}
	return total, nil
}

// site builds the site of a release, once.
func (b *bench) site(ctx context.Context, p project, c commit, from []release.Source, form string) (string, error) {
	name := strings.NewReplacer("/", "+", ".", "_").Replace(p.repo+"-"+p.root) + "-" + c.hash[:12] + "-" + form
	if len(from) > 0 {
		name += "-after-" + from[0].String()[strings.LastIndexByte(from[0].String(), '/')+1:]
	}
	dir := filepath.Join(b.cache, "sites", name)
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	tree, err := os.MkdirTemp("", "packs")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(tree)
	if err := b.export(ctx, p, c, tree); err != nil {
		return "", err
	}
	if form == "mpy" {
		if err := compile(ctx, tree); err != nil {
			return "", err
		}
	}
	key, err := release.GenerateKey(strings.NewReader(strings.Repeat("benchmark", 100)))
	if err != nil {
		return "", err
	}
	files := manifest.DefaultOptions()
	files.Extensions, files.ReuseUnchanged = []string{"." + form}, true
	_, err = release.BuildSite(ctx, dir, release.BuildOptions{
		Source: tree, Files: files, Indent: 2, From: from, Signers: []release.Signer{key},
		Statement: release.Statement{App: path.Base(p.repo), Name: c.name},
	})
	return dir, err
}

// export writes the files of a commit to a folder, with the time of the commit.
func (b *bench) export(ctx context.Context, p project, c commit, dir string) error {
	clone, err := b.clone(ctx, p.repo, c)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "git", "-C", clone, "archive", "--format=tar", c.hash, "--", ":(glob)"+path.Join(p.root, "**", "*.py"))
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w: %s", err, exit.Stderr)
		}
		return fmt.Errorf("git archive: %w", err)
	}
	for in := tar.NewReader(bytes.NewReader(out)); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(filepath.FromSlash(p.root), filepath.FromSlash(h.Name))
		if err != nil || h.Typeflag != tar.TypeReg || path.Ext(h.Name) != ".py" || !filepath.IsLocal(rel) {
			continue
		}
		name := filepath.Join(dir, rel)
		if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
			return err
		}
		data, err := io.ReadAll(in)
		if err == nil {
			err = os.WriteFile(name, data, 0o666)
		}
		if err == nil {
			err = os.Chtimes(name, h.ModTime, h.ModTime)
		}
		if err != nil {
			return err
		}
	}
}

// clone returns a clone that has a commit.
func (b *bench) clone(ctx context.Context, repo string, c commit) (string, error) {
	name := strings.ReplaceAll(repo, "/", "+")
	if b.clones != "" {
		dir := filepath.Join(b.clones, name)
		if _, err := os.Stat(filepath.Join(dir, "repo")); err == nil {
			dir = filepath.Join(dir, "repo")
		}
		return dir, nil
	}
	dir := filepath.Join(b.cache, "clones", name)
	git := func(args ...string) error {
		cmd := exec.CommandContext(ctx, "git", append([]string{"-C", dir}, args...)...)
		cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
		return cmd.Run()
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return "", err
	}
	if git("rev-parse", "--quiet", "--verify", c.hash+"^{commit}") == nil {
		return dir, nil
	}
	if err := git("init", "--quiet"); err != nil {
		return "", fmt.Errorf("git init %s: %w", dir, err)
	}
	if err := git("fetch", "--quiet", "--depth=1", "https://github.com/"+repo, c.hash); err != nil {
		return "", fmt.Errorf("git fetch %s of %s: %w", c.hash, repo, err)
	}
	return dir, nil
}

// compile makes .mpy files of the .py files in a folder. What is not for this
// version of MicroPython is left out.
func compile(ctx context.Context, dir string) error {
	cross, err := micropython.FindCross(ctx)
	if err != nil {
		return err
	}
	return filepath.WalkDir(dir, func(name string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		out := strings.TrimSuffix(name, ".py") + ".mpy"
		if err := cross.Compile(ctx, name, out); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return os.Remove(name)
		}
		if err := os.Chtimes(out, info.ModTime(), info.ModTime()); err != nil {
			return err
		}
		return os.Remove(name)
	})
}
