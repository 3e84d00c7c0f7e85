package manifest

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// CheckPath reports whether path may be part of a release: whether a board
// that joins it to its own folder writes inside that folder, and every board
// and server writes the same name. Such a path is relative, "/"-separated
// UTF-8 of at most MaxPathBytes bytes, without empty, "." or ".." components,
// backslashes, control characters, drive letters, or the replacement
// character U+FFFD (the trace of a name whose encoding was lost).
//
// The error wraps ErrPath and names the path.
func CheckPath(path string) error {
	if why := pathFault(path); why != "" {
		if len(path) > MaxPathBytes {
			path = strings.ToValidUTF8(path[:40], "") + "…"
		}
		return fmt.Errorf("%w %q: %s", ErrPath, path, why)
	}
	return nil
}

func pathFault(path string) string {
	switch {
	case path == "":
		return "it is empty"
	case len(path) > MaxPathBytes:
		return fmt.Sprintf("it has %d bytes, more than %d", len(path), MaxPathBytes)
	case !utf8.ValidString(path):
		return "it is not UTF-8"
	case path[0] == '/':
		return "it is absolute"
	case len(path) >= 2 && path[1] == ':' && isLetter(path[0]):
		return "it starts with a drive letter"
	}
	for _, r := range path {
		switch {
		case r == '\\':
			return "it has a backslash"
		case r == unicode.ReplacementChar:
			return "it has the replacement character U+FFFD"
		case unicode.IsControl(r):
			return "it has a control character"
		}
	}
	for part := range strings.SplitSeq(path, "/") {
		switch part {
		case "":
			return "it has an empty component"
		case ".", "..":
			return fmt.Sprintf("it has the component %q", part)
		}
	}
	return ""
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

// foldPath maps paths that a case-insensitive file system takes for one to
// one string.
func foldPath(path string) string { return strings.ToLower(strings.ToUpper(path)) }

// checkTree reports whether files can exist side by side on a file system:
// no path twice, none both a file and a folder. With fold it asks that of a
// file system that ignores case.
func checkTree(files []File, fold bool) error {
	key := func(path string) string { return path }
	if fold {
		key = foldPath
	}
	seen := make(map[string]string, len(files)) // key: path
	for _, f := range files {
		k := key(f.Path)
		if other, ok := seen[k]; ok {
			if other == f.Path {
				return fmt.Errorf("%w: %q is listed twice", ErrDuplicate, f.Path)
			}
			return fmt.Errorf("%w: %q and %q", ErrCollision, other, f.Path)
		}
		seen[k] = f.Path
	}
	for _, f := range files {
		k := key(f.Path)
		for i := strings.IndexByte(k, '/'); i >= 0; {
			if other, ok := seen[k[:i]]; ok {
				return fmt.Errorf("%w: %q is a file, but %q needs it to be a folder", ErrDuplicate, other, f.Path)
			}
			next := strings.IndexByte(k[i+1:], '/')
			if next < 0 {
				break
			}
			i += 1 + next
		}
	}
	return nil
}

// Validate reports whether every board can install m: what Read checks, and
// also that no two paths differ only in case (ErrCollision), which Read lets
// pass because a release like that works on some file systems.
func (m *Manifest) Validate() error {
	if err := m.check(); err != nil {
		return err
	}
	return checkTree(m.Files, true)
}

// check is the part of Validate that looks at each value by itself, and at
// what is listed twice.
func (m *Manifest) check() error {
	if m.Version < 0 {
		return fmt.Errorf("%w: version %d is negative", ErrFormat, m.Version)
	}
	if len(m.Files) > MaxFiles {
		return fmt.Errorf("%w: %d files, more than %d", ErrTooLarge, len(m.Files), MaxFiles)
	}
	if !utf8.ValidString(m.App) {
		return fmt.Errorf("%w: app is not UTF-8", ErrFormat)
	}
	if !utf8.ValidString(m.Signature) {
		return fmt.Errorf("%w: signature is not UTF-8", ErrFormat)
	}
	if err := checkSignatureField(m.signatureField()); err != nil {
		return err
	}
	for i := range m.Files {
		if err := m.Files[i].check(); err != nil {
			return err
		}
	}
	return checkTree(m.Files, false)
}

func (f *File) check() error {
	if err := CheckPath(f.Path); err != nil {
		return err
	}
	var err error
	switch {
	case f.Version < 0:
		err = fmt.Errorf("version %d is negative", f.Version)
	case f.MD5 != "" && !isHex(f.MD5, 32):
		err = errors.New("md5 is not 32 hex digits")
	case f.SHA256 != "" && !isHex(f.SHA256, 64):
		err = errors.New("sha256 is not 64 hex digits")
	case f.Size < -1:
		err = fmt.Errorf("size %d is negative", f.Size)
	}
	if err != nil {
		return fmt.Errorf("%w: file %q: %w", ErrFormat, f.Path, err)
	}
	return nil
}

func isHex(s string, n int) bool {
	if len(s) != n {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !('0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f') {
			return false
		}
	}
	return true
}

func (m *Manifest) signatureField() string {
	if m.SignatureField == "" {
		return DefaultSignatureField
	}
	return m.SignatureField
}

// checkSignatureField refuses names that mean something else in a manifest.
func checkSignatureField(name string) error {
	switch name {
	case "", "app", "version", "files":
		return fmt.Errorf("%w: the signature cannot be stored under the key %q", ErrFormat, name)
	}
	if !utf8.ValidString(name) || strings.ContainsRune(name, utf8.RuneError) {
		return fmt.Errorf("%w: the signature's key %q is not UTF-8", ErrFormat, name)
	}
	return nil
}
