package release

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
)

// stagingPrefix begins the name of the folder in a site in which a publisher
// puts files together before it moves them to their places.
const stagingPrefix = ".saguarota-"

// A site can be an ordinary folder that a web server is serving, and boards
// read it while it is written, so it matters what they can see.
//
// Replacing the whole folder by another would let a reader that holds it open
// see one release only. But it would be a new folder under an old name: a server
// that was started in the old one, or a container that has it mounted, would
// serve the old release for ever, without a word. And a board sees no folder, it
// asks for one file after the other, so that it could still get the manifest of
// one release and a file of the next. So a site that exists is changed in place,
// by renaming finished files to their places, in an order in which a reader is
// never misled:
//
//  1. keysets, which nobody asks for before a statement names them;
//  2. files of the release, at their paths; then packs, whose names only its manifest
//     leads to;
//  3. the manifest;
//  4. the statement;
//  5. what only the old release had is removed.
//
// No file is ever seen half written. Before step 4 a board that has read the
// old statement may get a manifest or a file that does not have the SHA-256
// that this pins, however far the publisher is, and also if it is killed there:
// it then installs nothing, and polls again. From step 4 on, what a statement
// leads to is all there. Everything is written and flushed before step 1, so
// steps 1 to 5 are some renames, and take some milliseconds. Who publishes again
// after a crash completes the work.
//
// A site that does not exist yet is made beside its place and renamed, so it
// appears as a whole.

// An item is a file to be published.
type item struct {
	path string
	sum  [sha256.Size]byte
	open func() (io.ReadCloser, error)
}

// dataItem returns an item for bytes in memory.
func dataItem(path string, data []byte) item {
	return item{path, sha256.Sum256(data), func() (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(string(data))), nil
	}}
}

// publish writes items into the site in the folder dir, in their order, and then
// removes the files with the paths in obsolete.
func publish(dir string, items []item, obsolete []string) (err error) {
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		if err != nil {
			return err
		}
		return publishInto(dir, items, obsolete)
	}
	parent := filepath.Dir(dir)
	if err := os.MkdirAll(parent, 0o777); err != nil {
		return err
	}
	temp := filepath.Join(parent, "."+filepath.Base(dir)+"."+rand.Text()+".tmp~")
	if err := os.Mkdir(temp, 0o777); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(temp))
		}
	}()
	if err := publishInto(temp, items, nil); err != nil {
		return err
	}
	return os.Rename(temp, dir)
}

func publishInto(dir string, items []item, obsolete []string) (err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := removeStaging(root); err != nil {
		return err
	}
	staging := stagingPrefix + rand.Text()
	if err := root.Mkdir(staging, 0o777); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.RemoveAll(staging)) }()

	moves, err := stageAll(root, staging, items)
	if err != nil {
		return err
	}
	for _, m := range moves {
		if err := makeRoom(root, m.to, obsolete); err != nil {
			return err
		}
		if err := root.Rename(filepath.FromSlash(m.from), filepath.FromSlash(m.to)); err != nil {
			return err
		}
	}
	for _, p := range obsolete {
		if err := removeFile(root, p); err != nil {
			return err
		}
	}
	return nil
}

// removeFile removes a file and the folders that are empty without it. By now
// there may be none, or a folder.
func removeFile(root *os.Root, p string) error {
	name := filepath.FromSlash(p)
	info, err := root.Lstat(name)
	if isMissing(err) || err == nil && info.IsDir() {
		return nil
	}
	if err == nil {
		err = root.Remove(name)
	}
	if err != nil {
		return err
	}
	removeEmptyFolders(root, path.Dir(p))
	return nil
}

// A move is a rename that publishes a file.
type move struct{ from, to string }

// stagers is how many files are written at a time: waiting for the disk is most
// of it.
const stagers = 8

// stageAll writes those of the items that the site does not have yet into the
// staging folder.
func stageAll(root *os.Root, staging string, items []item) ([]move, error) {
	moves := make([]move, len(items))
	errs := make([]error, len(items))
	var wg sync.WaitGroup
	var next atomic.Int64
	for range stagers {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(items) {
					return
				}
				same, err := hasContent(root, items[i])
				if same || err != nil {
					errs[i] = err
					continue // and its time stays, by which web servers and caches know it
				}
				// Without an extension: no board that crawls listings takes it.
				name := path.Join(staging, strconv.Itoa(i))
				moves[i] = move{name, items[i].path}
				errs[i] = stage(root, name, items[i])
			}
		})
	}
	wg.Wait()
	moves = slices.DeleteFunc(moves, func(m move) bool { return m.from == "" })
	return moves, errors.Join(errs...)
}

// isMissing reports whether there is no file, or its folder is a file by now.
func isMissing(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

// removeStaging removes what killed publishers left.
func removeStaging(root *os.Root) error {
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), stagingPrefix) {
			if err := root.RemoveAll(e.Name()); err != nil {
				return err
			}
		}
	}
	return nil
}

// hasContent reports whether a site has an item already.
func hasContent(root *os.Root, it item) (bool, error) {
	name := filepath.FromSlash(it.path)
	info, err := root.Lstat(name)
	if isMissing(err) || err == nil && !info.Mode().IsRegular() {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	f, err := root.Open(name)
	if err != nil {
		return false, err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return false, err
	}
	return [sha256.Size]byte(h.Sum(nil)) == it.sum, nil
}

// stage writes an item to a file of the given name.
func stage(root *os.Root, name string, it item) error {
	src, err := it.open()
	if err != nil {
		return err
	}
	defer src.Close()
	f, err := root.OpenFile(filepath.FromSlash(name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	h := sha256.New()
	_, err = io.Copy(io.MultiWriter(f, h), src)
	if err == nil {
		err = f.Sync() // or a power cut could leave the name and not the content
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", it.path, err)
	}
	if [sha256.Size]byte(h.Sum(nil)) != it.sum {
		return fmt.Errorf("write %s: %w: it has the SHA-256 %s", it.path, ErrChanged, hex.EncodeToString(h.Sum(nil)))
	}
	return nil
}

// makeRoom makes the folder that a file is to lie in. A file of the old release
// where the new one has a folder, or the reverse, has to go before its time.
func makeRoom(root *os.Root, to string, obsolete []string) error {
	for _, old := range obsolete {
		if strings.HasPrefix(to, old+"/") || strings.HasPrefix(old, to+"/") {
			if err := removeFile(root, old); err != nil {
				return err
			}
		}
	}
	if folder := path.Dir(to); folder != "." {
		return root.MkdirAll(filepath.FromSlash(folder), 0o777)
	}
	return nil
}

// removeEmptyFolders removes a folder that is empty, and those above it that
// become so.
func removeEmptyFolders(root *os.Root, folder string) {
	for folder != "." && root.Remove(filepath.FromSlash(folder)) == nil {
		folder = path.Dir(folder)
	}
}
