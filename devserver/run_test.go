package devserver

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cactuscon/saguarota/manifest"
)

// pipes is a network in memory. In a synctest bubble time passes in it as soon
// as everybody waits, so limits of minutes can be tested as they are.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p *pipes) dial() net.Conn {
	client, server := net.Pipe()
	p.conns <- server
	return client
}

// bubble runs a test with a server in a synctest bubble.
func bubble(t *testing.T, files []string, test func(t *testing.T, network *pipes, s *running)) {
	dir := t.TempDir()
	write(t, dir, files...)
	synctest.Test(t, func(t *testing.T) {
		s := &running{events: make(chan Event, 100), done: make(chan error, 1)}
		var err error
		s.Server, err = New(Config{
			Dir:     dir,
			Options: manifest.DefaultOptions(),
			Log:     func(e Event) { s.events <- e },
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(context.Background())
		s.stop = stop
		network := newPipes()
		go s.run(ctx, network)
		test(t, network, s)
		stop()
		for range s.done {
		}
	})
}

// A client that takes 1 kB a second needs minutes for a file, and gets it.
func TestSlowClientIsServed(t *testing.T) {
	content := string(pattern(200_000))
	bubble(t, []string{"big.raw", content}, func(t *testing.T, network *pipes, s *running) {
		conn := network.dial()
		defer conn.Close()
		begin := time.Now()
		fmt.Fprint(conn, get("/ota/big.raw"))
		var answer bytes.Buffer
		for {
			_, err := io.CopyN(&answer, conn, 1000)
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatalf("after %v and %d bytes: %v", time.Since(begin), answer.Len(), err)
			}
			time.Sleep(time.Second)
		}
		if !strings.HasSuffix(answer.String(), content) || time.Since(begin) < 3*time.Minute {
			t.Errorf("%d bytes in %v", answer.Len(), time.Since(begin))
		}
		if e := s.event(t); e.Status != 200 || e.Bytes != 200_000 || strings.Contains(e.Note, "dropped") {
			t.Errorf("logged %v", e)
		}
	})
}

// stopped stops the server and returns a channel that tells when it has.
func (r *running) stopped() <-chan error {
	r.stop()
	return r.done
}

// A client that takes nothing any more is dropped, and said to be.
func TestStalledClientIsDropped(t *testing.T) {
	bubble(t, []string{"big.raw", string(pattern(200_000))}, func(t *testing.T, network *pipes, s *running) {
		conn := network.dial()
		defer conn.Close()
		fmt.Fprint(conn, get("/ota/big.raw"))
		if _, err := io.CopyN(io.Discard, conn, 10_000); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		e := <-s.events
		if waited := time.Since(begin); waited != defaultLimits.stall {
			t.Errorf("dropped after %v, want %v", waited, defaultLimits.stall)
		}
		if !strings.HasPrefix(e.Note, "dropped: the client took nothing for 30.0 s") || e.Bytes >= 200_000 {
			t.Errorf("logged %v", e)
		}
		if _, err := io.ReadAll(conn); err != nil {
			t.Errorf("the connection is not closed: %v", err)
		}
	})
}

func TestSlowHeadIsCutOff(t *testing.T) {
	bubble(t, nil, func(t *testing.T, network *pipes, s *running) {
		conn := network.dial()
		defer conn.Close()
		begin := time.Now()
		trickle := make(chan struct{})
		go func() {
			defer close(trickle)
			for {
				if _, err := io.WriteString(conn, "G"); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		}()
		_, _ = io.Copy(io.Discard, conn)
		if waited := time.Since(begin); waited != defaultLimits.header {
			t.Errorf("cut off after %v, want %v", waited, defaultLimits.header)
		}
		if e := <-s.events; !strings.Contains(e.Note, "sent no whole HTTP request") {
			t.Errorf("logged %v", e)
		}
		<-trickle
	})
}

func TestIdleConnectionIsClosed(t *testing.T) {
	bubble(t, []string{"main.py", "x"}, func(t *testing.T, network *pipes, s *running) {
		conn := network.dial()
		defer conn.Close()
		answers := bufio.NewReader(conn)
		for range 3 {
			fmt.Fprint(conn, "GET /ota/main.py HTTP/1.1\r\nHost: h\r\n\r\n")
			resp, err := http.ReadResponse(answers, nil)
			if err != nil {
				t.Fatal(err)
			}
			if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "x" {
				t.Errorf("%q, %v", body, err)
			}
			// The board writes to flash, longer than any limit of an answer.
			time.Sleep(100 * time.Second)
		}
		begin := time.Now()
		if _, err := answers.ReadByte(); err != io.EOF {
			t.Errorf("got %v", err)
		}
		if waited := time.Since(begin) + 100*time.Second; waited != defaultLimits.idle {
			t.Errorf("closed after %v, want %v", waited, defaultLimits.idle)
		}
	})
}

// A body that never ends must not hold the connection, and one that does end
// must not disturb the next request.
func TestRequestBodies(t *testing.T) {
	bubble(t, []string{"main.py", "x"}, func(t *testing.T, network *pipes, s *running) {
		conn := network.dial()
		defer conn.Close()
		answers := bufio.NewReader(conn)
		fmt.Fprint(conn, "GET /ota/main.py HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc")
		resp, err := http.ReadResponse(answers, nil)
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "x" {
			t.Errorf("%q, %v", body, err)
		}
		begin := time.Now()
		fmt.Fprint(conn, "POST /ota/main.py HTTP/1.1\r\nHost: h\r\nContent-Length: 3000\r\n\r\nab")
		_, _ = io.Copy(io.Discard, answers)
		if waited := time.Since(begin); waited < defaultLimits.header || waited > 2*defaultLimits.header {
			t.Errorf("closed after %v, want about %v", waited, defaultLimits.header)
		}
	})
}

// Stopping lets a download finish that is under way, and takes no new ones.
func TestStopLetsDownloadsFinish(t *testing.T) {
	content := string(pattern(200_000))
	bubble(t, []string{"big.raw", content}, func(t *testing.T, network *pipes, s *running) {
		conn := network.dial()
		defer conn.Close()
		fmt.Fprint(conn, get("/ota/big.raw"))
		head := make([]byte, 100)
		if _, err := io.ReadFull(conn, head); err != nil {
			t.Fatal(err)
		}
		s.stop()
		synctest.Wait()
		select {
		case <-network.closed:
		default:
			t.Error("new connections are still accepted")
		}
		time.Sleep(defaultLimits.grace / 2)
		rest, err := io.ReadAll(conn)
		if err != nil || !strings.HasSuffix(string(rest), content) {
			t.Errorf("%d bytes, %v", len(rest), err)
		}
		if err := <-s.done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
}

func TestStopCutsWhatDoesNotFinish(t *testing.T) {
	bubble(t, []string{"big.raw", string(pattern(200_000))}, func(t *testing.T, network *pipes, s *running) {
		conn := network.dial()
		defer conn.Close()
		fmt.Fprint(conn, get("/ota/big.raw"))
		if _, err := io.CopyN(io.Discard, conn, 100); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		s.stop()
		if err := <-s.done; err != nil {
			t.Errorf("Serve: %v", err)
		}
		if waited := time.Since(begin); waited != defaultLimits.grace {
			t.Errorf("stopped after %v, want %v", waited, defaultLimits.grace)
		}
		// Before or after that of the download itself.
		for e := <-s.events; e.Note != "cut the downloads that were still under way"; e = <-s.events {
			if e.Path != "/ota/big.raw" {
				t.Errorf("logged %v", e)
			}
		}
	})
}

func TestStopSaysWhatItCut(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "big.raw", string(pattern(12<<20)))
	s := start(t, Config{Dir: dir})
	s.limits.grace = time.Millisecond
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, get("/ota/big.raw"))
	if _, err := io.CopyN(io.Discard, conn, 1000); err != nil {
		t.Fatal(err)
	}
	s.stop()
	notes := s.event(t).Note + "\n" + s.event(t).Note
	if !strings.Contains(notes, "cut the downloads") || !strings.Contains(notes, "cut, because the server stops, file 1") {
		t.Errorf("logged %q", notes)
	}
}

// A browser's spare connection does not delay the stop.
func TestStopDoesNotWaitForUnusedConnections(t *testing.T) {
	bubble(t, nil, func(t *testing.T, network *pipes, s *running) {
		conn := network.dial()
		defer conn.Close()
		synctest.Wait()
		begin := time.Now()
		if err := <-s.stopped(); err != nil {
			t.Errorf("Serve: %v", err)
		}
		if waited := time.Since(begin); waited >= time.Second {
			t.Errorf("stopped after %v", waited)
		}
		if len(s.events) != 0 {
			t.Errorf("logged %v", <-s.events)
		}
	})
}

func TestClientThatGoesAway(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "big.raw", string(pattern(12<<20)), "main.py", "x")
	s := start(t, Config{Dir: dir})
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(conn, get("/ota/big.raw"))
	if _, err := io.CopyN(io.Discard, conn, 1000); err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	if e := s.event(t); !strings.HasPrefix(e.Note, "the client went away, file 1, ") || e.Status != 200 || e.Bytes >= 12<<20 {
		t.Errorf("logged %v", e)
	}
	if resp, _ := s.do(t, "GET", "/ota/main.py"); resp.StatusCode != 200 {
		t.Errorf("afterwards: %s", resp.Status)
	}
}

// A file that is saved in the middle of its download: the board gets the
// beginning of the old one, a broken connection, and on its second try all of
// the new one. The file is far bigger than what the network holds while the
// client takes nothing.
func TestFileIsEditedWhileItIsSent(t *testing.T) {
	dir := t.TempDir()
	before := pattern(12 << 20)
	after := bytes.Clone(before)
	after[len(after)-1]++
	path := filepath.Join(dir, "big.raw")
	if err := os.WriteFile(path, before, 0o644); err != nil {
		t.Fatal(err)
	}
	s := start(t, Config{Dir: dir})
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.(*net.TCPConn).SetReadBuffer(64 << 10); err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(conn, get("/ota/big.raw"))
	resp, err := http.ReadResponse(bufio.NewReaderSize(conn, 4096), nil)
	if err != nil {
		t.Fatal(err)
	}
	// In place, as some editors save.
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteAt(after[len(after)-1:], int64(len(after)-1)); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(resp.Body)
	if !errors.Is(err, io.ErrUnexpectedEOF) || len(got) >= len(before) || !bytes.Equal(got, before[:len(got)]) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if e := s.event(t); !strings.HasPrefix(e.Note, "connection cut: the file changed") {
		t.Errorf("logged %v", e)
	}
	again, body := s.do(t, "GET", "/ota/big.raw", fmt.Sprintf("Range: bytes=%d-", len(got)), "If-Range: "+resp.Header.Get("ETag"))
	if again.StatusCode != 200 || body != string(after) {
		t.Errorf("the second try: %s, %d bytes", again.Status, len(body))
	}
}

// brokenListener fails at once.
type brokenListener struct{ *pipes }

var errListener = errors.New("the cable is out")

func (brokenListener) Accept() (net.Conn, error) { return nil, errListener }

func TestServeReportsItsListener(t *testing.T) {
	s, err := New(Config{Dir: t.TempDir(), Options: manifest.DefaultOptions()})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Serve(t.Context(), brokenListener{newPipes()}); !errors.Is(err, errListener) {
		t.Errorf("got %v", err)
	}
}

func TestServeWithStoppedContext(t *testing.T) {
	s, err := New(Config{Dir: t.TempDir(), Options: manifest.DefaultOptions()})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Serve(ctx, listener); err != nil {
		t.Errorf("got %v", err)
	}
	if conn, err := net.Dial("tcp", listener.Addr().String()); err == nil {
		conn.Close()
		t.Error("the port is still open")
	}
}
