package pack

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"slices"
)

// Apply makes the release that a pack leads to. old is the release that it leads
// from; for the pack of a whole release it may be nil. Every file is compared with
// the new manifest, also those that the pack leaves as they are in old. Nothing is
// known about the manifest itself: the caller has to compare it with what it
// should be (its ID is in the name of the pack; a statement pins it).
//
// What the pack makes is kept in memory. The files that it leaves as they are
// come from old whenever they are opened.
//
// The error wraps ErrFormat, ErrBase, ErrContent or ErrTooLarge, or is one of
// old's.
func Apply(ctx context.Context, pack []byte, old *Release) (*Release, error) {
	new, _, err := apply(ctx, pack, old)
	return new, err
}

func apply(ctx context.Context, pack []byte, old *Release) (*Release, *Contents, error) {
	a := &applier{ctx: ctx, made: make(map[string][]byte)}
	if old != nil {
		var err error
		if a.old, err = old.read(); err != nil {
			return nil, nil, fmt.Errorf("manifest of the old release: %w", err)
		}
	}
	contents, err := read(pack, a)
	if err != nil {
		return nil, nil, err
	}
	for _, f := range a.new.files {
		if _, ok := a.made[f.Path]; ok {
			continue
		}
		if !a.unchanged(f.Path) {
			return nil, nil, fault("it does not make %s", f.Path)
		}
		data, err := a.old.content(ctx, f.Path)
		if err == nil {
			err = checkContent(f, data)
		}
		if err != nil {
			return nil, nil, err
		}
	}
	return &Release{Manifest: a.new.Manifest, Open: a.open}, contents, nil
}

// An applier is a maker of files.
type applier struct {
	ctx  context.Context
	old  *release // nil if there is none
	new  *release // once its manifest was made
	made map[string][]byte

	file []byte // that is being made
	path string // its path, empty for the manifest
	base []byte
	walk *walker // through file, nil where the numbers of names stay
	move *shift

	read string // path of a file of old, and its content: the next record often has the same base
	data []byte
}

// open opens a file of the new release.
func (a *applier) open(ctx context.Context, path string) (io.ReadCloser, error) {
	if data, ok := a.made[path]; ok {
		return io.NopCloser(bytes.NewReader(data)), nil
	}
	if _, ok := a.new.index[path]; ok {
		return a.old.Open(ctx, path)
	}
	return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
}

// unchanged reports whether the file of the new release with that path is the one
// of the old release.
func (a *applier) unchanged(path string) bool {
	if a.old == nil {
		return false
	}
	i, ok := a.old.index[path]
	return ok && same(a.old.files[i], a.new.files[a.new.index[path]])
}

func (a *applier) begin(r *Record) error {
	if err := a.ctx.Err(); err != nil {
		return err
	}
	a.path = ""
	if r.Index > 0 {
		if r.Index > len(a.new.files) {
			return fault("file %d, and the manifest has %d", r.Index, len(a.new.files))
		}
		f := a.new.files[r.Index-1]
		a.path = f.Path
		if int64(r.Start+r.Bytes) > f.Size {
			return fault("it makes %d bytes of %s, which has %d", r.Start+r.Bytes, f.Path, f.Size)
		}
	}
	if r.Start == 0 {
		a.file = nil
	}
	a.walk = nil
	if r.names != nil {
		a.walk, a.move = newWalker(r.names.first), &r.names.shift
	}
	var err error
	a.base, err = a.content(r)
	return err
}

// content returns the base of a record.
func (a *applier) content(r *Record) ([]byte, error) {
	path := r.BasePath
	switch r.Base {
	case NoBase:
		return nil, nil
	case SamePath:
		path = a.path
	case OldFile:
		if path == a.path {
			return nil, fault("%s is made of itself as if it were another", path)
		}
	case NewFile:
		i, ok := a.new.index[path]
		switch {
		case !ok:
			return nil, fault("%s is made of %s, which the release does not have", a.path, path)
		case i+1 >= r.Index:
			return nil, fault("%s is made of %s, which comes later", a.path, path)
		}
		if data, ok := a.made[path]; ok {
			return data, nil
		}
		if !a.unchanged(path) {
			return nil, fault("%s is made of %s, which was not made", a.path, path)
		}
	}
	if a.old == nil {
		return nil, fmt.Errorf("%w: it needs one, and there is none", ErrBase)
	}
	if path == "" {
		return a.old.Manifest, nil
	}
	if _, ok := a.old.index[path]; !ok {
		return nil, fmt.Errorf("%w: it has no %s", ErrBase, path)
	}
	if a.read != path {
		data, err := a.old.content(a.ctx, path)
		if err != nil {
			return nil, err
		}
		a.read, a.data = path, data
	}
	return a.data, nil
}

func (a *applier) literal(p []byte) error {
	a.file = append(a.file, p...)
	if a.walk != nil {
		for _, c := range p {
			a.walk.step(c)
		}
	}
	return nil
}

func (a *applier) copied(from, size int, differences []byte) error {
	if from+size > len(a.base) {
		return fmt.Errorf("%w: a piece up to byte %d of a file of %d", ErrBase, from+size, len(a.base))
	}
	at := len(a.file)
	a.file = append(a.file, a.base[from:from+size]...)
	for i := range size {
		c := &a.file[at+i]
		if a.walk != nil {
			*c = a.move.at(a.walk.place, *c)
		}
		if differences != nil {
			*c += differences[i]
		}
		if a.walk != nil {
			a.walk.step(*c)
		}
	}
	return nil
}

func (a *applier) end(r *Record, complete bool) error {
	if !complete {
		return nil
	}
	if r.Index == 0 {
		var err error
		if a.new, err = (&Release{Manifest: a.file}).read(); err != nil {
			return fmt.Errorf("%w: its manifest: %w", ErrContent, err)
		}
		if err := a.new.check(); err != nil {
			return fmt.Errorf("%w: its manifest: %w", ErrContent, err)
		}
		return nil
	}
	if err := checkContent(a.new.files[r.Index-1], a.file); err != nil {
		return fmt.Errorf("%s: %w", a.path, err)
	}
	a.made[a.path] = slices.Clip(a.file)
	return nil
}
