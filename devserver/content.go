package devserver

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
)

// blockSize is how much of a file is read, checked and kept in memory at a
// time. Nearly every file of a MicroPython release fits into one block, and is
// then sent from the very bytes that were hashed.
const blockSize = 256 << 10

// errChanged tells that a file was edited between being hashed and being sent.
var errChanged = errors.New("the file changed while it was being sent")

// content is what a file held when newContent read it, and its SHA-256.
//
// A board resumes a download by the ETag, so no byte may be sent under the
// hash of other bytes, even if somebody saves the file in the middle of a
// download. Everything comes from one open handle, and a block that is read
// again to be sent has to hash to what it hashed to before: if it does not,
// Read returns errChanged instead of the bytes. Nothing but the block hashes
// (32 bytes for 256 kB) grows with the file.
type content struct {
	src    io.ReaderAt
	size   int64
	sum    [sha256.Size]byte
	blocks [][sha256.Size]byte

	offset int64  // where the next Read starts
	block  []byte // the block that was read last
	number int64  // its number, -1 if there is none
	failed error  // why Read gave up, for the log: who copies from it may not say
}

// newContent reads all of src.
func newContent(src io.ReaderAt) (*content, error) {
	c := &content{src: src, number: -1}
	whole := sha256.New()
	for {
		if err := c.read(int64(len(c.blocks))); err != nil {
			return nil, err
		}
		if len(c.block) > 0 {
			whole.Write(c.block)
			c.blocks = append(c.blocks, sha256.Sum256(c.block))
			c.size += int64(len(c.block))
		}
		if len(c.block) < blockSize {
			break
		}
	}
	if len(c.blocks) != 1 {
		c.number = -1
	}
	whole.Sum(c.sum[:0])
	return c, nil
}

// read fills c.block with a block of the file: a short one, or none, at its end.
func (c *content) read(number int64) error {
	if c.block == nil {
		c.block = make([]byte, blockSize)
	}
	n, err := c.src.ReadAt(c.block[:blockSize], number*blockSize)
	if err != nil && err != io.EOF {
		return err
	}
	c.block = c.block[:n]
	c.number = number
	return nil
}

// readAgain is read for a block that must hold what it held before.
func (c *content) readAgain(number int64) error {
	if err := c.read(number); err != nil {
		return err
	}
	// The file may have grown behind the end of the last block.
	if want := c.size - number*blockSize; int64(len(c.block)) > want {
		c.block = c.block[:want]
	}
	if sha256.Sum256(c.block) != c.blocks[number] {
		return errChanged
	}
	return nil
}

// etag returns the strong entity tag of the content.
func (c *content) etag() string { return quoteSum(c.sum) }

// quoteSum makes an entity tag of a hash.
func quoteSum(sum [sha256.Size]byte) string {
	return `"` + hex.EncodeToString(sum[:]) + `"`
}

// Read implements io.Reader over what was hashed.
func (c *content) Read(p []byte) (int, error) {
	if c.offset >= c.size {
		return 0, io.EOF
	}
	number := c.offset / blockSize
	if number != c.number {
		if err := c.readAgain(number); err != nil {
			c.number = -1
			c.failed = err
			return 0, err
		}
	}
	n := copy(p, c.block[c.offset-number*blockSize:])
	c.offset += int64(n)
	return n, nil
}

// Seek implements io.Seeker.
func (c *content) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += c.offset
	case io.SeekEnd:
		offset += c.size
	}
	if offset < 0 {
		return 0, fmt.Errorf("seek to %d: before the start", offset)
	}
	c.offset = offset
	return offset, nil
}
