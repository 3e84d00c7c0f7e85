package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"
	_ "time/tzdata" // maintenance windows have time zones, and not every system has a list

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/cactuscon/saguarota/fleet"
	"github.com/cactuscon/saguarota/fleet/blob"
	"github.com/cactuscon/saguarota/fleet/dashboard"
	"github.com/cactuscon/saguarota/fleet/httpapi"
	"github.com/cactuscon/saguarota/fleet/sqlstore"
	"github.com/cactuscon/saguarota/pack"
)

const fleetServeLong = `Serve releases to boards, and keep track of these.

Everything is kept in the folder that --data names: the database in fleet.db, the
files of releases in blobs/. What is missing is made. With --db and --blobs it can
be elsewhere: then any number of servers can do the same work, behind a load
balancer.

Where there is no token yet, one with the scope "admin" is made and printed, once.
The first line on standard output is "listening on http://HOST:PORT"; the log goes
to standard error. Ctrl-C stops the server, after what is under way.

With --tls-cert and --tls-key, or with --acme-domain, it speaks HTTPS. A certificate
from files is read again when they change, and on the signal HUP.

Every option can also be given as an environment variable (--data is
SAGUAROTA_FLEET_DATA), or as a line "data = DIR" in the file of --config. The
command line goes before the environment, and that before the file.`

const fleetServeExample = `  saguarota fleet serve --data /var/lib/saguarota
  saguarota fleet serve --data fleet --host 0.0.0.0 --tls-cert cert.pem --tls-key key.pem
  saguarota fleet serve --data fleet --host 0.0.0.0 --port 443 --http-port 80 --acme-domain updates.example.com
  saguarota fleet serve --db postgres://fleet@db/fleet --blobs 's3://releases?endpoint=https://s3.example.com'`

// fleetOptions are the options of a fleet server.
type fleetOptions struct {
	config    string
	data      string
	db        string
	blobs     string
	host      string
	port      uint16
	tls       tlsOptions
	maxBoards int
	maxConns  int
	packInput int64 // megabytes
	limits    httpapi.Limits
	proxies   []string

	webhooksLocal bool
}

func (o *fleetOptions) add(flags *pflag.FlagSet) {
	flags.StringVar(&o.config, "config", "", "file with options, as lines \"name = value\"")
	flags.StringVar(&o.data, "data", "", "folder for the database and the files of releases")
	flags.StringVar(&o.db, "db", "", "database: a file for SQLite, or postgres://USER@HOST/NAME; fleet.db in --data if it is not given")
	flags.StringVar(&o.blobs, "blobs", "", "files of releases: a folder, or s3://BUCKET/PREFIX?endpoint=URL; blobs in --data if it is not given")
	flags.StringVar(&o.host, "host", "localhost", "address to listen on; 0.0.0.0 is every address of this machine")
	flags.Uint16Var(&o.port, "port", 8080, "port to listen on; 0 takes a free one")
	o.tls.add(flags)
	flags.IntVar(&o.maxBoards, "max-boards-in-memory", httpapi.DefaultMaxBoards, "how many boards are kept in memory; others cost a query")
	flags.IntVar(&o.maxConns, "max-connections", httpapi.DefaultMaxConnections, "how many connections there are at once; one more waits until there is room")
	flags.Int64Var(&o.packInput, "max-pack-input", httpapi.DefaultMaxPackInput>>20, "of how many megabytes a pack is made at most: the old release, and what is new in the other one; for more, boards fetch files")
	const minute = "; the same number at once after a pause; 0: as many as come"
	flags.IntVar(&o.limits.Address, "limit-address", 0, "how many requests a minute an address may make"+minute)
	flags.IntVar(&o.limits.Board, "limit-board", 60, "how many polls a minute a board may make"+minute)
	flags.IntVar(&o.limits.Packs, "limit-packs", 60, "how many packs a minute are made for an address"+minute)
	flags.IntVar(&o.limits.Refused, "limit-refused", 60, "how many wrong tokens a minute an address may show"+minute)
	flags.StringSliceVar(&o.proxies, "proxy", nil, "networks of proxies before the server, such as 10.0.0.0/8, whose X-Forwarded-For is believed")
	flags.BoolVar(&o.webhooksLocal, "webhooks-local", false, "let webhooks lead to this machine itself, and to link-local addresses")
}

// maxPackInput is the most that makes sense: releases that are larger have no packs.
const maxPackInput = 2 * pack.MaxBytes >> 20

// completeDB fills in where the database is, and says if it can be none.
func (o *fleetOptions) completeDB() error {
	if o.db == "" && o.data != "" {
		o.db = filepath.Join(o.data, "fleet.db")
	}
	if err := sqlstore.CheckWhere(o.db); err != nil {
		return withHint(fmt.Errorf("--db: %w", err), "write it as postgres://USER@HOST/NAME?sslmode=…, or a file as ./NAME")
	}
	return nil
}

// complete fills in what follows from --data, and says what is missing.
func (o *fleetOptions) complete() error {
	if err := o.completeDB(); err != nil {
		return err
	}
	if o.blobs == "" && o.data != "" {
		o.blobs = filepath.Join(o.data, "blobs")
	}
	switch {
	case o.db == "" && o.blobs == "":
		return withHint(errors.New("it is not said where to keep the fleet"), "give a folder with --data DIR")
	case o.db == "":
		return withHint(errors.New("it is not said where the database is"), "give --db, or a folder for all with --data DIR")
	case o.blobs == "":
		return withHint(errors.New("it is not said where the files of releases are"), "give --blobs, or a folder for all with --data DIR")
	case min(o.limits.Address, o.limits.Board, o.limits.Packs, o.limits.Refused) < 0:
		return withHint(errors.New("a limit is below 0"), "give 0 to --limit-… for no limit")
	case o.maxBoards < 1:
		return withHint(fmt.Errorf("--max-boards-in-memory is %d", o.maxBoards), "give at least 1")
	case o.maxConns < 1:
		return withHint(fmt.Errorf("--max-connections is %d", o.maxConns), "give at least 1")
	case o.packInput < 1 || o.packInput > maxPackInput:
		return withHint(fmt.Errorf("--max-pack-input is %d", o.packInput), "give 1 to %d megabytes", maxPackInput)
	}
	if err := o.tls.complete(o.data); err != nil {
		return err
	}
	_, err := o.networks()
	return err
}

// where returns the options that name the database, for people.
func (o *fleetOptions) where() string {
	if o.data != "" && o.db == filepath.Join(o.data, "fleet.db") {
		return "--data " + o.data
	}
	return "--db '" + sqlstore.Redacted(o.db) + "'"
}

// networks returns the networks of --proxy.
func (o *fleetOptions) networks() ([]netip.Prefix, error) {
	var list []netip.Prefix
	for _, text := range o.proxies {
		network, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, withHint(fmt.Errorf("--proxy %q is no network", text), "write it as 10.0.0.0/8, or 10.0.0.7/32 for one address")
		}
		list = append(list, network)
	}
	return list, nil
}

// open opens the database and the blobs.
func (o *fleetOptions) open(ctx context.Context) (*sqlstore.Store, blob.Store, error) {
	if o.data != "" {
		if err := os.MkdirAll(o.data, 0o700); err != nil {
			return nil, nil, withHint(err, "choose another folder with --data")
		}
	}
	blobs, err := blob.Open(o.blobs)
	if err != nil {
		return nil, nil, withHint(err, "check --blobs")
	}
	store, err := sqlstore.Open(ctx, o.db)
	if err != nil {
		return nil, nil, withHint(err, "check --db, and that the database runs and can be reached")
	}
	return store, blobs, nil
}

func fleetServeCommand() *cobra.Command {
	var o fleetOptions
	cmd := &cobra.Command{
		Use:     "serve --data DIR",
		Short:   "Serve releases to boards, and keep track of these",
		Long:    fleetServeLong,
		Example: fleetServeExample,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := readSettings(cmd.Flags()); err != nil {
				return err
			}
			if err := o.complete(); err != nil {
				return err
			}
			return fleetServe(cmd, o)
		},
	}
	o.add(cmd.Flags())
	return cmd
}

// shutdownTimeout is how long requests under way may take when the server stops.
const shutdownTimeout = 15 * time.Second

func fleetServe(cmd *cobra.Command, o fleetOptions) (err error) {
	ctx, forget := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer forget()
	context.AfterFunc(ctx, forget) // whoever presses Ctrl-C twice does not want to wait
	log := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
	secured, err := o.tls.open(log)
	if err != nil {
		return err
	}
	proxies, err := o.networks()
	if err != nil {
		return err
	}
	store, blobs, err := o.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	server, err := httpapi.New(ctx, httpapi.Config{
		Store: store, Blobs: blobs, Now: time.Now, Jitter: rand.Float64, Log: log, MaxBoards: o.maxBoards,
		MaxPackInput: o.packInput << 20, MaxConnections: o.maxConns, Limits: o.limits, Proxies: proxies, WebhooksLocal: o.webhooksLocal,
	})
	if err != nil {
		return err
	}
	pages, err := dashboard.New(dashboard.Config{Server: server, Store: store, Now: time.Now, Log: log})
	if err != nil {
		return err
	}
	defer pages.Close()
	server.SetPages(pages)
	listener, err := listen(ctx, o.host, o.port)
	if err != nil {
		return err
	}
	port := listener.Addr().(*net.TCPAddr).Port
	scheme, handler := "http", server.Handler()
	webs := []web{{httpapi.NewHTTPServer(handler, log), listener}}
	if secured != nil {
		scheme = "https"
		webs[0].server.Handler = strict(handler)
		if o.tls.httpPort != 0 {
			open, err := listen(ctx, o.host, o.tls.httpPort)
			if err != nil {
				return errors.Join(err, listener.Close())
			}
			webs = append(webs, web{httpapi.NewHTTPServer(secured.challenges(toHTTPS(port)), log), open})
		}
		defer onHangup(secured.reread)()
	}
	webs[0].server.RegisterOnShutdown(pages.Close) // its streams have no end of their own
	for i, w := range webs {
		webs[i].listener = httpapi.LimitConnections(w.server, w.listener, o.maxConns)
	}
	if secured != nil {
		webs[0].listener = tls.NewListener(webs[0].listener, secured.config)
	}
	url := scheme + "://" + net.JoinHostPort(o.host, strconv.Itoa(port))
	if err := welcomeFleet(ctx, cmd.OutOrStdout(), url, o.where(), server, store); err != nil {
		for _, w := range webs {
			err = errors.Join(err, w.listener.Close())
		}
		return err
	}
	return serveUntil(ctx, server, webs)
}

// onHangup calls f whenever the process is told to read its files again, until what it returns
// is called.
func onHangup(f func()) (stop func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGHUP)
	go func() {
		for range signals {
			f()
		}
	}()
	return func() {
		signal.Stop(signals)
		close(signals)
	}
}

// a web is a server of HTTP, and where it listens.
type web struct {
	server   *http.Server
	listener net.Listener
}

// serveUntil serves until ctx ends, or one of the listeners fails, and then finishes what is
// under way.
func serveUntil(ctx context.Context, server *httpapi.Server, webs []web) error {
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	var done sync.WaitGroup
	done.Go(func() { server.Run(background) })
	done.Go(func() { server.RunWebhooks(background) })
	ctx, fail := context.WithCancel(ctx)
	defer fail()
	results := make(chan error)
	for _, w := range webs {
		stopped := make(chan error, 1)
		go func() {
			<-ctx.Done()
			last, cancel := context.WithTimeout(background, shutdownTimeout)
			defer cancel()
			stopped <- w.server.Shutdown(last)
		}()
		go func() {
			err := w.server.Serve(w.listener)
			if errors.Is(err, http.ErrServerClosed) {
				err = <-stopped
			}
			fail()
			results <- err
		}()
	}
	var err error
	for range webs {
		err = errors.Join(err, <-results)
	}
	stop()
	done.Wait()
	return err
}

// welcomeFleet says where the server is, and makes the first token, or says how to make one
// where people can do nothing. where are the options that name the database.
func welcomeFleet(ctx context.Context, w io.Writer, url, where string, server *httpapi.Server, store fleet.Store) error {
	text := fmt.Sprintf("listening on %s\nfor boards: %s/ota/APP/versions.json\nfor people: %s/\nfor programs: %s/api/openapi.json\n", url, url, url, url)
	tokens, err := store.Tokens(ctx)
	if err != nil {
		return err
	}
	if len(tokens) == 0 {
		secret, err := server.NewToken(ctx, fleet.Actor{Name: "start", At: time.Now()}, "first", fleet.ScopeAdmin, time.Time{})
		switch {
		case err == nil:
			text += fmt.Sprintf("\nThe first token, which allows everything. It is not shown again:\n\n    export SAGUAROTA_SERVER=%s\n    export SAGUAROTA_TOKEN=%s\n\n", url, secret)
		case !errors.Is(err, fleet.ErrExists): // then another server was faster
			return err
		}
	}
	if len(tokens) > 0 && !slices.ContainsFunc(tokens, func(t fleet.Token) bool { return t.Check(time.Now(), fleet.ScopeAdmin) == nil }) {
		text += "\nNo token with the scope admin is valid. To make one, where the database is:\n\n    saguarota fleet token add NAME --scope admin " + where + "\n\n"
	}
	_, err = io.WriteString(w, text+"Ctrl-C stops the server.\n")
	return err
}
