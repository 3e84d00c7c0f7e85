package blob

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// A Folder keeps blobs in files, in 256 folders by the first two digits of their
// names. A file has its name only once it is whole and on the disk.
type Folder struct{ dir string }

// tempFolder is where files are written. What a killed server leaves there is in
// nobody's way.
const tempFolder = "tmp"

// OpenFolder returns the store in a folder, which is made where there is none.
func OpenFolder(dir string) (*Folder, error) {
	if err := os.MkdirAll(filepath.Join(dir, tempFolder), 0o700); err != nil {
		return nil, fmt.Errorf("open the blobs: %w", err)
	}
	return &Folder{dir}, nil
}

// String implements Store.
func (f *Folder) String() string { return f.dir }

func (f *Folder) path(sum Sum) string {
	name := sum.String()
	return filepath.Join(f.dir, name[:2], name)
}

// Put implements Store.
func (f *Folder) Put(ctx context.Context, sum Sum, size int64, r io.Reader) error {
	if err := f.put(ctx, sum, size, r); err != nil {
		return fmt.Errorf("store the blob %v in %s: %w", sum, f.dir, err)
	}
	return nil
}

func (f *Folder) put(ctx context.Context, sum Sum, size int64, r io.Reader) (err error) {
	if there, err := isThere(ctx, f, sum, size); there || err != nil {
		return err
	}
	temp := filepath.Join(f.dir, tempFolder, rand.Text())
	file, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(temp))
		}
	}()
	_, err = io.Copy(file, contextReader{ctx, verify(r, sum, size)})
	if err == nil {
		err = file.Sync()
	}
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	path := f.path(sum)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	if err := os.Rename(temp, path); err != nil {
		return err
	}
	return errors.Join(syncFolder(filepath.Dir(path)), syncFolder(f.dir))
}

// syncFolder makes the names in a folder durable, where a system has that.
func syncFolder(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Open implements Store.
func (f *Folder) Open(_ context.Context, sum Sum) (io.ReadSeekCloser, int64, error) {
	file, err := os.Open(f.path(sum))
	if err != nil {
		return nil, 0, err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = &fs.PathError{Op: "open", Path: f.path(sum), Err: errors.New("not a file")}
	}
	if err != nil {
		return nil, 0, errors.Join(err, file.Close())
	}
	return file, info.Size(), nil
}

// Delete implements Store.
func (f *Folder) Delete(_ context.Context, sum Sum) error {
	if err := os.Remove(f.path(sum)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Ping implements Store.
func (f *Folder) Ping(context.Context) error {
	probe, err := os.CreateTemp(filepath.Join(f.dir, tempFolder), "ping")
	if err != nil {
		return err
	}
	// On a full disk, files can be made still, and not written.
	_, err = probe.WriteString("ping")
	return errors.Join(err, probe.Sync(), probe.Close(), os.Remove(probe.Name()))
}

// a contextReader reads until its context ends.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
