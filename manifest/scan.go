package manifest

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// maxFolders bounds a walk whose links make one folder appear under very many
// names.
const maxFolders = 100_000

// A Scanner builds manifests of one folder again and again, and answers which
// paths are part of the release in it, by the same rules. It is safe for
// concurrent use.
type Scanner struct {
	dir  string
	opts Options
	ext  map[string]bool
	real string // dir without links; set where NoOutsideLinks needs it

	building chan struct{}      // held while Build runs; guards cache
	cache    map[string]content // by path below dir
	now      func() time.Time
}

// NewScanner returns a Scanner for dir, which must be a folder.
func NewScanner(dir string, opts Options) (*Scanner, error) {
	s := &Scanner{
		dir:      dir,
		opts:     opts,
		ext:      make(map[string]bool, len(opts.Extensions)),
		building: make(chan struct{}, 1),
		now:      time.Now,
	}
	if len(opts.Extensions) == 0 {
		return nil, fmt.Errorf("%w: without extensions no file can be part of the release", ErrOptions)
	}
	for _, ext := range opts.Extensions {
		if ext != "" && ext[0] != '.' {
			ext = "." + ext
		}
		s.ext[strings.ToLower(ext)] = true
	}
	if slices.Contains(opts.ExcludePrefixes, "") {
		return nil, fmt.Errorf("%w: an empty prefix would exclude every file", ErrOptions)
	}
	switch opts.VersionSource {
	case "":
		s.opts.VersionSource = VersionMTime
	case VersionMTime, VersionGitCommitTime:
	default:
		return nil, fmt.Errorf("%w: unknown version source %q, want %q or %q",
			ErrOptions, opts.VersionSource, VersionMTime, VersionGitCommitTime)
	}
	if opts.Git == "" {
		s.opts.Git = "git"
	}
	info, err := os.Stat(dir)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return nil, &fs.PathError{Op: "scan", Path: dir, Err: fmt.Errorf("not a folder")}
	}
	if opts.NoOutsideLinks {
		if s.real, err = realPath(dir); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Open opens a file of the release. For every path that Build leaves out the
// error is fs.ErrNotExist, whatever is there.
func (s *Scanner) Open(path string) (*os.File, error) {
	notExist := &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
	if CheckPath(path) != nil {
		return nil, notExist
	}
	parent, name := "", path
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		parent, name = path[:i], path[i+1:]
	}
	dir, err := s.find(parent)
	if err != nil {
		return nil, notExist
	}
	info, err := os.Lstat(dir.join(name))
	if err != nil {
		return nil, notExist
	}
	e, err := s.classify(dir, name, info.Mode().Type())
	if err != nil || e.what != file || e.irregular {
		return nil, notExist
	}
	return os.Open(e.path)
}

// An Entry is a file or folder of a release.
type Entry struct {
	Name string
	Info fs.FileInfo // of what a link points to
}

// ReadDir lists the files and folders of the release in one folder of it ("" is
// the whole), sorted by name. Files that cannot be served (links to nowhere,
// devices) are not listed. For folders that Build leaves out the error is
// fs.ErrNotExist.
func (s *Scanner) ReadDir(path string) ([]Entry, error) {
	notExist := &fs.PathError{Op: "readdir", Path: path, Err: fs.ErrNotExist}
	if path != "" && CheckPath(path) != nil {
		return nil, notExist
	}
	dir, err := s.find(path)
	if err != nil {
		return nil, notExist
	}
	list, err := os.ReadDir(dir.path)
	if err != nil {
		return nil, err
	}
	var entries []Entry
	for _, d := range list {
		e, err := s.classify(dir, d.Name(), d.Type())
		if err != nil || e.what == skip || e.irregular || CheckPath(e.rel) != nil {
			continue
		}
		info, err := os.Stat(e.path)
		if err != nil {
			continue
		}
		entries = append(entries, Entry{Name: d.Name(), Info: info})
	}
	return entries, nil
}

// find enters the folder of the release with the given path.
func (s *Scanner) find(path string) (*node, error) {
	dir := &node{path: s.dir, what: folder}
	if path == "" {
		return dir, nil
	}
	for name := range strings.SplitSeq(path, "/") {
		info, err := os.Lstat(dir.join(name))
		if err != nil {
			return nil, err
		}
		next, err := s.classify(dir, name, info.Mode().Type())
		if err != nil {
			return nil, err
		}
		if next.what != folder {
			return nil, fs.ErrNotExist
		}
		dir = next
	}
	return dir, nil
}

type kind int

const (
	skip kind = iota
	file
	folder
)

// A node is one name in the tree, and what the rules make of it.
type node struct {
	rel       string // path in the release
	path      string // path to open
	parent    *node
	what      kind
	why       string      // for skip: what deserves a warning, if anything
	viaLink   bool        // some folder on the way here is a link
	irregular bool        // a file that cannot be read: a link to nowhere, a pipe, a device
	info      fs.FileInfo // of a folder, once ancestors had to be compared
}

func (n *node) join(name string) string { return n.path + string(filepath.Separator) + name }

// classify applies all the rules for one name in the folder dir. typ is what
// the name itself is, so ModeSymlink for a link. What is a folder, seen through
// links, is judged as a folder and everything else as a file, by its name
// alone: a file of the release that cannot be read must not go unnoticed.
func (s *Scanner) classify(dir *node, name string, typ fs.FileMode) (*node, error) {
	n := &node{rel: name, path: dir.join(name), parent: dir, viaLink: dir.viaLink}
	if dir.rel != "" {
		n.rel = dir.rel + "/" + name
	}
	isLink := typ&fs.ModeSymlink != 0
	if isLink {
		typ = fs.ModeIrregular
		if info, err := os.Stat(n.path); err == nil {
			typ = info.Mode().Type()
			n.info = info
		}
	}

	if typ.IsDir() {
		if slices.Contains(s.opts.ExcludeFolders, name) || isLink && s.opts.NoFollowLinks {
			return n, nil
		}
		if isLink || dir.viaLink {
			n.viaLink = true
			within, err := n.withinItself()
			if err != nil {
				return nil, err
			}
			if within {
				n.why = "the link leads back to a folder that it is in"
				return n, nil
			}
		}
	} else {
		if !s.ext[suffix(name)] || hasAnyPrefix(name, s.opts.ExcludePrefixes) {
			return n, nil
		}
		if n.rel == "versions.json" || n.rel == "ota_state.txt" {
			n.why = "boards keep a file of their own under this name"
			return n, nil
		}
		n.irregular = !typ.IsRegular()
	}

	if isLink && s.opts.NoOutsideLinks && !s.contains(n.path) {
		n.why = "the link leads out of " + s.dir
		return n, nil
	}
	n.what = file
	if typ.IsDir() {
		n.what = folder
	}
	return n, nil
}

// withinItself reports whether a folder is one of those it is in, so that a
// walk into it would not end.
func (n *node) withinItself() (bool, error) {
	if err := n.stat(); err != nil {
		return false, err
	}
	for up := n.parent; up != nil; up = up.parent {
		if err := up.stat(); err != nil {
			return false, err
		}
		if os.SameFile(n.info, up.info) {
			return true, nil
		}
	}
	return false, nil
}

func (n *node) stat() (err error) {
	if n.info == nil {
		n.info, err = os.Stat(n.path)
	}
	return err
}

// contains reports whether path, once all links are resolved, is in the folder
// that is scanned. What cannot be resolved is not.
func (s *Scanner) contains(path string) bool {
	real, err := realPath(path)
	if err != nil {
		return false
	}
	rel, err := filepath.Rel(s.real, real)
	return err == nil && filepath.IsLocal(rel)
}

func realPath(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(abs)
}

// suffix returns the extension of a file name in lower case, by the rules of
// Python's pathlib up to 3.13: none for names like ".py" and "notes.".
func suffix(name string) string {
	i := strings.LastIndexByte(name, '.')
	if i <= 0 || i == len(name)-1 {
		return ""
	}
	return strings.ToLower(name[i:])
}

func hasAnyPrefix(name string, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(name, p) })
}

// A walk collects the files of the release.
type walk struct {
	s        *Scanner
	ctx      context.Context
	files    []*node
	warnings []string
}

func (w *walk) warn(format string, args ...any) {
	w.warnings = append(w.warnings, fmt.Sprintf(format, args...))
}

func (w *walk) run() error {
	folders := []*node{{path: w.s.dir, what: folder}}
	for i := 0; i < len(folders); i++ {
		if err := w.ctx.Err(); err != nil {
			return err
		}
		if len(folders) > maxFolders {
			return fmt.Errorf("scan %s: %w: more than %d folders; does a link lead out into a large tree?", w.s.dir, ErrTooLarge, maxFolders)
		}
		list, err := os.ReadDir(folders[i].path)
		if err != nil {
			return err
		}
		for _, d := range list {
			n, err := w.s.classify(folders[i], d.Name(), d.Type())
			if err != nil {
				return err
			}
			switch {
			case n.what == folder:
				folders = append(folders, n)
			case n.what == file:
				if len(w.files) == MaxFiles {
					return fmt.Errorf("scan %s: %w: more than %d files", w.s.dir, ErrTooLarge, MaxFiles)
				}
				if err := CheckPath(n.rel); err != nil {
					return fmt.Errorf("scan %s: %w; rename it or leave it out", w.s.dir, err)
				}
				w.files = append(w.files, n)
			case n.why != "":
				w.warn("%s is left out: %s", n.rel, n.why)
			}
		}
	}
	return nil
}
