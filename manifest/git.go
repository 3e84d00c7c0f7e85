package manifest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
)

// commitTimes returns, for those of paths (relative to dir) that the history
// of dir's repository knows, the committer time of the last commit that
// touched them, in seconds since 1970: for every path the number that
//
//	git log -1 --format=%ct -- path
//
// prints, from one git process for all.
//
// For one path git walks back from HEAD and, at a merge, follows the first
// parent in which the path is the same as in the merge; it stops at the first
// commit in which the path differs from all parents. That is one line of
// commits for each path, but another one for each. So this reads the whole
// walk with the changes against every parent, in an order that puts children
// before parents, and moves each path along its own line.
func commitTimes(ctx context.Context, git, dir string, paths []string) (map[string]int64, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd := exec.CommandContext(ctx, git,
		// What a user's configuration could change about the output.
		"-c", "log.follow=false", "-c", "log.showSignature=false",
		"-c", "log.diffMerges=separate",
		"log",
		// Every commit, also those without changes below dir: the lines of
		// the paths run through them.
		"--topo-order", "--full-history", "--sparse",
		// For each parent the changed paths, as they are: no renames, no
		// quotes, relative to dir.
		"-m", "--root", "--raw", "-z", "--no-renames", "--relative", "-O/dev/null",
		// "raw" names the parent that a list of changes is against, and the
		// commits' times as numbers.
		"--pretty=raw", "--no-abbrev", "--no-abbrev-commit", "--no-decorate", "--no-notes", "--no-color", "--encoding=UTF-8",
		"--", ".")
	cmd.Dir = dir
	cmd.Env = gitEnv(os.Environ())
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}

	h := newHistory(paths)
	readErr := h.read(bufio.NewReaderSize(out, 256<<10))
	if h.open == 0 {
		cancel() // the rest of the history does not matter
		cmd.Wait()
		return h.times, nil
	}
	if err := cmd.Wait(); err != nil {
		first, _, _ := strings.Cut(strings.TrimSpace(stderr.String()), "\n")
		if first != "" {
			err = errors.New(first)
		}
		return h.times, fmt.Errorf("%s log in %s: %w", git, dir, err)
	}
	if readErr != nil {
		return h.times, fmt.Errorf("%s log in %s: %w", git, dir, readErr)
	}
	return h.times, nil
}

// gitEnv returns env without what would point git at another repository than
// the one that a folder lies in: git sets it for hooks, relative to their
// working directory. Messages are in English, for our own.
func gitEnv(env []string) []string {
	env = slices.DeleteFunc(slices.Clone(env), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		switch name {
		case "GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_INDEX_FILE", "GIT_PREFIX",
			"GIT_LITERAL_PATHSPECS", "GIT_GLOB_PATHSPECS", "GIT_NOGLOB_PATHSPECS", "GIT_ICASE_PATHSPECS":
			return true
		}
		return false
	})
	return append(env, "LC_ALL=C")
}

// A history moves paths back through commits until each meets the commit that
// touched it.
type history struct {
	waiting map[string]pathSet // by commit: the paths whose line has come to it
	open    int                // paths that wait somewhere
	times   map[string]int64
	commit  commit // the one that is being read
}

type pathSet map[string]struct{}

// A commit is what git log tells of one commit.
type commit struct {
	id      string
	parents []string
	time    int64
	// changes has the paths that differ from a parent, by parent. Of commits
	// with fewer than two parents git does not name the parent: it is "".
	changes map[string]pathSet
}

func newHistory(paths []string) *history {
	all := make(pathSet, len(paths))
	for _, p := range paths {
		all[p] = struct{}{}
	}
	return &history{
		waiting: map[string]pathSet{"": all}, // the first commit takes them over
		open:    len(all),
		times:   make(map[string]int64, len(all)),
	}
}

// read follows the output of git log until it ends or no path waits any more.
//
// With -z the output is a sequence of fields that end with NUL. A commit's
// header and message are the start of one; where something changed, the
// description of the first change (":modes hashes letter") is its last line.
// The field after a description is the path; then comes the next description
// or the next commit. Lines of a message are indented, so none starts with a
// colon.
func (h *history) read(r *bufio.Reader) error {
	from := ""
	for h.open > 0 {
		field, err := readField(r)
		if err == io.EOF {
			h.settle()
			return nil
		}
		if err != nil {
			return err
		}
		if bytes.HasPrefix(field, []byte("commit ")) {
			c, parent, err := parseCommit(field)
			if err != nil {
				return err
			}
			// A merge comes once for each parent that it differs from.
			if c.id != h.commit.id {
				h.settle()
				h.commit = c
			}
			from = parent
			field = field[bytes.LastIndexByte(field, '\n')+1:]
		}
		if len(field) == 0 {
			continue
		}
		if field[0] != ':' {
			return fmt.Errorf("unexpected output %.40q", field)
		}
		path, err := readField(r)
		if err != nil {
			return fmt.Errorf("output ends in the middle of a change: %w", err)
		}
		if h.commit.changes[from] == nil {
			h.commit.changes[from] = make(pathSet)
		}
		h.commit.changes[from][string(path)] = struct{}{}
	}
	return nil
}

// readField returns what comes before the next NUL.
func readField(r *bufio.Reader) ([]byte, error) {
	field, err := r.ReadBytes(0)
	if err == io.EOF && len(field) > 0 {
		return field, nil
	}
	if err != nil {
		return nil, err
	}
	return field[:len(field)-1], nil
}

// parseCommit reads a header of git's raw format, and which parent the changes
// that follow are against, if it says so.
func parseCommit(header []byte) (c commit, from string, err error) {
	c.changes = make(map[string]pathSet)
	timed := false
	for line := range bytes.Lines(header) {
		line = bytes.TrimSuffix(line, []byte("\n"))
		if len(line) == 0 {
			break // the message
		}
		key, value, _ := strings.Cut(string(line), " ")
		switch key {
		case "commit": // ID, or: ID (from PARENT)
			c.id, from, _ = strings.Cut(value, " (from ")
			from = strings.TrimSuffix(from, ")")
		case "parent":
			c.parents = append(c.parents, value)
		case "committer": // NAME <MAIL> SECONDS ZONE
			rest := strings.TrimSpace(value[strings.LastIndexByte(value, '>')+1:])
			seconds, _, _ := strings.Cut(rest, " ")
			c.time, err = strconv.ParseInt(seconds, 10, 64)
			timed = err == nil
		}
	}
	if c.id == "" || !timed {
		return c, "", fmt.Errorf("unexpected output %.40q", header)
	}
	return c, from, nil
}

// settle sends the paths that wait at the current commit on to its parents, or
// gives them its time.
func (h *history) settle() {
	c := &h.commit
	if c.id == "" {
		return
	}
	paths := h.waiting[c.id]
	delete(h.waiting, c.id)
	if first, ok := h.waiting[""]; ok {
		paths = first
		delete(h.waiting, "")
	}
	if len(paths) == 0 {
		return
	}

	// The history of a shallow clone is cut off at commits that name parents
	// but are compared with nothing.
	cut := len(c.parents) > 1 && len(c.changes[""]) > 0
	if len(c.parents) < 2 || cut {
		for p := range c.changes[""] {
			h.touch(paths, p)
		}
		if len(c.parents) == 0 || cut {
			h.open -= len(paths) // older than all history
			return
		}
		h.send(paths, c.parents[0])
		return
	}
	for p := range c.changes[c.parents[0]] {
		if _, ok := paths[p]; !ok {
			continue
		}
		same := slices.IndexFunc(c.parents, func(parent string) bool {
			_, changed := c.changes[parent][p]
			return !changed
		})
		if same < 0 {
			h.touch(paths, p)
			continue
		}
		delete(paths, p)
		h.send(pathSet{p: {}}, c.parents[same])
	}
	h.send(paths, c.parents[0])
}

// touch gives path, if it is one of paths, the time of the current commit.
func (h *history) touch(paths pathSet, path string) {
	if _, ok := paths[path]; ok {
		h.times[path] = h.commit.time
		h.open--
		delete(paths, path)
	}
}

// send makes paths wait at a commit.
func (h *history) send(paths pathSet, id string) {
	there := h.waiting[id]
	if len(there) < len(paths) {
		there, paths = paths, there
	}
	for p := range paths {
		there[p] = struct{}{}
	}
	if there != nil {
		h.waiting[id] = there
	}
}
