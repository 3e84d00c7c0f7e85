package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cactuscon/saguarota/fleet/httpapi/api"
)

// ownDisk makes a server keep its data on a small file system of its own, in a namespace in
// which anybody may mount one.
func ownDisk(f *fleetProcess) {
	f.wrap = func(cmd *exec.Cmd) {
		f.must(os.MkdirAll(f.dir, 0o700))
		shell, err := exec.LookPath("sh")
		f.must(err)
		cmd.Args = append([]string{"sh", "-c", `mount -t tmpfs -o size=16m none "$0" && exec "$@"`, f.dir, cmd.Path}, cmd.Args[1:]...)
		cmd.Path = shell
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		}
	}
}

// fill takes up all that is free on the server's disk, and returns what frees it.
func (f *fleetProcess) fill() (free func()) {
	f.t.Helper()
	filler := filepath.Join(fmt.Sprintf("/proc/%d/root", f.cmd.Process.Pid), f.dir, "filler")
	file, err := os.Create(filler)
	f.must(err)
	for err == nil {
		_, err = file.Write(make([]byte, 4096))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		f.t.Fatal(err)
	}
	f.must(file.Close())
	return func() { f.must(os.Remove(filler)) }
}

// status polls, or asks for something else, and returns the answer's status and headers.
func (f *fleetProcess) status(path, report string) (int, http.Header) {
	f.t.Helper()
	req, err := http.NewRequestWithContext(f.t.Context(), http.MethodGet, f.url+path, nil)
	f.must(err)
	if report != "" {
		req.Header.Set("Saguarota", report)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	f.must(err)
	_, err = io.Copy(io.Discard, resp.Body)
	f.must(errors.Join(err, resp.Body.Close()))
	return resp.StatusCode, resp.Header
}

// On a full disk nothing is accepted that could not be kept, nothing is to be seen of what was
// not accepted, and boards with nothing new are answered. When there is room again, all goes on.
func TestFleetDiskFull(t *testing.T) {
	t.Parallel()
	f := newFleet(t, ownDisk)
	first := f.build()
	f.must(f.publish(nil))
	f.must(done(f.client(nil).SetChannelWithResponse(t.Context(), "badge", "stable", api.ChannelChange{Version: first})))
	const poll = "/ota/badge/versions.json.sig"
	quiet := fmt.Sprintf("id=quiet; version=%d", first)
	f.status(poll, quiet)

	free := f.fill()
	second := f.build()
	if err := f.publish(nil); err == nil || !strings.Contains(err.Error(), "its log says why") {
		t.Errorf("a release is published on a full disk: %v", err)
	}
	// What is allocated already may do for some boards, and then no more.
	var accepted []string
	for refused := false; !refused; {
		id := fmt.Sprint("b", len(accepted))
		status, header := f.status(poll, "id="+id)
		switch status {
		case http.StatusOK:
			accepted = append(accepted, id)
		case http.StatusServiceUnavailable:
			refused = true
			if header.Get("Saguarota-Poll") == "" {
				t.Error("a board that is refused is not told when to poll again")
			}
		default:
			t.Fatalf("board %s: %d", id, status)
		}
	}
	if status, _ := f.status(poll, quiet); status != http.StatusNotModified {
		t.Errorf("a board with nothing new: %d", status)
	}
	if status, _ := f.status("/ota/badge/main.py", quiet); status != http.StatusOK {
		t.Errorf("a file: %d", status)
	}
	if status, _ := f.status("/readyz", ""); status != http.StatusServiceUnavailable {
		t.Errorf("ready: %d", status)
	}
	if d := cmp.Diff(map[int64]bool{first: true}, f.releases()); d != "" {
		t.Errorf("releases: %s", d)
	}

	free()
	f.must(f.publish(nil))
	if d := cmp.Diff(map[int64]bool{first: true, second: true}, f.releases()); d != "" {
		t.Errorf("releases, with room again: %s", d)
	}
	if status, _ := f.status(poll, "id=late"); status != http.StatusOK {
		t.Errorf("a new board, with room again: %d", status)
	}
	if status, _ := f.status("/readyz", ""); status != http.StatusOK {
		t.Errorf("ready, with room again: %d", status)
	}
	boards := f.boards()
	for _, id := range append(accepted, "quiet", "late") {
		if _, ok := boards[id]; !ok {
			t.Errorf("board %s was accepted and is not known", id)
		}
	}
	if len(boards) != len(accepted)+2 {
		t.Errorf("%d boards are known, of %d that were accepted", len(boards), len(accepted)+2)
	}
	f.kill()
	if log := f.log.String(); !strings.Contains(log, "no space left on device") {
		t.Errorf("the log does not tell:\n%s", log)
	}
}
