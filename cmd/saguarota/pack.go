package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cactuscon/saguarota/devserver"
	"github.com/cactuscon/saguarota/manifest"
	"github.com/cactuscon/saguarota/pack"
	"github.com/cactuscon/saguarota/release"
)

const packLong = `Make a pack: one file that turns the release OLD into NEW.

A board that has OLD gets the pack in one request in place of every changed file,
in about a tenth of the bytes. OLD and NEW are the folders or URLs of sites. With
- in place of OLD, or NEW alone, the pack makes the whole release, for boards that
have nothing yet.

Boards look for packs in the site: packs/FROM-TO and packs/TO, where FROM and TO are
the first 16 digits of the SHA-256 of the two versions.json. "saguarota build
--from OLD" puts them there, and "saguarota serve" makes them when they are asked
for; this command is for looking and trying, and for servers of other kinds.

A pack needs no signature: what it makes is compared with the signed manifest.`

const packExample = `  saguarota pack old-site new-site -o update.pack
  saguarota pack new-site -o whole.pack
  saguarota pack apply old-site update.pack -o made
  saguarota pack inspect update.pack`

// packOptions are the options of "pack".
type packOptions struct {
	output string
	window int
}

func packCommand() *cobra.Command {
	var o packOptions
	cmd := &cobra.Command{
		Use:     "pack [OLD|-] NEW -o FILE",
		Short:   "Make one file that turns a release into the next",
		Long:    packLong,
		Example: packExample,
		Args:    oldAnd("release", "saguarota pack OLD NEW -o FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt)
			defer stop()
			return makePack(ctx, cmd, args, o)
		},
	}
	cmd.Flags().StringVarP(&o.output, "output", "o", "", "file for the pack")
	addWindowFlag(cmd, &o.window)
	cmd.AddCommand(packApplyCommand(), packInspectCommand())
	return cmd
}

func addWindowFlag(cmd *cobra.Command, window *int) {
	cmd.Flags().IntVar(window, "window", pack.DefaultWindow,
		fmt.Sprintf("power of 2 of the bytes that a board remembers while it reads a pack, %d to %d; more makes packs smaller, and takes that much of its memory", pack.MinWindow, pack.MaxWindow))
}

func checkWindow(window int) error {
	if window < pack.MinWindow || window > pack.MaxWindow {
		return withHint(fmt.Errorf("--window %d", window), "give a number from %d to %d; %d is right for boards of all kinds", pack.MinWindow, pack.MaxWindow, pack.DefaultWindow)
	}
	return nil
}

// oldAnd returns a check for commands that take a site and perhaps an old one
// before it.
func oldAnd(what, usage string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < 1 || len(args) > 2 {
			return withHint(fmt.Errorf("%s takes an old release and a %s, not %s", cmd.Name(), what, plural(len(args), "argument")), "type \"%s\"", usage)
		}
		return nil
	}
}

// openOld returns the old release that the arguments name, nil if they name none.
func openOld(ctx context.Context, args []string) (*pack.Release, error) {
	if len(args) < 2 || args[0] == "-" {
		return nil, nil
	}
	r, _, err := openRelease(ctx, args[0])
	return r, err
}

// isSite says what to give where there is no release.
func isSite(ctx context.Context, src release.Source) error {
	f, err := src.Open(ctx, release.ManifestName)
	if errors.Is(err, fs.ErrNotExist) {
		return withHint(err, "give a site: what \"saguarota build\" makes, or any folder with a %s", release.ManifestName)
	}
	if err != nil {
		return err
	}
	return f.Close()
}

// openRelease returns the release in the site at a place.
func openRelease(ctx context.Context, where string) (*pack.Release, *manifest.Manifest, error) {
	src, err := release.OpenSource(where)
	if err != nil {
		return nil, nil, err
	}
	if err := isSite(ctx, src); err != nil {
		return nil, nil, err
	}
	return release.PackRelease(ctx, src, "")
}

func makePack(ctx context.Context, cmd *cobra.Command, args []string, o packOptions) error {
	if o.output == "" {
		return withHint(errors.New("pack needs a file to write to"), "give -o FILE")
	}
	if err := checkWindow(o.window); err != nil {
		return err
	}
	old, err := openOld(ctx, args)
	if err != nil {
		return err
	}
	new, _, err := openRelease(ctx, args[len(args)-1])
	if err != nil {
		return err
	}
	var b bytes.Buffer
	stats, err := pack.Encode(ctx, &b, old, new, pack.Options{Window: o.window})
	if err != nil {
		return explainPack(err)
	}
	if err := replaceFile(o.output, b.Bytes()); err != nil {
		return err
	}
	var from []byte
	if old != nil {
		from = old.Manifest
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%s: %s; in a site it belongs at %s\n", o.output, describePack(stats), pack.Name(from, new.Manifest))
	return nil
}

// describePack tells how large a pack is, and what it makes.
func describePack(s pack.Stats) string {
	return fmt.Sprintf("%s, for %s of %s", devserver.FormatBytes(s.Pack), plural(s.Files, "file"), devserver.FormatBytes(s.Raw))
}

const packApplyLong = `Do what a board does with a pack: make the new release of the old one.

OLD is the site of the release that the pack leads from; with - in its place, or
PACK alone, the board has nothing. The files that the new release consists of, and its
versions.json, are written to the folder SITE, which must be new or empty. Every
file is compared with the size and SHA-256 in that manifest. Nothing is known
about the manifest itself but its digits in the name of the pack: compare what is
printed, or "saguarota verify" the site that the pack comes from.`

func packApplyCommand() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:     "apply [OLD|-] PACK -o SITE",
		Short:   "Make the new release of an old one and a pack",
		Long:    packApplyLong,
		Example: "  saguarota pack apply old-site update.pack -o made",
		Args:    oldAnd("pack", "saguarota pack apply OLD PACK -o SITE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt)
			defer stop()
			return applyPack(ctx, cmd, args, output)
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "new folder for the release")
	return cmd
}

func applyPack(ctx context.Context, cmd *cobra.Command, args []string, output string) error {
	if output == "" {
		return withHint(errors.New("pack apply needs a folder to write to"), "give -o SITE")
	}
	if entries, err := os.ReadDir(output); err == nil && len(entries) > 0 {
		return withHint(fmt.Errorf("%s is not empty", output), "give a new folder; nothing was changed")
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	data, err := readPack(args[len(args)-1])
	if err != nil {
		return err
	}
	old, err := openOld(ctx, args)
	if err != nil {
		return err
	}
	made, err := pack.Apply(ctx, data, old)
	if err != nil {
		return explainPack(fmt.Errorf("%s: %w", args[len(args)-1], err))
	}
	m, err := manifest.Read(bytes.NewReader(made.Manifest))
	if err != nil {
		return err
	}
	if err := writeRelease(ctx, output, made, m); err != nil {
		return err
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%s: %s, version %d, release %s\n", output, plural(len(m.Files), "file"), m.Version, pack.ID(made.Manifest))
	return nil
}

// writeRelease writes the files of a release and then its manifest to a folder.
func writeRelease(ctx context.Context, dir string, r *pack.Release, m *manifest.Manifest) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	for _, f := range m.Files {
		name := filepath.FromSlash(f.Path)
		if err := root.MkdirAll(filepath.Dir(name), 0o777); err != nil {
			return err
		}
		in, err := r.Open(ctx, f.Path)
		if err != nil {
			return err
		}
		data, err := io.ReadAll(in)
		_ = in.Close()
		if err == nil {
			err = root.WriteFile(name, data, 0o666)
		}
		if err != nil {
			return err
		}
	}
	return root.WriteFile(release.ManifestName, r.Manifest, 0o666)
}

// readPack reads a file that may be a pack.
func readPack(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, pack.MaxBytes+1))
	if err == nil && len(data) > pack.MaxBytes {
		err = fmt.Errorf("%s: %w: more than %d bytes", name, pack.ErrTooLarge, pack.MaxBytes)
	}
	return data, err
}

// explainPack adds a hint to the errors of package pack.
func explainPack(err error) error {
	switch {
	case errors.Is(err, pack.ErrManifest):
		return withHint(err, "build the site with \"saguarota build\", or its manifest with \"saguarota manifest\"")
	case errors.Is(err, pack.ErrBase):
		return withHint(err, "give the site of the release that the pack was made from; its digits are the first of the pack's name")
	case errors.Is(err, pack.ErrContent):
		return withHint(err, "the old site is not the one that the pack was made from, or files were changed since; compare them with their versions.json")
	case errors.Is(err, pack.ErrFormat):
		return withHint(err, "get or make the pack again")
	}
	return err
}

// packTitle names what a pack leads from and to, by its file name.
func packTitle(name string) string {
	from, to, ok := pack.ParseName(pack.Folder + "/" + strings.TrimSuffix(filepath.Base(name), ".pack"))
	switch {
	case !ok:
		return ""
	case from == "":
		return " of the whole release " + to
	}
	return " from release " + from + " to " + to
}
