// Package s3test runs a real S3 server for tests, versitygw over a temporary
// folder: one for each test program, and one bucket for each test.
//
// The program is the one that "make services" has put into .tools/bin.
package s3test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cactuscon/saguarota/fleet/internal/toolsdir"
)

// The key of the server.
const (
	Key    = "test"
	Secret = "testsecret"
)

// A Bucket is an empty bucket.
type Bucket struct {
	URL    string // of the server: "http://127.0.0.1:…"
	Bucket string
}

// a server is a running versitygw.
type server struct {
	dir      string
	process  *exec.Cmd
	listener net.Listener
	log      *os.File
}

var (
	start  = sync.OnceValues(startServer)
	number atomic.Int64
	asked  atomic.Bool
)

// Main runs the tests of a package and then stops the server, if a test has asked
// for it. It returns the exit status for os.Exit.
func Main(m *testing.M) int {
	status := m.Run()
	if asked.Load() {
		if s, err := start(); err == nil {
			if err := s.stop(); err != nil {
				fmt.Fprintln(os.Stderr, "stop versitygw:", err)
				return 1
			}
		}
	}
	return status
}

// New returns an empty bucket on the server of this test program. TestMain has to
// call Main.
func New(t testing.TB) Bucket {
	t.Helper()
	asked.Store(true)
	s, err := start()
	if err != nil {
		t.Fatalf("start versitygw: %v", err)
	}
	name := fmt.Sprint("bucket", number.Add(1))
	// To this server, every folder is a bucket.
	if err := os.Mkdir(filepath.Join(s.dir, "data", name), 0o700); err != nil {
		t.Fatal(err)
	}
	return Bucket{URL: "http://" + s.listener.Addr().String(), Bucket: name}
}

func startServer() (*server, error) {
	program, err := toolsdir.Find("bin/versitygw")
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "s3")
	if err != nil {
		return nil, err
	}
	s := &server{dir: dir}
	if err := s.start(program); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return s, nil
}

// start starts the program on a socket in its folder, and a port that leads there:
// so the port is taken before anybody is told of it, whatever else runs here.
func (s *server) start(program string) (err error) {
	for _, folder := range []string{"data", "sidecar"} {
		if err := os.Mkdir(filepath.Join(s.dir, folder), 0o700); err != nil {
			return err
		}
	}
	if s.log, err = os.Create(filepath.Join(s.dir, "log")); err != nil {
		return err
	}
	socket := filepath.Join(s.dir, "socket")
	s.process = exec.Command(program, "--port", socket, "--access", Key, "--secret", Secret, "--region", "us-east-1", "--quiet",
		"posix", "--sidecar", filepath.Join(s.dir, "sidecar"), filepath.Join(s.dir, "data"))
	s.process.Stdout, s.process.Stderr = s.log, s.log
	if err := s.process.Start(); err != nil {
		return err
	}
	if err := s.await(socket); err != nil {
		return errors.Join(err, s.process.Process.Kill(), s.process.Wait())
	}
	if s.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return err
	}
	go s.forward(socket)
	return nil
}

// await returns when the server accepts connections. It does not say so itself.
func (s *server) await(socket string) error {
	const patience = time.Minute
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); <-tick.C {
		if conn, err := net.Dial("unix", socket); err == nil {
			return conn.Close()
		}
	}
	log, err := os.ReadFile(s.log.Name())
	return errors.Join(fmt.Errorf("it accepts no connection after %v:\n%s", patience, log), err)
}

// forward leads connections to the port to the socket.
func (s *server) forward(socket string) {
	for {
		in, err := s.listener.Accept()
		if err != nil {
			return // it was closed
		}
		out, err := net.Dial("unix", socket)
		if err != nil {
			_ = in.Close()
			continue
		}
		go pipe(in, out)
		go pipe(out, in)
	}
}

// pipe copies until either side ends, and then closes both.
func pipe(to, from net.Conn) {
	_, _ = io.Copy(to, from) // how it ends, the two ends see
	_ = to.Close()
	_ = from.Close()
}

func (s *server) stop() error {
	err := errors.Join(s.listener.Close(), s.process.Process.Signal(os.Interrupt))
	_ = s.process.Wait() // by the signal
	return errors.Join(err, s.log.Close(), os.RemoveAll(s.dir))
}
