package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"github.com/cactuscon/saguarota/manifest"
)

// treeFlags are the options that "manifest" and "serve" share: which files of a
// folder make up the release, and what the manifest of it looks like.
type treeFlags struct {
	extensions      []string
	excludePrefixes []string
	excludeFolders  []string
	followLinks     bool
	indent          int
	versionSource   string
	previous        string
	reuseUnchanged  bool
	git             string
	authKey         string
	authKeyFile     string
	authKeyEnv      string
	signatureField  string

	flags *pflag.FlagSet // to tell an empty key from none
}

// add puts the options into a command's set, with the defaults of the manifest package.
func (t *treeFlags) add(flags *pflag.FlagSet) {
	t.flags = flags
	d := manifest.DefaultOptions()
	flags.StringSliceVar(&t.extensions, "ext", d.Extensions, "extensions of the files to release")
	flags.StringSliceVar(&t.excludePrefixes, "exclude-prefix", d.ExcludePrefixes, "leave out files whose name starts so")
	flags.StringSliceVar(&t.excludeFolders, "exclude-folder", d.ExcludeFolders, "leave out folders of these names, at any depth")
	flags.BoolVar(&t.followLinks, "follow-links", !d.NoFollowLinks, "descend into linked folders")
	flags.IntVar(&t.indent, "indent", 2, "spaces by which the JSON is indented")
	flags.StringVar(&t.versionSource, "version-source", string(d.VersionSource), `where a file's version comes from: "mtime" or "git_commit_time"`)
	flags.StringVar(&t.previous, "previous", "", "manifest of the release before, so that versions only grow")
	flags.BoolVar(&t.reuseUnchanged, "reuse-unchanged-versions", false, "keep the version of a file whose content is that in --previous")
	flags.StringVar(&t.git, "git", d.Git, "git program for git_commit_time")
	flags.StringVar(&t.authKey, "auth-key", "", "secret that signs the manifest (shows in the list of processes: better use the next two)")
	flags.StringVar(&t.authKeyFile, "auth-key-file", "", "file that holds the secret")
	flags.StringVar(&t.authKeyEnv, "auth-key-env", "", "environment variable that holds the secret")
	flags.StringVar(&t.signatureField, "signature-field", manifest.DefaultSignatureField, "key of the signature in the JSON")
}

// options returns what the options say about the files. A previous manifest
// that does not exist is none: the first release has no release before it.
func (t *treeFlags) options() (manifest.Options, error) {
	o := manifest.Options{
		Extensions:      trimmed(t.extensions),
		ExcludePrefixes: trimmed(t.excludePrefixes),
		ExcludeFolders:  trimmed(t.excludeFolders),
		NoFollowLinks:   !t.followLinks,
		VersionSource:   manifest.VersionSource(t.versionSource),
		ReuseUnchanged:  t.reuseUnchanged,
		Git:             t.git,
	}
	if t.previous == "" {
		return o, nil
	}
	file, err := os.Open(t.previous)
	if errors.Is(err, fs.ErrNotExist) {
		return o, nil
	}
	if err != nil {
		return o, fmt.Errorf("read the previous manifest: %w", err)
	}
	defer file.Close()
	o.Previous, err = manifest.ReadField(file, t.signatureField)
	if err != nil {
		return o, withHint(fmt.Errorf("read the previous manifest %s: %w", t.previous, err),
			"restore it from the last release; without --previous, boards may not notice what changed")
	}
	return o, nil
}

// trimmed returns list without the blanks that people put after commas.
func trimmed(list []string) []string {
	var out []string
	for _, item := range list {
		out = append(out, strings.TrimSpace(item))
	}
	return out
}

// key returns the secret that signs the manifest, nil if there is none. A
// secret that is given but empty is an error: it would look like a signature
// and protect nothing.
func (t *treeFlags) key() ([]byte, error) {
	var given []string
	for _, name := range []string{"auth-key", "auth-key-file", "auth-key-env"} {
		if t.flags.Changed(name) {
			given = append(given, "--"+name)
		}
	}
	if len(given) == 0 {
		return nil, nil
	}
	if len(given) > 1 {
		return nil, fmt.Errorf("more than one signing key: give only one of %s", strings.Join(given, " and "))
	}
	key, from := t.authKey, "--auth-key"
	switch given[0] {
	case "--auth-key-file":
		data, err := os.ReadFile(t.authKeyFile)
		if err != nil {
			return nil, fmt.Errorf("read the signing key: %w", err)
		}
		// An editor ends the line; the boards' key has no such end.
		key, from = strings.TrimRight(string(data), "\r\n"), t.authKeyFile
	case "--auth-key-env":
		value, ok := os.LookupEnv(t.authKeyEnv)
		if !ok {
			// Not named here: it may be the key, given by mistake, and this a public log.
			return nil, withHint(errors.New("read the signing key: the environment variable that --auth-key-env names is not set"),
				"--auth-key-env takes the name of the variable, not the key")
		}
		key, from = value, "the environment variable that --auth-key-env names"
	}
	if key == "" {
		return nil, withHint(fmt.Errorf("read the signing key: %s is empty", from),
			"leave the option out for a manifest without signature")
	}
	return []byte(key), nil
}
