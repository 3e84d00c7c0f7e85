package boardtest

import (
	"encoding/binary"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/cactuscon/saguarota/rehearse"
)

// A state folder on FAT whose growth was torn: the board keeps what it runs and what it knows, and
// gets the next release, in a new folder. That goes on for as long as there are names for one.
func TestTrialDamagedFolder(t *testing.T) {
	r := newRig(t, setup{
		fs: rehearse.FAT, main: "import app\nassert app.NAME != 'bad'\n" + confirm,
		options: `delete_files_not_in_manifest_policy="all"`,
	})
	settings := func(rel release) release { return rel.with(release{"settings.py": string(r.settings())}) }
	bad := r.site.publish(200, settings(release2.with(release{"app.py": "NAME = 'bad'\n"})))
	says(t, r.run(), "app bad")
	r.bootTo(rehearse.AtREPL)
	r.bootTo(rehearse.AtREPL)
	says(t, r.run(), "undoing it", "error version_rejected", "app one")

	for i := range 3 {
		breakFolder(t, r.board.Image, "SAGUAR~1   ")
		if i == 0 {
			says(t, r.bootTo(rehearse.AtREPL).Output, "error version_rejected", "app one")
		}
		next := settings(release2.with(release{"app.py": fmt.Sprintf("NAME = 'two %d'\n", i)}))
		r.site.publish(int64(300+i), next)
		said := r.bootTo(rehearse.AtREPL).Output
		says(t, said, "OTA: warning: saguarota_backup is damaged; it is saguarota_backup", "error apply_failed")
		if name := stateFolder + "/" + r.newest(); !strings.Contains(r.read(name), fmt.Sprintf(".%d\t", bad.Version)) {
			t.Errorf("the bad release is forgotten: %q", r.read(name))
		}
		says(t, r.run(), "OTA: installed; restarting", fmt.Sprintf("app two %d", i), "confirmed True")
		for name, text := range next {
			if r.read(name) != text {
				t.Errorf("%s is not that of the release", name)
			}
		}
	}
	// No more of these: the room of each is lost.
	breakFolder(t, r.board.Image, "SAGUAR~1   ")
	r.site.publish(400, settings(release3))
	said := r.run()
	says(t, said, "OTA: warning: saguarota_backup is damaged, as others were: format the file system", "error apply_failed", "app two 2")
}

// breakFolder has a folder of the root of a FAT12 image, by its short name, go on in a cluster that
// is free: what is left where half a sector of the table was written.
func breakFolder(t *testing.T, image, short string) {
	t.Helper()
	b, err := os.ReadFile(image)
	if err != nil {
		t.Fatal(err)
	}
	u16 := func(at int) int { return int(binary.LittleEndian.Uint16(b[at:])) }
	sector := u16(11)
	fat := b[u16(14)*sector:]
	root := (u16(14) + int(b[16])*u16(22)) * sector
	last := (u16(19)*sector-root-u16(17)*32)/sector/int(b[13]) + 1
	entry := func(n int) int { return int(binary.LittleEndian.Uint16(fat[n*3/2:])) >> (4 * (n & 1)) & 0xfff }
	set := func(n, v int) {
		old := int(binary.LittleEndian.Uint16(fat[n*3/2:]))
		shift := 4 * (n & 1)
		binary.LittleEndian.PutUint16(fat[n*3/2:], uint16(old&^(0xfff<<shift)|v<<shift))
	}
	if entry(last) != 0 {
		t.Fatal("the last cluster is not free")
	}
	for at := root; at < root+u16(17)*32; at += 32 {
		if string(b[at:at+11]) != short {
			continue
		}
		set(u16(at+26), last)
		if err := os.WriteFile(image, b, 0o666); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Fatalf("the root has no %q", short)
}
