package manifest

import (
	"context"
	"errors"
	"io"
	"os"
)

// A VersionSource says where the version of a file comes from.
type VersionSource string

const (
	VersionMTime         VersionSource = "mtime"           // the file's modification time
	VersionGitCommitTime VersionSource = "git_commit_time" // committer time of the last commit that touched it
)

// Options choose which files make up a release, and how they are versioned.
type Options struct {
	Extensions      []string
	ExcludePrefixes []string
	ExcludeFolders  []string
	NoFollowLinks   bool
	NoOutsideLinks  bool
	VersionSource   VersionSource
	Previous        *Manifest
	ReuseUnchanged  bool
	Git             string
	Warn            func(message string)
}

// DefaultOptions returns the choices that suit most badges.
func DefaultOptions() Options {
	return Options{
		Extensions:      []string{".py", ".mpy", ".raw", ".rgb565", ".c"},
		ExcludePrefixes: []string{"test_"},
		ExcludeFolders:  []string{"__pycache__", "examples", "docs", "tests"},
		VersionSource:   VersionMTime,
		Git:             "git",
	}
}

var errSkeleton = errors.New("not built yet")

// Build scans dir and returns the manifest of the release in it.
func Build(ctx context.Context, dir string, opts Options) (*Manifest, error) {
	s, err := NewScanner(dir, opts)
	if err != nil {
		return nil, err
	}
	return s.Build(ctx)
}

// A Scanner builds manifests of one folder again and again, and answers which
// paths are part of the release in it. It is safe for concurrent use.
type Scanner struct{}

// NewScanner returns a Scanner for dir.
func NewScanner(dir string, opts Options) (*Scanner, error) { return nil, errSkeleton }

// Build is [Build], but reads only files that changed since the last call.
func (s *Scanner) Build(ctx context.Context) (*Manifest, error) { return nil, errSkeleton }

// Open opens the file of the release with the given path. For everything that
// Build would not list the error is fs.ErrNotExist.
func (s *Scanner) Open(path string) (*os.File, error) { return nil, errSkeleton }

// An Entry is one file or folder of a release.
type Entry struct {
	Name string
	Dir  bool
	Info os.FileInfo // of what a link points to
}

// ReadDir lists the files and folders of the release in the folder path
// ("" is the root), sorted by name.
func (s *Scanner) ReadDir(path string) ([]Entry, error) { return nil, errSkeleton }

// Read reads a manifest from JSON.
func Read(r io.Reader) (*Manifest, error) { return ReadField(r, DefaultSignatureField) }

// ReadField is Read for a manifest whose signature is under another key.
func ReadField(r io.Reader, signatureField string) (*Manifest, error) { return nil, errSkeleton }

// Encode returns the manifest as JSON.
func (m *Manifest) Encode(indent int) ([]byte, error) { return nil, errSkeleton }

// CheckPath reports whether path may be part of a release.
func CheckPath(path string) error { return errSkeleton }

// Validate reports whether m is a manifest that boards can install.
func (m *Manifest) Validate() error { return errSkeleton }

// A ChangeKind says what happened to a file between two releases.
type ChangeKind string

const (
	Added   ChangeKind = "added"
	Changed ChangeKind = "changed"
	Removed ChangeKind = "removed"
)

// A Change is one difference between two releases.
type Change struct {
	Kind     ChangeKind
	Path     string
	Old, New File
}

// Compare lists what changes in content from old to new, sorted by path.
func Compare(old, new *Manifest) []Change { return nil }
