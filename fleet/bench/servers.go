package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	cryptorand "crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cactuscon/saguarota/fleet"
	"github.com/cactuscon/saguarota/fleet/blob"
	"github.com/cactuscon/saguarota/fleet/httpapi"
	"github.com/cactuscon/saguarota/fleet/sqlstore"
	"github.com/cactuscon/saguarota/release"
)

// empty is the kind of server that does nothing but answer 304.
const empty = "empty handler"

// app is the application that boards poll.
const app = "badge"

// A server is a process that answers polls.
type server struct {
	kind    string
	address string // HOST:PORT
	secure  string // the same for HTTPS
	token   string // for its administration
	process *exec.Cmd
	input   io.Closer // the process ends when this is closed
}

// startServer starts a server of a kind with a database.
func startServer(ctx context.Context, kind, where string) (*server, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	s := &server{kind: kind, process: exec.CommandContext(ctx, program, "-child", kind, "-where", where)}
	s.process.Stderr = os.Stderr
	if s.input, err = s.process.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := s.process.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.process.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the server %s does not start: %w", kind, err), s.process.Wait())
	}
	if _, err := fmt.Sscan(line, &s.address, &s.secure, &s.token); err != nil {
		return nil, errors.Join(fmt.Errorf("the server %s says %q: %w", kind, line, err), s.stop())
	}
	return s, nil
}

func (s *server) stop() error { return errors.Join(s.input.Close(), s.process.Wait()) }

// memory returns the memory of the server's process that is in RAM now, and the most
// that ever was, in MB; 0 where the system does not tell.
func (s *server) memory() (now, most float64) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.process.Process.Pid))
	if err != nil {
		return 0, 0
	}
	read := func(name string) float64 {
		_, rest, ok := strings.Cut(string(data), "\n"+name+":")
		if !ok {
			return 0
		}
		kb, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
		if err != nil {
			return 0
		}
		return kb / 1024
	}
	return read("VmRSS"), read("VmHWM")
}

// serve is such a process: it answers until its standard input ends.
func serve(ctx context.Context, kind, where string) (err error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	handler := http.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotModified) }))
	token := "none"
	if kind != empty {
		store, err := sqlstore.Open(ctx, where)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, store.Close()) }()
		if err := setUp(ctx, store); err != nil {
			return err
		}
		blobs, err := blob.Open(os.TempDir()) // of which nothing is asked
		if err != nil {
			return err
		}
		s, err := httpapi.New(ctx, httpapi.Config{Store: store, Blobs: blobs, Now: time.Now, Jitter: rand.Float64, Log: log,
			// So many that they are counted, and nobody is refused.
			Limits: httpapi.Limits{Board: 1_000_000, Packs: 60, Refused: 60}})
		if err != nil {
			return err
		}
		if token, err = s.NewToken(ctx, fleet.Actor{Name: "bench", At: time.Now()}, "bench", fleet.ScopeAdmin, time.Time{}); err != nil {
			return err
		}
		var running sync.WaitGroup
		running.Go(func() { s.Run(ctx) })
		defer running.Wait() // before the store is closed
		defer stop()
		handler = s.Handler()
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	secure, err := listenTLS()
	if err != nil {
		return err
	}
	web := httpapi.NewHTTPServer(handler, log)
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = web.Close()
	}()
	fmt.Println(listener.Addr(), secure.Addr(), token)
	go func() { _ = web.Serve(secure) }() // until it is closed
	if err := web.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// setUp makes the application with one release, which its boards run.
func setUp(ctx context.Context, store fleet.Store) error {
	by := fleet.Actor{Name: "bench", At: time.Now()}
	key, err := release.GenerateKey(rand.NewChaCha8([32]byte{1}))
	if err != nil {
		return err
	}
	err = store.AddApp(ctx, by, fleet.App{
		Name: app, Root: &release.Keyset{App: app, Version: 1, Threshold: 1, Keys: []release.PublicKey{key.PublicKey()}},
		PollPeriod: fleet.DefaultPollPeriod, Enrolment: fleet.Enrolment{Secret: make([]byte, 32)},
	})
	if errors.Is(err, fleet.ErrExists) {
		return nil
	}
	if err != nil {
		return err
	}
	s := release.Statement{App: app, Version: 1, Keyset: 1, Manifest: release.PinOf([]byte("{}"))}
	doc, err := s.Document()
	if err != nil {
		return err
	}
	if err := store.AddRelease(ctx, by, &fleet.Release{Statement: s, Signed: doc.Bytes(), Published: by.At}, nil); err != nil {
		return err
	}
	return store.SetChannel(ctx, by, app, release.DefaultChannel, 1)
}

// listenTLS listens with a certificate of the kind that authorities give today.
func listenTLS() (net.Listener, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), cryptorand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().AddDate(1, 0, 0), DNSNames: []string{"localhost"}}
	der, err := x509.CreateCertificate(cryptorand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	return tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, MinVersion: tls.VersionTLS12})
}
