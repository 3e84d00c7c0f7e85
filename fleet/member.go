package fleet

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/bits"
	"strconv"
	"strings"
)

// A Share is a part of a fleet in hundredths of a percent: 10000 is all of it.
type Share int

// All is the share that every board is in.
const All Share = 10000

// Includes reports whether a board is in the share of a rollout that has the
// salt. A board that is in a share is in every greater one, and one that is not
// in All does not exist. Boards fall into shares independently of each other and
// of other rollouts, so a share of 1 % of ten boards may well be none of them.
func (s Share) Includes(salt, board string) bool {
	return place(salt, board) < s
}

// place returns where a board stands in the order in which a rollout takes
// boards in: a number from 0 to All-1.
func place(salt, board string) Share {
	var buf [2*MaxNameBytes + 1]byte
	b := append(buf[:0], salt...)
	b = append(b, 0)
	b = append(b, board...)
	sum := sha256.Sum256(b)
	hi, _ := bits.Mul64(binary.BigEndian.Uint64(sum[:]), uint64(All))
	return Share(hi)
}

// ParseShare reads a percentage: "1", "12.5", "0.01", "100", or with "%" after it.
func ParseShare(text string) (Share, error) {
	number := strings.TrimSuffix(strings.TrimSpace(text), "%")
	whole, fraction, dot := strings.Cut(number, ".")
	n, err := strconv.ParseUint(whole, 10, 16)
	if err != nil || dot && fraction == "" || len(fraction) > 2 {
		return 0, fmt.Errorf("%w: %q is no percentage with at most two decimals", ErrInvalid, text)
	}
	f, err := strconv.ParseUint((fraction + "00")[:2], 10, 16)
	if err != nil {
		return 0, fmt.Errorf("%w: %q is no percentage with at most two decimals", ErrInvalid, text)
	}
	s := Share(n*100 + f)
	if s < 1 || s > All {
		return 0, fmt.Errorf("%w: %q is not above 0 %% and at most 100 %%", ErrInvalid, text)
	}
	return s, nil
}

// String returns the share as a percentage: "12.5%".
func (s Share) String() string {
	text := strconv.Itoa(int(s / 100))
	if f := s % 100; f != 0 {
		text += strings.TrimRight(fmt.Sprintf(".%02d", int(f)), "0")
	}
	return text + "%"
}
