package boardtest

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cactuscon/saguarota/rehearse"
	signed "github.com/cactuscon/saguarota/release"
)

// What the issue asks for, in kB, on the 64-bit port, whose objects are twice the size of a
// board's.
const (
	heapFromMpy    = 64
	heapPack       = 68 // nobody asked for a figure: it should not grow
	heapFromSource = 112
)

// A heapCase is an update whose need of heap is measured.
type heapCase struct {
	from, to release
	options  string // more arguments of OTAUpdater, as Python text
	key      string // the manifest is signed with it
	source   bool   // the library as .py files
	size     int    // of the flash
	fs       rehearse.FileSystem
}

// heapRig makes a board that is offered tt.to. Its boot.py is as small as one can be.
func heapRig(t *testing.T, tt heapCase) *rig {
	t.Helper()
	r := newRig(t, setup{fs: tt.fs, factory: tt.from, source: tt.source, size: tt.size})
	url := r.site.server.URL + "/ota/"
	r.write("boot.py", fmt.Sprintf(`from saguarota import OTAUpdater
ota = OTAUpdater(%q, %q%s)
ota.check_and_perform_ota()
print("error", ota.last_error_code, ota.last_error_message)
`, url+"versions.json", url, tt.options))
	r.write("main.py", `print("confirmed", ota.confirm_update(True))`+"\n")
	r.site.publish(200, tt.to)
	if tt.key != "" {
		r.site.sign(tt.key)
	}
	return r
}

// installs reports whether the update works, and its confirmation, on a heap of kb kilobytes.
func installs(t *testing.T, r *rig, kb int) (bool, rehearse.Heap) {
	t.Helper()
	image := filepath.Join(t.TempDir(), "copy.img")
	if err := r.board.CopyImage(image); err != nil {
		t.Fatal(err)
	}
	b := *r.board
	b.Image, b.Heap = image, fmt.Sprintf("%dK", kb)
	results, err := b.Run(t.Context(), 3)
	if err != nil {
		if t.Context().Err() != nil {
			t.Fatal(err)
		}
		// On a heap too small for boot.py alone, even the simulation fails.
		return false, rehearse.Heap{}
	}
	last := results[len(results)-1]
	return len(results) == 2 && strings.Contains(results[0].Output, "OTA: installed; restarting") &&
		strings.Contains(last.Output, "confirmed True"), last.Heap
}

// smallestHeap finds the smallest heap on which the update works, in kB, by bisection.
func smallestHeap(t *testing.T, r *rig) int {
	t.Helper()
	low, high := 40, 168 // too small, large enough
	if ok, _ := installs(t, r, high); !ok {
		t.Fatalf("it does not work even on %d kB", high)
	}
	for high-low > 1 {
		mid := (low + high) / 2
		if ok, _ := installs(t, r, mid); ok {
			high = mid
		} else {
			low = mid
		}
	}
	return high
}

// ten is ten files of 2 kB.
func ten(text string) release {
	r := release{}
	for i := range 10 {
		r[fmt.Sprintf("pages/page%02d.py", i)] = strings.Repeat(fmt.Sprintf("# %s %02d\n", text, i), 2000/(len(text)+6))
	}
	return r
}

// A release of ten files, in the heap that was promised. What the simulation takes (Result.Heap.Sim:
// some 7 kB that no board has in its heap) comes on top; what the file system takes does not.
func TestHeapInstall(t *testing.T) {
	const key = `, manifest_auth_key="sesame"`
	for _, fs := range []rehearse.FileSystem{rehearse.Littlefs, rehearse.FAT} {
		for _, tt := range []struct {
			name string
			heapCase
			limit int
		}{
			{"mpy", heapCase{}, heapFromMpy},
			{"mpy, signed", heapCase{options: key, key: "sesame"}, heapFromMpy},
			{"mpy, all options", heapCase{options: key + `, resume_downloads=True, delete_files_not_in_manifest_policy="custom_extensions", delete_files_not_in_manifest_extensions=(".txt",), progress_callback=print`, key: "sesame"}, heapFromMpy},
			{"mpy, first release", heapCase{from: release{}}, heapFromMpy},
			{"source", heapCase{source: true}, heapFromSource},
			{"source, signed", heapCase{source: true, options: key, key: "sesame"}, heapFromSource},
		} {
			t.Run(string(fs)+", "+tt.name, func(t *testing.T) {
				t.Parallel()
				tt.fs, tt.to = fs, ten("two")
				if tt.from == nil {
					tt.from = ten("one")
				}
				r := heapRig(t, tt.heapCase)
				least := smallestHeap(t, r)
				_, heap := installs(t, r, least)
				t.Logf("%d kB is enough; of it, the simulation takes %d B and the file system %d B", least, heap.Sim, heap.FileSystem)
				limit := tt.limit<<10 + heap.Sim
				// The interpreter's heap is of whole kilobytes.
				if least > (limit+1023)>>10 {
					t.Errorf("it needs %d kB, want it to work on %d B", least, limit)
				}
			})
		}
	}
}

// The same for an update of which every byte is signed, also where it takes a step from one keyset to
// the next.
func TestHeapSigned(t *testing.T) {
	for _, rotations := range []int{0, 1} {
		t.Run(fmt.Sprintf("%d rotations", rotations), func(t *testing.T) {
			t.Parallel()
			r := heapRig(t, heapCase{fs: rehearse.Littlefs, from: ten("one"), to: ten("two"), options: ", " + trusting(1, keyA)})
			p := &publisher{rig: r, keyset: 1, signers: []signed.PrivateKey{keyA}, chain: release{}}
			for range rotations {
				p.rotate(keyB)
			}
			p.sign()
			least := smallestHeap(t, r)
			_, heap := installs(t, r, least)
			t.Logf("%d kB is enough; of it, the simulation takes %d B and the file system %d B", least, heap.Sim, heap.FileSystem)
			if limit := heapFromMpy<<10 + heap.Sim; least > (limit+1023)>>10 {
				t.Errorf("it needs %d kB, want it to work on %d B", least, limit)
			}
		})
	}
}

// The same for an update by a pack, signed and unsigned. The site has nothing but the manifest, the
// statement and the pack, so nothing else can have helped.
func TestHeapPack(t *testing.T) {
	for _, fs := range []rehearse.FileSystem{rehearse.Littlefs, rehearse.FAT} {
		for _, isSigned := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, signed %v", fs, isSigned), func(t *testing.T) {
				t.Parallel()
				options := ""
				if isSigned {
					options = ", " + trusting(1, keyA)
				}
				r := newRig(t, setup{fs: fs, factory: ten("one")})
				old := r.site.manifest
				r = heapRig(t, heapCase{fs: fs, from: ten("one"), to: ten("two"), options: options})
				name := r.site.pack(old, ten("one"), ten("two"))
				r.site.serve(release{name: r.site.files[name]})
				if isSigned {
					(&publisher{rig: r, keyset: 1, signers: []signed.PrivateKey{keyA}, chain: release{}}).sign()
				}
				least := smallestHeap(t, r)
				_, heap := installs(t, r, least)
				t.Logf("%d kB is enough; of it, the simulation takes %d B and the file system %d B", least, heap.Sim, heap.FileSystem)
				if limit := heapPack<<10 + heap.Sim; least > (limit+1023)>>10 {
					t.Errorf("it needs %d kB, want it to work on %d B", least, limit)
				}
			})
		}
	}
}

// An update of three files of a manifest of 5,000 entries needs no more heap than one of a manifest
// of ten.
func TestHeapIsFlat(t *testing.T) {
	entries := func(n int, text string) release {
		r := release{}
		for i := range n {
			// Small folders, since littlefs takes long for large ones.
			part := i * 200 / n
			name := fmt.Sprintf("d%02d/e%02d/file%04d.py", part/10, part%10, i)
			r[name] = "x"
			if i == 0 || i == n/2 || i == n-1 {
				r[name] = strings.Repeat(text, 500)
			}
		}
		return r
	}
	for _, tt := range []struct {
		name string
		many int
		heapCase
	}{
		{"littlefs", 5000, heapCase{fs: rehearse.Littlefs, size: 8 << 20}},
		// Fewer, since names that differ in case only are looked for in many passes.
		{"fat, signed", 1500, heapCase{fs: rehearse.FAT, size: 16 << 20, options: `, manifest_auth_key="sesame"`, key: "sesame"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.from, tt.to = entries(10, "one "), entries(10, "two ")
			small := heapRig(t, tt.heapCase)
			least := smallestHeap(t, small)
			// Where garbage happens to lie decides over a kilobyte or so, and it lies where the
			// network's timing puts it: a little less may work where a little more does not.
			for kb := least + 1; kb < least+4; kb++ {
				if ok, _ := installs(t, small, kb); !ok {
					least = kb + 1
				}
			}
			tt.from, tt.to = entries(tt.many, "one "), entries(tt.many, "two ")
			large := heapRig(t, tt.heapCase)
			for _, kb := range []int{least, least + 1, least + 1} {
				if ok, _ := installs(t, large, kb); ok {
					t.Logf("10 entries: %d kB; %d entries: %d kB are enough", least, tt.many, kb)
					return
				}
			}
			t.Errorf("10 entries: %d kB; %d entries: %d kB", least, tt.many, smallestHeap(t, large))
		})
	}
}
