package manifest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"slices"
	"strings"
)

// A VersionSource says where the version of a file comes from.
type VersionSource string

const (
	// VersionMTime is the time of the file's last modification.
	VersionMTime VersionSource = "mtime"

	// VersionGitCommitTime is the committer time of the last commit on the
	// current branch that touched the file, in the repository that the folder
	// lies in. Files that git knows nothing of have VersionMTime, and so has
	// everything, with a warning, where there is no repository or no git.
	//
	// A shallow clone has only one commit that "touched" every file: CI must
	// fetch the whole history.
	VersionGitCommitTime VersionSource = "git_commit_time"
)

// Options choose which files make up a release, and how they are versioned.
// Start from [DefaultOptions].
type Options struct {
	// Extensions that a file's name may have, compared without regard to
	// case: ".py". The empty string stands for names without an extension,
	// which includes names like ".py" and "notes.". At least one is needed.
	Extensions []string

	// ExcludePrefixes leave out files whose name starts with one of them.
	ExcludePrefixes []string

	// ExcludeFolders leave out folders of that name, wherever they are, with
	// all that is in them.
	ExcludeFolders []string

	// NoFollowLinks leaves out folders that are symbolic links. Links to
	// files are always followed. A folder reached through itself is left out
	// with a warning.
	NoFollowLinks bool

	// NoOutsideLinks leaves out links, to files and folders, that lead out of
	// the folder that is scanned: for servers, which must not give away what
	// lies beside it.
	NoOutsideLinks bool

	// VersionSource is where versions come from; empty is VersionMTime.
	VersionSource VersionSource

	// Previous is the release before this one, if any. Where the content
	// differs from it (a file added, changed or removed), the new manifest's
	// version is greater than its version, and so is that of every changed
	// file, even if the clock says otherwise: boards take only what grew.
	Previous *Manifest

	// ReuseUnchanged keeps the version that a file has in Previous while its
	// MD5 is the same.
	ReuseUnchanged bool

	// Git is the git program, by name or path; empty is "git".
	Git string

	// Warn, if set, is called with what is odd but no error, one line each:
	// links that are left out, a repository that is missing. Only Build calls
	// it, one call at a time.
	Warn func(message string)
}

// DefaultOptions returns the options that the command line starts from.
func DefaultOptions() Options {
	return Options{
		Extensions:      []string{".py", ".mpy", ".raw", ".rgb565", ".c"},
		ExcludePrefixes: []string{"test_"},
		ExcludeFolders:  []string{"__pycache__", "examples", "docs", "tests"},
		VersionSource:   VersionMTime,
		Git:             "git",
	}
}

// ErrOptions: the options make no sense.
var ErrOptions = errors.New("invalid options")

// Build scans dir and returns the manifest of the release in it, unsigned and
// sorted by path. Its version is the greatest of its files' versions, 0 if
// there are none; but see Options.Previous.
//
// A file that cannot be read, a link to nowhere, a name that boards refuse
// ([CheckPath]) and names that differ only in case (ErrCollision) are errors
// if the file is part of the release. Left out, with a warning, are
// versions.json and ota_state.txt at the top: boards keep their own files of
// those names.
func Build(ctx context.Context, dir string, opts Options) (*Manifest, error) {
	s, err := NewScanner(dir, opts)
	if err != nil {
		return nil, err
	}
	return s.Build(ctx)
}

// Build is [Build] for the scanner's folder. It reads only files that changed
// since the call before it: that differ in size, modification time or inode,
// or are so new that those need not tell.
func (s *Scanner) Build(ctx context.Context) (*Manifest, error) {
	select {
	case s.building <- struct{}{}:
		defer func() { <-s.building }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}

	w := walk{s: s, ctx: ctx}
	if err := w.run(); err != nil {
		return nil, err
	}

	// Git looks through its history while the files are read.
	type gitAnswer struct {
		times map[string]int64
		err   error
	}
	var fromGit chan gitAnswer
	if s.opts.VersionSource == VersionGitCommitTime && len(w.files) > 0 {
		paths := make([]string, len(w.files))
		for i := range w.files {
			paths[i] = w.files[i].rel
		}
		fromGit = make(chan gitAnswer, 1)
		gitCtx, cancel := context.WithCancel(ctx)
		defer cancel()
		go func() {
			times, err := commitTimes(gitCtx, s.opts.Git, s.dir, paths)
			fromGit <- gitAnswer{times, err}
		}()
	}
	sums, err := s.readAll(ctx, w.files)
	if err != nil {
		return nil, err
	}
	var git gitAnswer
	if fromGit != nil {
		git = <-fromGit
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if git.err != nil {
			w.warn("git has no commit times, so versions are modification times: %v", git.err)
		}
	}

	m := &Manifest{SignatureField: DefaultSignatureField, Files: make([]File, len(sums))}
	for i, sum := range sums {
		version, ok := git.times[w.files[i].rel]
		if !ok {
			version = mtimeVersion(sum.info)
		}
		m.Files[i] = File{Path: w.files[i].rel, Version: version, MD5: sum.md5, Size: sum.size, SHA256: sum.sha256}
	}
	slices.SortFunc(m.Files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	if err := setVersions(m, s.opts.Previous, s.opts.ReuseUnchanged); err != nil {
		return nil, fmt.Errorf("build manifest of %s: %w", s.dir, err)
	}
	if err := m.Validate(); err != nil {
		return nil, fmt.Errorf("build manifest of %s: %w", s.dir, err)
	}
	if len(m.Files) == 0 {
		w.warn("no file in %s is part of the release", s.dir)
	}
	if s.opts.Warn != nil {
		for _, message := range w.warnings {
			s.opts.Warn(message)
		}
	}
	return m, nil
}

// setVersions turns the versions of m, as computed from times, into those
// that make boards with the release prev take m.
func setVersions(m, prev *Manifest, reuse bool) error {
	after := func(v int64) (int64, error) {
		if v == math.MaxInt64 {
			return 0, fmt.Errorf("%w: the previous manifest has version %d, which nothing can exceed", ErrFormat, v)
		}
		return v + 1, nil
	}
	before := prev.byPath()
	m.Version = 0
	for i := range m.Files {
		f := &m.Files[i]
		if was, ok := before[f.Path]; ok {
			if !sameContent(was, *f) {
				least, err := after(was.Version)
				if err != nil {
					return err
				}
				f.Version = max(f.Version, least)
			} else if reuse {
				f.Version = was.Version
			}
		}
		if f.Version < 0 {
			return fmt.Errorf("%w: %s is dated before 1970, which cannot be a version; give it a newer time with touch", ErrFormat, f.Path)
		}
		m.Version = max(m.Version, f.Version)
	}
	if prev != nil && len(Compare(prev, m)) > 0 {
		least, err := after(prev.Version)
		if err != nil {
			return err
		}
		m.Version = max(m.Version, least)
	}
	return nil
}

// mtimeVersion returns the whole seconds of the modification time, by the
// arithmetic of Python's int(os.stat(path).st_mtime): a float64 cannot hold
// the last tenth of a microsecond of a second, so the original's builder
// rounds such times up, and versions must equal its.
func mtimeVersion(info fs.FileInfo) int64 {
	t := info.ModTime()
	return int64(float64(t.Unix()) + float64(1e-9*float64(t.Nanosecond())))
}
