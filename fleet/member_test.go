package fleet_test

import (
	"errors"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/cactuscon/saguarota/fleet"
)

func TestShareOnlyGrows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		salt := rapid.String().Draw(t, "salt")
		board := rapid.StringMatching(`[a-z0-9]{1,64}`).Draw(t, "board")
		joined := false
		for s := fleet.Share(1); s <= fleet.All; s += fleet.Share(rapid.IntRange(1, 999).Draw(t, "growth")) {
			in := s.Includes(salt, board)
			if joined && !in {
				t.Fatalf("%q is no member at %v, and was before", board, s)
			}
			joined = in
		}
		if !fleet.All.Includes(salt, board) {
			t.Fatalf("%q is no member of all", board)
		}
	})
}

// Boards keep their places over restarts, on every server, in every version of
// this program: these are written down.
func TestPlacesStay(t *testing.T) {
	for _, c := range []struct {
		salt, board string
		last        fleet.Share // the greatest that it is not in
	}{{"salt", "board-1", 5325}, {"salt", "board-2", 548}, {"another", "board-1", 9725}} {
		last := fleet.Share(0)
		for s := fleet.Share(1); s <= fleet.All && !s.Includes(c.salt, c.board); s++ {
			last = s
		}
		if last != c.last {
			t.Errorf("%s in %s: not in %d, want %d", c.board, c.salt, last, c.last)
		}
	}
}

func TestSharesAreFair(t *testing.T) {
	const boards = 20000
	for _, s := range []fleet.Share{1000, 5000} {
		first, both := 0, 0
		for i := range boards {
			id := fmt.Sprint("board-", i)
			if s.Includes("one", id) {
				first++
				if s.Includes("two", id) {
					both++
				}
			}
		}
		want := boards * int(s) / int(fleet.All)
		if first < want*95/100 || first > want*105/100 {
			t.Errorf("%v of %d boards are %d", s, boards, first)
		}
		// Who was among the first in one rollout is not for that in the next.
		want = want * int(s) / int(fleet.All)
		if both < want*80/100 || both > want*120/100 {
			t.Errorf("%v of two rollouts share %d of %d boards, want about %d", s, both, boards, want)
		}
	}
}

func TestParseShare(t *testing.T) {
	for text, want := range map[string]fleet.Share{"1": 100, "100": fleet.All, "12.5%": 1250, " 0.01 ": 1, "33.33": 3333, "99.9": 9990} {
		got, err := fleet.ParseShare(text)
		if got != want || err != nil {
			t.Errorf("%q: %d, %v; want %d", text, got, err, want)
		}
		if again, err := fleet.ParseShare(got.String()); again != got || err != nil {
			t.Errorf("%q is written as %q, which is %d, %v", text, got, again, err)
		}
	}
	for _, text := range []string{"", "%", "0", "0.00", "-1", "+1", "100.01", "101", "1.", ".5", "1.234", "1e1", "1,5", "70000"} {
		if got, err := fleet.ParseShare(text); !errors.Is(err, fleet.ErrInvalid) {
			t.Errorf("%q: %d, %v; want ErrInvalid", text, got, err)
		}
	}
}
