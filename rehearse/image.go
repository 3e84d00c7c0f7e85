package rehearse

import (
	"bytes"
	"context"
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
)

// File is a file on a board.
type File struct {
	Size   int
	SHA256 string // hexadecimal
}

// Tree is all that a board's file system holds. Paths are relative to its root.
type Tree struct {
	Files map[string]File
	Dirs  []string // in the order of their paths
	// Broken has what cannot be read, and the name of the error: on FAT, a folder whose
	// growth was cut cannot be listed.
	Broken map[string]string
}

// Format makes the board's image anew, with an empty file system, and copies the files and
// folders of every tree into it; a later tree's file replaces an earlier one's. The image
// appears whole or not at all.
func (b *Board) Format(ctx context.Context, trees ...fs.FS) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("format %s: %w", b.Image, err)
		}
	}()
	if err := b.check(); err != nil {
		return err
	}
	commands := []command{{line: "mkfs"}}
	for _, tree := range trees {
		if commands, err = b.copy(commands, tree); err != nil {
			return err
		}
	}
	temp, err := os.CreateTemp(filepath.Dir(b.Image), filepath.Base(b.Image)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name())
	blank := *b
	blank.Image = temp.Name()
	// An erased flash.
	_, err = temp.Write(bytes.Repeat([]byte{0xff}, b.size()))
	if err := errors.Join(err, temp.Close()); err != nil {
		return err
	}
	if _, err := blank.edit(ctx, commands); err != nil {
		return err
	}
	return os.Rename(blank.Image, b.Image)
}

func (b *Board) copy(commands []command, tree fs.FS) ([]command, error) {
	err := fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case name == ".":
			return nil
		case d.IsDir():
			commands = append(commands, command{line: "dir " + name})
			return nil
		}
		data, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		commands = append(commands, writeCommand(name, data))
		return nil
	})
	return commands, err
}

// WriteFile writes a file to the image, with the folders that it needs.
func (b *Board) WriteFile(ctx context.Context, name string, data []byte) error {
	var commands []command
	for i, c := range name {
		if c == '/' {
			commands = append(commands, command{line: "dir " + name[:i]})
		}
	}
	if _, err := b.edit(ctx, append(commands, writeCommand(name, data))); err != nil {
		return fmt.Errorf("write %s to %s: %w", name, b.Image, err)
	}
	return nil
}

// ReadFile returns the content of a file of the image. The error of a file that isn't there
// is fs.ErrNotExist.
func (b *Board) ReadFile(ctx context.Context, name string) ([]byte, error) {
	out, err := b.edit(ctx, []command{{line: "read " + name}})
	if err != nil {
		return nil, fmt.Errorf("read %s of %s: %w", name, b.Image, err)
	}
	_, data, _ := bytes.Cut(out, []byte("\n"))
	return data, nil
}

// Remove removes a file from the image.
func (b *Board) Remove(ctx context.Context, name string) error {
	if _, err := b.edit(ctx, []command{{line: "remove " + name}}); err != nil {
		return fmt.Errorf("remove %s from %s: %w", name, b.Image, err)
	}
	return nil
}

// Dump returns what the board's file system holds. The image isn't changed.
func (b *Board) Dump(ctx context.Context) (*Tree, error) {
	out, err := b.edit(ctx, []command{{line: "tree"}})
	if err != nil {
		return nil, fmt.Errorf("dump %s: %w", b.Image, err)
	}
	tree := &Tree{Files: map[string]File{}, Broken: map[string]string{}}
	for line := range strings.Lines(string(out)) {
		kind, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		switch kind {
		case "d":
			tree.Dirs = append(tree.Dirs, rest)
		case "f":
			fields := strings.SplitN(rest, " ", 3)
			size, err := strconv.Atoi(fields[0])
			if err != nil || len(fields) != 3 {
				return nil, fmt.Errorf("dump %s: bad line %q", b.Image, line)
			}
			tree.Files[fields[2]] = File{size, fields[1]}
		case "x":
			name, broken, _ := strings.Cut(rest, " ")
			tree.Broken[broken] = name
		case ".":
			slices.Sort(tree.Dirs)
			return tree, nil
		}
	}
	return nil, fmt.Errorf("dump %s: the list ends early", b.Image)
}

// A command to sim/image.py, and the data after its line.
type command struct {
	line string
	data []byte
}

func writeCommand(name string, data []byte) command {
	return command{fmt.Sprintf("file %d %s", len(data), name), data}
}

// edit carries out commands on the image and returns what the last one answered.
func (b *Board) edit(ctx context.Context, commands []command) ([]byte, error) {
	var in, out bytes.Buffer
	for _, c := range commands {
		if strings.ContainsAny(c.line, "\n\r") {
			return nil, fmt.Errorf("a path with a line break: %q", c.line)
		}
		in.WriteString(c.line + "\n")
		in.Write(c.data)
	}
	var stderr bytes.Buffer
	code, err := b.simulate(ctx, "", []string{"-c", "import image"}, &in, &out, &stderr)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("status %d: %w\n%s", code, err, stderr.String())
	}
	return answer(out.Bytes(), commands)
}

// answer returns the last command's answer, or the error that one of them answered.
func answer(out []byte, commands []command) ([]byte, error) {
	for i, c := range commands {
		line, rest, _ := bytes.Cut(out, []byte("\n"))
		if text, found := strings.CutPrefix(string(line), "error "); found {
			word, name, _ := strings.Cut(c.line, " ")
			if text == "ENOENT" {
				return nil, fs.ErrNotExist
			}
			return nil, fmt.Errorf("%s %s: %s", word, path.Base(name), text)
		}
		if i == len(commands)-1 {
			return out, nil
		}
		out = rest
	}
	return nil, io.ErrUnexpectedEOF
}
