package manifest

import (
	"slices"
	"strings"
)

// A ChangeKind says what happened to a file between two releases.
type ChangeKind string

const (
	Added   ChangeKind = "added"
	Changed ChangeKind = "changed"
	Removed ChangeKind = "removed"
)

// A Change is one difference between two releases. Old is the zero File where
// the file was added, New where it was removed.
type Change struct {
	Kind     ChangeKind
	Path     string
	Old, New File
}

// Compare lists what changes in content from old to new, sorted by path. A
// new version number alone is no change; a file without checksums on either
// side counts as changed, since nobody can tell. A nil manifest is an empty
// one.
func Compare(old, new *Manifest) []Change {
	before := old.byPath()
	var changes []Change
	if new != nil {
		for _, f := range new.Files {
			was, ok := before[f.Path]
			switch {
			case !ok:
				changes = append(changes, Change{Kind: Added, Path: f.Path, New: f})
			case !sameContent(was, f):
				changes = append(changes, Change{Kind: Changed, Path: f.Path, Old: was, New: f})
			}
			delete(before, f.Path)
		}
	}
	for path, was := range before {
		changes = append(changes, Change{Kind: Removed, Path: path, Old: was})
	}
	slices.SortFunc(changes, func(a, b Change) int { return strings.Compare(a.Path, b.Path) })
	return changes
}

// byPath returns the files of m by path; of nil, none.
func (m *Manifest) byPath() map[string]File {
	if m == nil {
		return nil
	}
	files := make(map[string]File, len(m.Files))
	for _, f := range m.Files {
		files[f.Path] = f
	}
	return files
}

// sameContent reports whether two entries are known to have the same bytes.
func sameContent(a, b File) bool {
	if a.SHA256 != "" && b.SHA256 != "" && !strings.EqualFold(a.SHA256, b.SHA256) {
		return false
	}
	if a.MD5 != "" && b.MD5 != "" {
		return strings.EqualFold(a.MD5, b.MD5)
	}
	return a.SHA256 != "" && b.SHA256 != ""
}
