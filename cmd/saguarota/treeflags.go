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
}

// add puts the options into a command's set, with the defaults of the manifest package.
func (t *treeFlags) add(flags *pflag.FlagSet) {
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
		Extensions:      t.extensions,
		ExcludePrefixes: t.excludePrefixes,
		ExcludeFolders:  t.excludeFolders,
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
		return o, fmt.Errorf("read the previous manifest %s: %w", t.previous, err)
	}
	return o, nil
}

// key returns the secret that signs the manifest, nil if there is none.
func (t *treeFlags) key() ([]byte, error) {
	var keys []string
	if t.authKey != "" {
		keys = append(keys, t.authKey)
	}
	if t.authKeyFile != "" {
		data, err := os.ReadFile(t.authKeyFile)
		if err != nil {
			return nil, fmt.Errorf("read the signing key: %w", err)
		}
		// An editor ends the line; the boards' key has no such end.
		key := strings.TrimRight(string(data), "\r\n")
		if key == "" {
			return nil, fmt.Errorf("read the signing key: %s is empty", t.authKeyFile)
		}
		keys = append(keys, key)
	}
	if t.authKeyEnv != "" {
		key := os.Getenv(t.authKeyEnv)
		if key == "" {
			return nil, fmt.Errorf("read the signing key: the environment variable %s is not set or empty", t.authKeyEnv)
		}
		keys = append(keys, key)
	}
	switch len(keys) {
	case 0:
		return nil, nil
	case 1:
		return []byte(keys[0]), nil
	}
	return nil, errors.New("more than one signing key: give only one of --auth-key, --auth-key-file and --auth-key-env")
}
