package rehearse

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// Write is a write to the flash, or an erase of a block of it.
type Write struct {
	Erase  bool
	Block  int
	Offset int    // in the block, in bytes
	Length int    // in bytes; a FAT writes several blocks at once
	Data   []byte // nil for an erase
}

const (
	logWrite    = 'W'
	logErase    = 'E'
	logHeadSize = 13
)

// ReadLog reads the file that Board.Log names. A record that the end of the file cuts off, as
// a board that is switched off leaves it, is left out: its write may not have begun. A file
// that isn't there is a log without a write.
func ReadLog(path string) ([]Write, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read write log: %w", err)
	}
	var log []Write
	for at := 0; len(data)-at >= logHeadSize; {
		head := data[at : at+logHeadSize]
		w := Write{
			Erase:  head[0] == logErase,
			Block:  int(binary.LittleEndian.Uint32(head[1:])),
			Offset: int(binary.LittleEndian.Uint32(head[5:])),
			Length: int(binary.LittleEndian.Uint32(head[9:])),
		}
		if head[0] != logErase && head[0] != logWrite {
			return nil, fmt.Errorf("read write log %s: no record at byte %d", path, at)
		}
		at += logHeadSize
		if !w.Erase {
			if len(data)-at < w.Length {
				break
			}
			w.Data = data[at : at+w.Length : at+w.Length]
			at += w.Length
		}
		log = append(log, w)
	}
	return log, nil
}

// Apply carries out the first n bytes of the write on image, whose blocks are of blockSize
// bytes; n < 0 stands for all of them. Bytes that a write does not reach stay as they were,
// and so do those of an erase, which runs from the start of its block.
func (w Write) Apply(image []byte, blockSize, n int) error {
	if n < 0 || n > w.Length {
		n = w.Length
	}
	at := w.Block*blockSize + w.Offset
	if at < 0 || at+w.Length > len(image) {
		return fmt.Errorf("a write of %d bytes at block %d, offset %d ends past the image's %d bytes",
			w.Length, w.Block, w.Offset, len(image))
	}
	if !w.Erase {
		copy(image[at:], w.Data[:n])
		return nil
	}
	for i := range n {
		image[at+i] = 0xff
	}
	return nil
}

// Replay carries out the first n writes of a log on the image, and then, of the write after
// them, its first torn bytes (0 for a cut between two writes): what the flash holds after a
// power cut at that moment.
func Replay(image []byte, blockSize int, log []Write, n, torn int) error {
	if n < 0 || n > len(log) {
		return fmt.Errorf("replay %d of %d writes", n, len(log))
	}
	for i, w := range log[:n] {
		if err := w.Apply(image, blockSize, -1); err != nil {
			return fmt.Errorf("replay write %d: %w", i, err)
		}
	}
	if torn > 0 {
		if n == len(log) {
			return fmt.Errorf("no write to tear after the last of %d", n)
		}
		if err := log[n].Apply(image, blockSize, torn); err != nil {
			return fmt.Errorf("replay write %d: %w", n, err)
		}
	}
	return nil
}

// ReplayTo writes to the board's image what the image file base holds after the first n
// writes of the board's log and torn bytes of the next, as Replay does.
func (b *Board) ReplayTo(base string, log []Write, n, torn int) error {
	image, err := os.ReadFile(base)
	if err != nil {
		return fmt.Errorf("replay onto %s: %w", base, err)
	}
	if err := Replay(image, b.blockSize(), log, n, torn); err != nil {
		return fmt.Errorf("replay onto %s: %w", base, err)
	}
	if err := os.WriteFile(b.Image, image, 0o666); err != nil {
		return fmt.Errorf("replay onto %s: %w", base, err)
	}
	return nil
}

// CopyImage copies the board's image to another file.
func (b *Board) CopyImage(to string) (err error) {
	from, err := os.Open(b.Image)
	if err != nil {
		return err
	}
	defer from.Close()
	f, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, from)
	return errors.Join(err, f.Close())
}
