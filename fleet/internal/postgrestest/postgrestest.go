// Package postgrestest runs a real PostgreSQL for tests: one server for each test
// program, on a socket in a folder of its own, and one database for each test.
//
// The programs initdb and postgres are those that "make services" has put into
// .tools/postgresql.
package postgrestest

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"

	"github.com/cactuscon/saguarota/fleet/internal/toolsdir"
)

// A Server is a running PostgreSQL.
type Server struct {
	dir     string // with its data and its socket
	process *exec.Cmd
	drained chan struct{} // closed when its log has ended
}

var (
	start  = sync.OnceValues(func() (*Server, error) { return Start() })
	number atomic.Int64
	asked  atomic.Bool
)

// Main runs the tests of a package and then stops the server, if a test has asked
// for it. It returns the exit status for os.Exit.
func Main(m *testing.M) int {
	status := m.Run()
	if asked.Load() {
		if s, err := start(); err == nil {
			if err := s.Stop(); err != nil {
				fmt.Fprintln(os.Stderr, "stop PostgreSQL:", err)
				return 1
			}
		}
	}
	return status
}

// New returns the URL of an empty database on the server of this test program.
// TestMain has to call Main.
func New(t testing.TB) string {
	t.Helper()
	asked.Store(true)
	s, err := start()
	if err != nil {
		t.Fatalf("start PostgreSQL: %v", err)
	}
	db, err := sql.Open("pgx", s.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	name := fmt.Sprint("test", number.Add(1))
	if _, err := db.ExecContext(t.Context(), "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	return s.URL(name)
}

// Start starts a server, with settings such as "fsync=on" beside those of tests.
func Start(settings ...string) (*Server, error) {
	dir, err := os.MkdirTemp("", "pg")
	if err != nil {
		return nil, err
	}
	s := &Server{dir: dir}
	if err := s.start(settings); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return s, nil
}

// URL returns the URL of one of the server's databases.
func (s *Server) URL(database string) string {
	options := url.Values{"host": {s.dir}, "user": {"fleet"}}
	return "postgres:///" + database + "?" + options.Encode()
}

func (s *Server) start(settings []string) error {
	initdb, err := toolsdir.Find("postgresql/bin/initdb")
	if err != nil {
		return err
	}
	run := asOrdinaryUser(s.dir)
	data := filepath.Join(s.dir, "data")
	create := exec.Command(initdb, "-D", data, "-N", "-A", "trust", "-U", "fleet", "-E", "UTF8", "--locale=C")
	if err := run(create); err != nil {
		return err
	}
	if out, err := create.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	// What is lost when the machine goes down is a test's. No step of it goes to the
	// network.
	s.process = exec.Command(filepath.Join(filepath.Dir(initdb), "postgres"), "-D", data, "-k", s.dir, "-h", "",
		"-c", "fsync=off", "-c", "full_page_writes=off", "-c", "jit=off", "-c", "max_connections=200", "-c", "shared_buffers=64MB")
	for _, setting := range settings {
		s.process.Args = append(s.process.Args, "-c", setting)
	}
	if err := run(s.process); err != nil {
		return err
	}
	return s.launch()
}

// launch starts the process and waits until it accepts connections.
func (s *Server) launch() error {
	log, err := s.process.StderrPipe()
	if err != nil {
		return err
	}
	if err := s.process.Start(); err != nil {
		return err
	}
	ready := make(chan error, 1)
	s.drained = make(chan struct{})
	go func() {
		defer close(s.drained)
		var seen strings.Builder
		lines := bufio.NewScanner(log)
		for lines.Scan() {
			seen.WriteString(lines.Text() + "\n")
			if strings.Contains(lines.Text(), "ready to accept connections") {
				ready <- nil
				_, _ = io.Copy(io.Discard, log)
				return
			}
		}
		ready <- fmt.Errorf("postgres ended:\n%s", seen.String())
	}()
	if err := <-ready; err != nil {
		return errors.Join(err, s.process.Wait())
	}
	return nil
}

// Kill stops the server as a power cut does; Restart starts it again.
func (s *Server) Kill() error {
	// SIGQUIT: the server's children would survive a SIGKILL, and hold its memory.
	if err := s.process.Process.Signal(syscall.SIGQUIT); err != nil {
		return err
	}
	<-s.drained
	_ = s.process.Wait() // by the signal
	return nil
}

// Restart starts a killed server again.
func (s *Server) Restart() error {
	next := exec.Command(s.process.Path, s.process.Args[1:]...)
	next.SysProcAttr = s.process.SysProcAttr
	s.process = next
	return s.launch()
}

// Stop ends the server and removes its folder.
func (s *Server) Stop() error {
	err := s.process.Process.Signal(syscall.SIGINT) // it closes its connections
	if err == nil {
		<-s.drained
		err = s.process.Wait()
	}
	return errors.Join(err, os.RemoveAll(s.dir))
}

// works reports whether a command that does nothing can be run in a certain way.
func works(run func(*exec.Cmd) error) bool {
	cmd := exec.CommandContext(context.Background(), "true")
	return run(cmd) == nil && cmd.Run() == nil
}
