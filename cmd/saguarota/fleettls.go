package main

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"

	"github.com/cactuscon/saguarota/fleet/ca"
)

// tlsOptions say how a fleet server speaks HTTPS: with a certificate from files, with one
// that it gets by ACME, or not at all.
type tlsOptions struct {
	cert, key string
	names     []string // by which it is to be called; only "fleet check" looks

	domains   []string
	email     string
	directory string
	cache     string
	authority string

	httpPort uint16
}

func (o *tlsOptions) add(flags *pflag.FlagSet) {
	flags.StringVar(&o.cert, "tls-cert", "", "file with the certificate, for HTTPS, and those between it and its root; a new one is taken without a restart")
	flags.StringVar(&o.key, "tls-key", "", "file with the certificate's private key")
	flags.StringSliceVar(&o.names, "tls-name", nil, "names that boards call the server by; fleet check says if the certificate is not for them")
	flags.StringSliceVar(&o.domains, "acme-domain", nil, "host name for which to get a certificate by ACME, from Let's Encrypt if nothing else is said")
	flags.StringVar(&o.email, "acme-email", "", "whom the authority writes to")
	flags.StringVar(&o.directory, "acme-directory", autocert.DefaultACMEDirectory, "URL of the ACME server")
	flags.StringVar(&o.authority, "acme-root", "", "file with the root of the ACME server's own certificate, where that is a private one")
	flags.StringVar(&o.cache, "acme-cache", "", "folder for certificates; acme in --data if it is not given")
	flags.Uint16Var(&o.httpPort, "http-port", 0, "port on which to lead from HTTP to HTTPS, and to prove to an ACME server who this is; 0: none")
}

// on reports whether there is to be HTTPS.
func (o *tlsOptions) on() bool { return o.cert != "" || len(o.domains) > 0 }

// complete fills in what follows from --data, and says what does not fit together.
func (o *tlsOptions) complete(data string) error {
	if o.cache == "" && data != "" {
		o.cache = filepath.Join(data, "acme")
	}
	switch {
	case (o.cert == "") != (o.key == ""):
		return withHint(errors.New("HTTPS takes both a certificate and its key"), "give --tls-cert and --tls-key, or neither")
	case o.cert != "" && len(o.domains) > 0:
		return withHint(errors.New("the certificate comes from a file or by ACME, not both"), "leave out --tls-cert and --tls-key, or --acme-domain")
	case len(o.domains) > 0 && o.cache == "":
		return withHint(errors.New("it is not said where to keep certificates"), "give a folder with --acme-cache")
	case o.httpPort != 0 && !o.on():
		return withHint(errors.New("--http-port leads to HTTPS, which is off"), "give --tls-cert and --tls-key, or --acme-domain; for HTTP alone, --port")
	}
	for _, domain := range o.domains {
		if net.ParseIP(domain) != nil || !strings.Contains(domain, ".") || strings.Contains(domain, "*") {
			return withHint(fmt.Errorf("--acme-domain %q is no full host name", domain), "ACME takes names such as updates.example.com; for others there is: saguarota fleet ca")
		}
	}
	if u, err := url.Parse(o.directory); len(o.domains) > 0 && (err != nil || u.Scheme != "https" || u.Host == "") {
		return withHint(fmt.Errorf("the ACME server %q is no https URL", o.directory), "give the URL of its directory with --acme-directory")
	}
	return nil
}

// a secured is how a server speaks HTTPS.
type secured struct {
	config     *tls.Config
	challenges func(http.Handler) http.Handler // answers what an ACME server asks by HTTP, and leaves the rest to another
	reread     func()                          // looks for a new certificate now
}

// open returns how to speak HTTPS, nil if not at all.
func (o *tlsOptions) open(log *slog.Logger) (*secured, error) {
	s := &secured{
		config:     &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}},
		challenges: func(next http.Handler) http.Handler { return next },
		reread:     func() {},
	}
	switch {
	case o.cert != "":
		files := &certFiles{cert: o.cert, key: o.key, now: time.Now, log: log}
		if err := files.load(); err != nil {
			return nil, err
		}
		if problems := checkPair(files.pair, o.names, time.Now()); problems != nil {
			log.Warn("boards may not take the certificate", "file", o.cert, "error", &listed{problems})
		}
		s.config.GetCertificate, s.reread = files.get, files.reread
		return s, nil
	case len(o.domains) > 0:
		manager, err := o.manager()
		if err != nil {
			return nil, err
		}
		s.config.NextProtos = append(s.config.NextProtos, acme.ALPNProto)
		s.config.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			if hello.ServerName == "" { // who calls it by its address
				named := *hello
				named.ServerName = o.domains[0]
				hello = &named
			}
			c, err := manager.GetCertificate(hello)
			if err != nil {
				log.Warn("there is no certificate", "name", hello.ServerName, "error", err)
			}
			return c, err
		}
		s.challenges = func(next http.Handler) http.Handler {
			inner := manager.HTTPHandler(next)
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if name, _, err := net.SplitHostPort(r.Host); err == nil {
					r.Host = name // a name with a port is none of its
				}
				inner.ServeHTTP(w, r)
			})
		}
		return s, nil
	}
	return nil, nil
}

// manager returns what gets certificates by ACME.
func (o *tlsOptions) manager() (*autocert.Manager, error) {
	client := &acme.Client{DirectoryURL: o.directory, UserAgent: "saguarota/" + version}
	if o.authority != "" {
		roots, err := readRoots(o.authority, x509.NewCertPool())
		if err != nil {
			return nil, err
		}
		client.HTTPClient = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	}
	if err := os.MkdirAll(o.cache, 0o700); err != nil {
		return nil, withHint(err, "choose another folder with --acme-cache")
	}
	return &autocert.Manager{
		Prompt: autocert.AcceptTOS, Email: o.email, Client: client,
		Cache: autocert.DirCache(o.cache), HostPolicy: autocert.HostWhitelist(o.domains...),
	}, nil
}

// readRoots adds the certificates of a file to those that are trusted.
func readRoots(file string, roots *x509.CertPool) (*x509.CertPool, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	if !roots.AppendCertsFromPEM(data) {
		return nil, withHint(fmt.Errorf("there is no certificate in %s", file), "it has to be PEM, as ca.pem of saguarota fleet ca")
	}
	return roots, nil
}

// trustRoot makes all commands trust servers with a certificate of a private authority, too,
// whose root is in the file. "" is none.
func trustRoot(file string) error {
	if file == "" {
		return nil
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool() // a system without
	}
	if roots, err = readRoots(file, roots); err != nil {
		return fmt.Errorf("SAGUAROTA_CA: %w", err)
	}
	usual, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return errors.New("SAGUAROTA_CA: there is no transport to change")
	}
	usual.TLSClientConfig = &tls.Config{RootCAs: roots}
	return nil
}

// certFiles are a certificate and its key in files, which are read again where they have
// changed: at a handshake, if nobody looked within the last second.
type certFiles struct {
	cert, key string
	now       func() time.Time
	log       *slog.Logger

	mu     sync.Mutex
	pair   *tls.Certificate
	stamp  string // of what was read last, good or not
	looked time.Time
}

// get returns the certificate, for tls.Config.
func (f *certFiles) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now := f.now(); now.Sub(f.looked) >= time.Second || now.Before(f.looked) {
		f.looked = now
		if f.stampNow() != f.stamp {
			f.reload()
		}
	}
	return f.pair, nil
}

// reread reads the files whether or not they seem to have changed.
func (f *certFiles) reread() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reload()
}

// reload reads the files, and keeps what it has where they are no good.
func (f *certFiles) reload() {
	if err := f.read(); err != nil {
		f.log.Error("the certificate stays, since the new one is no good", "error", err)
		return
	}
	f.log.Info("a new certificate", "names", strings.Join(ca.Names(f.pair.Leaf), ", "), "until", day(f.pair.Leaf))
}

// load reads the files for the first time.
func (f *certFiles) load() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.read()
}

func (f *certFiles) read() error {
	// What is written while it is read is another stamp's.
	f.stamp = f.stampNow()
	pair, err := tls.LoadX509KeyPair(f.cert, f.key)
	if err != nil {
		return withHint(fmt.Errorf("the certificate: %w", err), "both files have to be PEM, and the key that of the certificate")
	}
	f.pair = &pair
	return nil
}

// stampNow tells whether the files have changed.
func (f *certFiles) stampNow() string {
	var b strings.Builder
	for _, name := range []string{f.cert, f.key} {
		if info, err := os.Stat(name); err == nil {
			fmt.Fprint(&b, info.Size(), " ", info.ModTime().UnixNano(), ";")
		}
	}
	return b.String()
}

// soon is how long before it expires one is told of a certificate.
const soon = 30 * 24 * time.Hour

// checkPair returns what is wrong with a certificate, for a server that is to be called by
// the names.
func checkPair(pair *tls.Certificate, names []string, now time.Time) []error {
	leaf := pair.Leaf
	var problems []error
	add := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	switch left := leaf.NotAfter.Sub(now); {
	case left <= 0:
		add("it has expired on %s", day(leaf))
	case left < soon:
		add("it expires on %s, in %s", day(leaf), plural(int(left/(24*time.Hour)), "day"))
	}
	if leaf.NotBefore.After(now) {
		add("it is valid from %s on, not now", leaf.NotBefore.Format(time.DateOnly))
	}
	if len(ca.Names(leaf)) == 0 {
		add("it is for no name at all (its common name does not count)")
	}
	for _, name := range names {
		if err := leaf.VerifyHostname(name); err != nil {
			add("it is not for %s, but for %s", name, strings.Join(ca.Names(leaf), ", "))
		}
	}
	if leaf.IsCA {
		add("it is an authority's, not a server's")
	}
	if _, ok := leaf.PublicKey.(ed25519.PublicKey); ok {
		add("its key is Ed25519, which the TLS of boards does not know; ECDSA P-256 is best")
	}
	cert := leaf
	for i, der := range pair.Certificate[1:] {
		next, err := x509.ParseCertificate(der)
		if err == nil {
			err = cert.CheckSignatureFrom(next)
		}
		if err != nil {
			add("number %d in its file has not issued the one before it: %w", i+2, err)
			break
		}
		cert = next
	}
	return problems
}

// check returns what there is to tell of the certificate, and fails where boards could not
// reach the server.
func (o *tlsOptions) check(ctx context.Context) (string, error) {
	switch {
	case len(o.domains) > 0:
		manager, err := o.manager()
		if err != nil {
			return "", err
		}
		if _, err := manager.Client.Discover(ctx); err != nil {
			return "", withHint(fmt.Errorf("the ACME server %s: %w", o.directory, err), "check --acme-directory and --acme-root, and that this machine may reach it")
		}
		return fmt.Sprintf("certificate: by ACME from %s, for %s\n", o.directory, strings.Join(o.domains, ", ")), nil
	case o.cert == "":
		return "", nil
	}
	files := &certFiles{cert: o.cert, key: o.key}
	if err := files.load(); err != nil {
		return "", err
	}
	problems := checkPair(files.pair, o.names, time.Now())
	if info, err := os.Stat(o.key); err == nil && runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		problems = append(problems, fmt.Errorf("its key %s can be read by others (mode %o)", o.key, info.Mode().Perm()))
	}
	if err := errors.Join(problems...); err != nil {
		return "", withHint(fmt.Errorf("the certificate %s: %w", o.cert, &listed{problems}), "a private authority makes and renews them: saguarota fleet ca")
	}
	return fmt.Sprintf("certificate: for %s, until %s\n", strings.Join(ca.Names(files.pair.Leaf), ", "), day(files.pair.Leaf)), nil
}

// listed is several errors on one line.
type listed struct{ errs []error }

func (l *listed) Error() string {
	var texts []string
	for _, err := range l.errs {
		texts = append(texts, err.Error())
	}
	return strings.Join(texts, "; ")
}

func (l *listed) Unwrap() []error { return l.errs }

// strict tells browsers to come by HTTPS only, for a year.
func strict(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Strict-Transport-Security", "max-age=31536000")
		next.ServeHTTP(w, r)
	})
}

// useHTTPS is what toHTTPS says of a call, by which commands know it.
const useHTTPS = "use https"

// toHTTPS leads who asks by HTTP to the same path by HTTPS. What is more than a question is
// refused: it should not have been sent openly, and would be sent again.
func toHTTPS(port int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
		host = strings.Trim(host, "[]")
		if r.Method != http.MethodGet && r.Method != http.MethodHead || host == "" || strings.HasPrefix(r.URL.Path, "/api/") {
			w.Header().Set("Connection", "close") // whatever follows is not wanted
			http.Error(w, useHTTPS, http.StatusBadRequest)
			return
		}
		at := net.JoinHostPort(host, strconv.Itoa(port))
		if port == 443 {
			at = host
			if strings.Contains(host, ":") {
				at = "[" + host + "]"
			}
		}
		w.Header().Set("Location", (&url.URL{Scheme: "https", Host: at, Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery}).String())
		w.WriteHeader(http.StatusMovedPermanently)
	})
}
