package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cactuscon/saguarota/manifest"
)

const manifestLong = `Write versions.json for the release in the folder SRC.

The manifest lists every file of the release with its version, MD5, SHA-256 and
size. A board installs it when its version is greater than that of the release
the board has, and then fetches the files whose own version grew.

What is part of the release
  Files whose name ends in one of --ext (in any case), except those whose name
  starts with one of --exclude-prefix, and except all that is in folders named
  in --exclude-folder, wherever these are. Lists are comma-separated; an empty
  item in --ext stands for names without an extension. Links to files count as
  files; links to folders are followed unless --follow-links=false is given.

Versions
  mtime            when the file was last changed, in seconds since 1970
  git_commit_time  when the last commit that touched the file was made. Files
                   that git does not know have their mtime. In CI, fetch the
                   whole history: in a shallow clone every file looks as new as
                   its only commit.

  The manifest's version is the greatest of its files' versions. With
  --previous, the manifest of the release before, the version also grows when a
  file was only removed, and when a changed file is dated before the one it
  replaces. A --previous file that does not exist is none, so that the first
  release needs no other command than all later ones; one that exists but is
  damaged is an error.

Signature
  With a key the manifest is signed with HMAC-SHA256. Boards that have the same
  key (manifest_auth_key) refuse other manifests. Only one of --auth-key,
  --auth-key-file and --auth-key-env can be given; the first can be seen by
  every user of this machine. The newline at the end of a key file is not part
  of the key.

--indent is that of Python's json.dumps: 0 is one value a line without
indentation, -1 is one single line.`

const manifestExample = `  saguarota manifest src -o site/versions.json
  saguarota manifest src --ext .py,.mpy,.png --exclude-folder tests,tools
  saguarota manifest src --version-source git_commit_time \
      --previous site/versions.json --reuse-unchanged-versions \
      --auth-key-env OTA_KEY -o site/versions.json`

// manifestOptions are the options of "manifest".
type manifestOptions struct {
	tree   treeFlags
	output string
	app    string
}

func manifestCommand() *cobra.Command {
	var o manifestOptions
	cmd := &cobra.Command{
		Use:     "manifest SRC",
		Short:   "Write versions.json for the release in a folder",
		Long:    manifestLong,
		Example: manifestExample,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return withHint(fmt.Errorf("manifest takes one folder, not %d", len(args)), "type \"saguarota manifest SRC\"")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt)
			defer stop()
			return writeManifest(ctx, cmd, args[0], o)
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&o.output, "output", "o", "-", "file to write, replaced in one step; - is standard output")
	flags.StringVar(&o.app, "app", "", "name of the application, to be stored in the manifest")
	o.tree.add(flags)
	return cmd
}

func writeManifest(ctx context.Context, cmd *cobra.Command, src string, o manifestOptions) error {
	if err := checkFolder(src); err != nil {
		return err
	}
	options, err := o.tree.options()
	if err != nil {
		return err
	}
	if o.tree.previous != "" && options.Previous == nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "note: %s does not exist, so this is the first release\n", o.tree.previous)
	}
	options.Warn = func(message string) { fmt.Fprintf(cmd.ErrOrStderr(), "warning: %s\n", message) }
	key, err := o.tree.key()
	if err != nil {
		return err
	}

	m, err := manifest.Build(ctx, src, options)
	if err != nil {
		return explainBuild(err)
	}
	m.App = o.app
	m.SignatureField = o.tree.signatureField
	if key != nil {
		if err := m.Sign(key); err != nil {
			return err
		}
	}
	data, err := m.Encode(o.tree.indent)
	if err != nil {
		return err
	}
	if o.output == "-" {
		if _, err := cmd.OutOrStdout().Write(data); err != nil {
			return fmt.Errorf("write the manifest: %w", err)
		}
		return nil
	}
	if err := replaceFile(o.output, data); err != nil {
		return fmt.Errorf("write the manifest: %w", err)
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%s: %s\n", o.output, summary(m, options.Previous))
	return nil
}

// explainBuild adds a hint to those errors of manifest.Build that do not say
// all by themselves.
func explainBuild(err error) error {
	switch {
	case errors.Is(err, manifest.ErrPath), errors.Is(err, manifest.ErrCollision):
		return withHint(err, "rename the file, or leave it out with --ext, --exclude-prefix or --exclude-folder")
	case errors.Is(err, fs.ErrPermission):
		return withHint(err, "give this user the right to read it, or leave it out with --exclude-prefix or --exclude-folder")
	case errors.Is(err, fs.ErrNotExist):
		return withHint(err, "mend or remove the link, or leave it out with --exclude-prefix or --exclude-folder")
	}
	return err
}

// summary tells a person what was released.
func summary(m, previous *manifest.Manifest) string {
	var b strings.Builder
	fmt.Fprintf(&b, "version %d, %s", m.Version, plural(len(m.Files), "file"))
	if previous == nil {
		return b.String()
	}
	counts := map[manifest.ChangeKind]int{}
	for _, c := range manifest.Compare(previous, m) {
		counts[c.Kind]++
	}
	if len(counts) == 0 {
		b.WriteString(", nothing changed")
	}
	for _, kind := range []manifest.ChangeKind{manifest.Added, manifest.Changed, manifest.Removed} {
		if n := counts[kind]; n > 0 {
			fmt.Fprintf(&b, ", %d %s", n, kind)
		}
	}
	return b.String()
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// replaceFile writes data to path, creating its folder if need be, so that
// whoever reads path at any time sees the old content or the new one, whole:
// web servers read it while it is written. Where path is a device or a pipe it
// just writes.
func replaceFile(path string, data []byte) (err error) {
	// A link stays a link; what it points to is replaced.
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	mode := fs.FileMode(0o666) // less the umask, as for any new file
	old, err := os.Stat(path)
	switch {
	case err == nil && old.IsDir():
		return &fs.PathError{Op: "write", Path: path, Err: errors.New("it is a folder; give the name of a file")}
	case err == nil && !old.Mode().IsRegular():
		return os.WriteFile(path, data, mode)
	case err == nil:
		mode = old.Mode().Perm()
	case errors.Is(err, fs.ErrNotExist):
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			return err
		}
	default:
		return err
	}

	// The name has no extension that a release could include.
	temp := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+"."+rand.Text()+".tmp~")
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(temp))
		}
	}()
	_, err = f.Write(data)
	if err == nil && old != nil {
		err = f.Chmod(mode) // the umask may have taken something away
	}
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(temp, path)
	}
	return err
}
