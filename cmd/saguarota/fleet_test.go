package main

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// scriptFleet is the command
//
//	fleet ARG...    start "saguarota fleet serve --port 0 ARG..." and wait until it
//	                listens; $SAGUAROTA_SERVER is where, and $SAGUAROTA_TOKEN the
//	                token, where one was printed. "end" and "crash" end it
func scriptFleet(ts *testscript.TestScript, neg bool, args []string) {
	b := ts.Value(backgroundKey{}).(*background)
	if neg || b.cmd != nil {
		ts.Fatalf("fleet: one at a time, and it has to start")
	}
	program, err := exec.LookPath("saguarota")
	ts.Check(err)
	b.out.Reset()
	b.errors.Reset()
	b.cmd = exec.Command(program, append([]string{"fleet", "serve", "--port", "0"}, args...)...)
	b.cmd.Dir = ts.Getenv("WORK")
	b.cmd.Env = append(os.Environ(), "SAGUAROTA_FLEET_DATA="+ts.Getenv("SAGUAROTA_FLEET_DATA"))
	b.cmd.Stderr = &b.errors
	b.stdin, err = b.cmd.StdinPipe()
	ts.Check(err)
	stdout, err := b.cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(b.cmd.Start())
	ts.Defer(func() {
		if b.cmd != nil {
			_ = b.cmd.Process.Kill()
			_ = b.cmd.Wait()
		}
	})
	b.ready = bufio.NewReader(io.TeeReader(stdout, &b.out))
	for {
		line, err := b.ready.ReadString('\n')
		if err != nil {
			_ = b.cmd.Wait()
			b.cmd = nil
			ts.Fatalf("fleet serve did not start: %s", b.errors.String())
		}
		line = strings.TrimSpace(line)
		if url, ok := strings.CutPrefix(line, "listening on "); ok {
			ts.Setenv("SAGUAROTA_SERVER", url)
		}
		if token, ok := strings.CutPrefix(line, "export SAGUAROTA_TOKEN="); ok {
			ts.Setenv("SAGUAROTA_TOKEN", token)
		}
		if line == "Ctrl-C stops the server." {
			return
		}
	}
}

// scriptCrash is the command "crash": it ends what "serve" or "fleet" started, as a
// power cut does.
func scriptCrash(ts *testscript.TestScript, neg bool, args []string) {
	b := ts.Value(backgroundKey{}).(*background)
	if neg || b.cmd == nil || len(args) != 0 {
		ts.Fatalf("usage: crash")
	}
	ts.Check(b.cmd.Process.Kill())
	_, err := io.Copy(io.Discard, b.ready)
	ts.Check(err)
	_ = b.cmd.Wait() // by the signal
	b.cmd = nil
}
