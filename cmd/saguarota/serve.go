package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/cactuscon/saguarota/devserver"
	"github.com/cactuscon/saguarota/manifest"
	"github.com/cactuscon/saguarota/release"
)

const serveLong = `Serve the folder SRC to boards while you work on it.

  /ota/versions.json   the manifest, always of the files as they are now
  /ota/PATH            the files of the release
  /ota/                listings, for boards with recurse_http_fs=True

With --key releases are signed as they are asked for, so that boards with
public_keys can be developed for; use another key than for boards in the field.
The statement is at /ota/versions.json.sig. --keysets SITE also serves the keysets
of a site, which then say who may sign.

Only what the manifest lists is served: files that the filters leave out and
links that lead out of SRC are "not found". This is a tool for your desk. It
speaks plain HTTP and lets everybody in who can reach it; for boards in the
field put the manifest and the files on an HTTPS server.

The first line on standard output is "listening on http://HOST:PORT". It is
written when connections are accepted, so a program that starts this one may
wait for it; with --port 0 it tells which port was free. Every request becomes
one line on standard error. Ctrl-C stops the server; downloads under way get a
few seconds to finish.`

const serveExample = `  saguarota serve src                    for programs on this machine
  saguarota serve src --host 0.0.0.0     for boards on the same network
  saguarota serve src --key dev.key      for boards that take signed releases only`

// serveOptions are the options of "serve".
type serveOptions struct {
	tree          treeFlags
	host          string
	port          uint16
	allowEmpty    bool
	exitWithStdin bool
	keys          []string
	app           string
	keysets       string
}

func serveCommand() *cobra.Command {
	var o serveOptions
	cmd := &cobra.Command{
		Use:     "serve SRC",
		Short:   "Serve a folder to boards while you work on it",
		Long:    serveLong,
		Example: serveExample,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return withHint(fmt.Errorf("serve takes one folder, not %d", len(args)), "type \"saguarota serve SRC\"")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return serve(cmd, args[0], o)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.host, "host", "localhost", "address to listen on; 0.0.0.0 is every address of this machine")
	flags.Uint16Var(&o.port, "port", 8000, "port to listen on; 0 takes a free one")
	flags.BoolVar(&o.allowEmpty, "allow-empty", false, "start although SRC has no file to serve yet")
	flags.StringArrayVar(&o.keys, "key", nil, "file with a private key to sign with; may be given several times")
	flags.StringVar(&o.app, "app", "", "name of the application in signed releases; the name of SRC if it is not given")
	flags.StringVar(&o.keysets, "keysets", "", "site whose keysets are served, too")
	flags.BoolVar(&o.exitWithStdin, "exit-with-stdin", false, "stop when standard input ends, as it does when the program that holds it dies")
	// For programs that run this one, such as saguarota.py3utils.
	if err := flags.MarkHidden("exit-with-stdin"); err != nil {
		panic(err) // only if the flag was not defined above
	}
	o.tree.add(flags)
	return cmd
}

// serve runs the server until it is told to stop.
func serve(cmd *cobra.Command, src string, o serveOptions) error {
	if err := checkFolder(src); err != nil {
		return err
	}
	options, err := o.tree.options()
	if err != nil {
		return err
	}
	key, err := o.tree.key()
	if err != nil {
		return err
	}
	stderr := cmd.ErrOrStderr()
	log := requestLog{w: stderr, fancy: isTerminal(stderr)}
	config := devserver.Config{
		Dir:            src,
		Options:        options,
		Key:            key,
		SignatureField: o.tree.signatureField,
		Indent:         o.tree.indent,
		Log:            log.print,
		Progress:       log.progress,
	}
	trusted, err := o.signWith(cmd, src, &config)
	if err != nil {
		return err
	}
	server, err := devserver.New(config)
	if err != nil {
		return err
	}

	ctx, forget := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer forget()
	// Whoever presses Ctrl-C a second time does not want to wait.
	context.AfterFunc(ctx, forget)
	if o.exitWithStdin {
		var stop context.CancelFunc
		ctx, stop = context.WithCancel(ctx)
		defer stop()
		stdin := cmd.InOrStdin()
		go func() {
			_, _ = io.Copy(io.Discard, stdin)
			stop()
		}()
	}

	m, err := server.Manifest(ctx)
	switch {
	case err != nil:
		fmt.Fprintf(stderr, "warning: there is no manifest until this is mended: %v\n", err)
	case len(m.Files) == 0 && !o.allowEmpty:
		return withHint(fmt.Errorf("no file in %s is part of a release", src),
			"files that end in %s are; name another folder, choose others with --ext, or give --allow-empty if they are still to come",
			strings.Join(options.Extensions, " "))
	}

	listener, err := listen(ctx, o.host, o.port)
	if err != nil {
		return err
	}
	w := welcome{src: src, host: o.host, port: listener.Addr().(*net.TCPAddr).Port, m: m, signed: key != nil, trusted: trusted}
	if anyAddress(o.host) {
		w.host, w.lan = listener.Addr().(*net.TCPAddr).IP.String(), lanAddresses(o.host)
	}
	if _, err := io.WriteString(cmd.OutOrStdout(), w.text()); err != nil {
		_ = listener.Close()
		return fmt.Errorf("write the start-up message: %w", err)
	}
	if err := server.Serve(ctx, listener); err != nil {
		return err
	}
	fmt.Fprintln(cmd.OutOrStdout(), "stopped")
	return nil
}

// signWith makes the server sign, if there are keys, and returns what boards need
// to know of these.
func (o *serveOptions) signWith(cmd *cobra.Command, src string, config *devserver.Config) (*release.Keyset, error) {
	if len(o.keys) == 0 {
		if o.app != "" || o.keysets != "" {
			return nil, withHint(errors.New("--app and --keysets are for signed releases, but there is no --key"), "give --key KEY, or leave them out")
		}
		return nil, nil
	}
	sign := signFlags{keys: o.keys}
	signers, err := sign.signers(cmd)
	if err != nil {
		return nil, err
	}
	trusted := &release.Keyset{App: o.app, Version: 1, Threshold: len(signers)}
	if trusted.App == "" {
		path, err := filepath.Abs(src)
		if err != nil {
			return nil, err
		}
		trusted.App = filepath.Base(path)
	}
	for _, s := range signers {
		trusted.Keys = append(trusted.Keys, s.PublicKey())
	}
	if o.keysets != "" {
		chain, err := release.ReadChain(cmd.Context(), release.Dir(o.keysets))
		if err == nil && len(chain) == 0 {
			err = fmt.Errorf("%w in %s", release.ErrNoKeysets, o.keysets)
		}
		if err != nil {
			return nil, explainKeys(err)
		}
		for _, link := range chain {
			config.Keysets = append(config.Keysets, link.Document.Bytes())
		}
		last := chain[len(chain)-1]
		if err := last.CheckSigners(trusted.App, signers); err != nil {
			return nil, explainKeys(err)
		}
		trusted = last.Keyset
	}
	if err := trusted.Check(); err != nil {
		return nil, withHint(err, "give the application another name with --app")
	}
	config.Sign = func(ctx context.Context, encoded []byte, version int64) ([]byte, error) {
		s := release.Statement{App: trusted.App, Version: version, Manifest: release.PinOf(encoded), Keyset: trusted.Version}
		doc, err := s.Document()
		if err != nil {
			return nil, err
		}
		for _, signer := range signers {
			if err := doc.Sign(ctx, signer); err != nil {
				return nil, err
			}
		}
		return doc.Bytes(), nil
	}
	return trusted, nil
}

// checkFolder explains what is wrong with a path that should be a folder's.
func checkFolder(src string) error {
	info, err := os.Stat(src)
	if err == nil && !info.IsDir() {
		err = &fs.PathError{Op: "open", Path: src, Err: errors.New("not a folder")}
	}
	if err != nil {
		return withHint(err, "give the folder that holds the files of the release")
	}
	return nil
}

// listen opens the port, and says what to do where that fails.
func listen(ctx context.Context, host string, port uint16) (net.Listener, error) {
	network := "tcp"
	if host == "0.0.0.0" {
		network = "tcp4" // else it would be IPv6 as well
	}
	listener, err := new(net.ListenConfig).Listen(ctx, network, net.JoinHostPort(host, strconv.Itoa(int(port))))
	var unknown *net.DNSError
	switch {
	case err == nil:
		return listener, nil
	case isErrno(err, syscall.EADDRINUSE, 10048):
		return nil, withHint(fmt.Errorf("port %d of %s is taken by another program", port, host),
			"choose another port with --port, or any free one with --port 0")
	case isErrno(err, syscall.EADDRNOTAVAIL, 10049):
		return nil, withHint(fmt.Errorf("%s is no address of this machine", host),
			"--host 0.0.0.0 is all of its addresses")
	case errors.As(err, &unknown):
		return nil, withHint(fmt.Errorf("the host name %s is not known", host),
			"give a name or an address of this machine with --host; 0.0.0.0 is all of its addresses")
	case errors.Is(err, fs.ErrPermission):
		return nil, withHint(fmt.Errorf("this user may not open port %d", port), "choose one above 1023 with --port")
	}
	return nil, err
}

// isErrno reports whether err is the given system error, which on Windows is a
// number of Winsock's.
func isErrno(err error, unix, winsock syscall.Errno) bool {
	return errors.Is(err, unix) || runtime.GOOS == "windows" && errors.Is(err, winsock)
}

// anyAddress reports whether a host means every address of the machine.
func anyAddress(host string) bool {
	ip := net.ParseIP(host)
	return host == "" || ip != nil && ip.IsUnspecified()
}

// lanAddresses returns the addresses of this machine at which boards may reach
// a server that listens on host, which is every address.
func lanAddresses(host string) []string {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil // the message does without
	}
	var list []string
	for _, a := range addrs {
		n, ok := a.(*net.IPNet)
		if ok && n.IP.IsGlobalUnicast() && (n.IP.To4() != nil || host != "0.0.0.0") {
			list = append(list, n.IP.String())
		}
	}
	return list
}

// welcome is what the start-up message tells.
type welcome struct {
	src    string
	host   string
	port   int
	lan    []string           // addresses for boards, where host is every address
	m      *manifest.Manifest // nil: it could not be built
	signed bool
	// what boards must trust, where releases are signed with public keys
	trusted *release.Keyset
}

// text returns the message. Its first line is for programs and must stay as it is.
func (w welcome) text() string {
	var b strings.Builder
	base := func(host string) string { return "http://" + net.JoinHostPort(host, strconv.Itoa(w.port)) }
	fmt.Fprintf(&b, "listening on %s\n", base(w.host))
	hosts := w.lan
	if len(hosts) == 0 {
		hosts = []string{w.host}
	}
	for _, h := range hosts {
		fmt.Fprintf(&b, "Manifest URL: %s/ota/versions.json\n", base(h))
	}
	if w.m != nil {
		fmt.Fprintf(&b, "Serving %s: %s, version %d\n", w.src, plural(len(w.m.Files), "file"), w.m.Version)
	}
	if ip := net.ParseIP(w.host); w.host == "localhost" || ip != nil && ip.IsLoopback() {
		fmt.Fprintf(&b, "Only programs on this machine can reach %s; for boards add --host 0.0.0.0\n", w.host)
	}
	fmt.Fprintf(&b, "\nOn the board:\n\n    from saguarota import OTAUpdater\n    ota = OTAUpdater(\n")
	fmt.Fprintf(&b, "        manifest_url=\"%s/ota/versions.json\",\n", base(hosts[0]))
	fmt.Fprintf(&b, "        base_file_url=\"%s/ota/\",\n", base(hosts[0]))
	if w.signed {
		b.WriteString("        manifest_auth_key=\"...\",  # the key that this server signs with\n")
		if w.m != nil && w.m.SignatureField != manifest.DefaultSignatureField {
			fmt.Fprintf(&b, "        manifest_signature_field=%q,\n", w.m.SignatureField)
		}
	}
	if k := w.trusted; k != nil {
		var keys []string
		for _, key := range k.Keys {
			keys = append(keys, strconv.Quote(key.String()))
		}
		fmt.Fprintf(&b, "        app=%q,\n        public_keys=[%s],\n", k.App, strings.Join(keys, ", "))
		if k.Threshold > 1 {
			fmt.Fprintf(&b, "        threshold=%d,\n", k.Threshold)
		}
		if k.Version > 1 {
			fmt.Fprintf(&b, "        keyset=%d,\n", k.Version)
		}
	}
	b.WriteString("    )\n    ota.check_and_perform_ota()\n\nCtrl-C stops the server.\n")
	return b.String()
}

// isTerminal reports whether somebody reads what is written to w as it comes.
func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&fs.ModeCharDevice != 0
}

// requestLog prints a line for each event: to a terminal in columns that grow
// to what they have to hold, with failures in colour; elsewhere as plain text.
type requestLog struct {
	w     io.Writer
	fancy bool

	who, what int // widths of the columns
	live      int // width of the line that shows a download, 0 if there is none
}

// progress shows how far a board is, on a terminal, in a line that stays the last.
// Where several boards download, it shows the one that got on last.
func (l *requestLog) progress(p devserver.Progress) {
	if !l.fancy {
		return
	}
	line := p.String()
	fmt.Fprintf(l.w, "\r%-*s", l.live, line)
	l.live = len(line)
}

func (l *requestLog) print(e devserver.Event) {
	if !l.fancy {
		fmt.Fprintln(l.w, e)
		return
	}
	if l.live > 0 {
		fmt.Fprintf(l.w, "\r%*s\r", l.live, "")
		l.live = 0
	}
	who := strings.TrimSuffix(e.Remote+"  "+e.Board, "  ")
	what := e.Method + " " + e.Path
	if e.Method == "" {
		fmt.Fprintf(l.w, "%s  %s\n", e.Time.Format("15:04:05"), strings.TrimPrefix(who+"  "+e.Note, "  "))
		return
	}
	// A single long path must not push all later lines off the screen.
	l.who, l.what = max(l.who, min(len(who), 32)), max(l.what, min(len(what), 40))
	status := strconv.Itoa(e.Status)
	if e.Status >= 400 && colours() {
		status = "\x1b[31m" + status + "\x1b[0m"
	}
	line := fmt.Sprintf("%s  %-*s  %-*s  %s  %9s  %7s  %s", e.Time.Format("15:04:05"), l.who, who, l.what, what,
		status, devserver.FormatBytes(e.Bytes), devserver.FormatDuration(e.Duration), e.Note)
	fmt.Fprintln(l.w, strings.TrimRight(line, " "))
}

// colours reports whether the terminal takes colours, as far as can be told:
// Windows' older ones would print the codes.
func colours() bool {
	return os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && runtime.GOOS != "windows"
}
