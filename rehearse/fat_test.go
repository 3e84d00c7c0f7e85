package rehearse_test

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"github.com/cactuscon/saguarota/internal/releases"
	"github.com/cactuscon/saguarota/rehearse"
)

// fatVolume is a FAT12 or FAT16 file system, as Microsoft's FAT specification has it.
type fatVolume struct {
	image       []byte
	table       int // offset of the first table
	narrow      bool
	root, rootN int // offset and number of entries of the root folder
	data        int // offset of cluster 2
	cluster     int // bytes
	clusters    int
	owner       map[int]string
}

func openFAT(image []byte) *fatVolume {
	word := func(at int) int { return int(binary.LittleEndian.Uint16(image[at:])) }
	sector := word(11)
	total := word(19)
	if total == 0 {
		total = int(binary.LittleEndian.Uint32(image[32:]))
	}
	v := &fatVolume{image: image, table: word(14) * sector, cluster: int(image[13]) * sector, rootN: word(17), owner: map[int]string{}}
	v.root = v.table + int(image[16])*word(22)*sector
	v.data = v.root + (v.rootN*32+sector-1)/sector*sector
	v.clusters = (total*sector - v.data) / v.cluster
	v.narrow = v.clusters < 4085
	return v
}

// next is the cluster that follows one; 0 if it is free, -1 if it is the last.
func (v *fatVolume) next(c int) int {
	var n, last int
	if v.narrow {
		n = int(binary.LittleEndian.Uint16(v.image[v.table+c*3/2:]))
		n, last = n>>(c&1*4)&0xfff, 0xff8
	} else {
		n, last = int(binary.LittleEndian.Uint16(v.image[v.table+c*2:])), 0xfff8
	}
	if n >= last {
		return -1
	}
	return n
}

// chain is every cluster from the first on, each of which nobody else may have.
func (v *fatVolume) chain(name string, first int) (clusters []int, err error) {
	for c := first; c != -1; c = v.next(c) {
		if c < 2 || c >= v.clusters+2 {
			return nil, fmt.Errorf("%s goes on in cluster %d, which is none", name, c)
		}
		if other, ok := v.owner[c]; ok {
			return nil, fmt.Errorf("%s has cluster %d of %s", name, c, other)
		}
		v.owner[c] = name
		clusters = append(clusters, c)
	}
	return clusters, nil
}

// check returns an error where a file has other clusters than its size takes, or another's. Of a
// folder, what comes after its first cluster is not looked at: it has to grow.
func (v *fatVolume) check() error {
	var offsets []int
	for i := range v.rootN {
		offsets = append(offsets, v.root+i*32)
	}
	return v.folder("", offsets)
}

func (v *fatVolume) folder(name string, entries []int) error {
	for _, at := range entries {
		e := v.image[at : at+32]
		if e[0] == 0 {
			return nil
		}
		if e[0] == 0xe5 || e[11]&0x08 != 0 || e[0] == '.' { // deleted; a long name or a label; . and ..
			continue
		}
		path := fmt.Sprintf("%s/%s", name, e[:11])
		first := int(binary.LittleEndian.Uint16(e[26:]))
		if e[11]&0x10 != 0 {
			var below []int
			for c := first; c > 1 && c < v.clusters+2 && v.owner[c] == ""; c = v.next(c) {
				v.owner[c] = path
				for i := range v.cluster / 32 {
					below = append(below, v.data+(c-2)*v.cluster+i*32)
				}
			}
			if err := v.folder(path, below); err != nil {
				return err
			}
			continue
		}
		want := (int(binary.LittleEndian.Uint32(e[28:])) + v.cluster - 1) / v.cluster
		if first == 0 {
			if want != 0 {
				return fmt.Errorf("%s has no cluster and should have %d", path, want)
			}
			continue
		}
		clusters, err := v.chain(path, first)
		if err != nil {
			return err
		}
		if len(clusters) != want {
			return fmt.Errorf("%s has %d clusters and should have %d", path, len(clusters), want)
		}
	}
	return nil
}

// At no cut, in the middle of a sector or not, a file on FAT has clusters beyond its end: where
// the table was being written, they may be another file's, and whoever removes the one, frees
// the other. So a file gets its clusters before it gets its size, and never grows.
func TestFilesOnFATDoNotGrow(t *testing.T) {
	for _, u := range []struct {
		pair releases.Pair
		pack bool
	}{{releases.Large(), false}, {releases.Large(), true}, {releases.Asset(), false}, {releases.Asset(), true}} {
		t.Run(fmt.Sprintf("%s, pack %v", u.pair.Name, u.pack), func(t *testing.T) {
			r := rehearsal(t, u.pair, rehearse.FAT)
			r.Board.Size = 2 << 20 // a table of several sectors
			r.Packs = u.pack
			image, log, report, err := r.Play(t.Context(), t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			if report.Problem != "" {
				t.Fatalf("%s\n%s", report.Problem, indent(report.Console))
			}
			found := 0
			for n, w := range log {
				for _, torn := range []int{0, w.Length / 2} {
					cut := slices.Clone(image)
					if err := w.Apply(cut, 512, torn); err != nil {
						t.Fatal(err)
					}
					if err := openFAT(cut).check(); err != nil {
						if found++; found < 6 {
							t.Errorf("cut after write %d and %d bytes: %v", n, torn, err)
						}
					}
				}
				if err := w.Apply(image, 512, -1); err != nil {
					t.Fatal(err)
				}
			}
			if found > 0 {
				t.Errorf("%d cuts of %d", found, 2*len(log))
			}
		})
	}
}
