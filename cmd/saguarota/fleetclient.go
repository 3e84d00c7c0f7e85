package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/cactuscon/saguarota/fleet/httpapi/api"
)

// serverFlags say which fleet server a command speaks to.
type serverFlags struct {
	server string
	token  string
}

func (s *serverFlags) add(flags *pflag.FlagSet) {
	flags.StringVar(&s.server, "server", "", "URL of the fleet server; the variable SAGUAROTA_SERVER if it is not given")
	flags.StringVar(&s.token, "token-file", "", "file with the token; the variable SAGUAROTA_TOKEN has it if none is given")
}

// url returns the server's URL, without a slash at its end.
func (s *serverFlags) url() (string, error) {
	server := s.server
	if server == "" {
		server = os.Getenv("SAGUAROTA_SERVER")
	}
	if server == "" {
		return "", withHint(errors.New("it is not said which server"), "give its URL with --server, or in SAGUAROTA_SERVER")
	}
	u, err := url.Parse(server)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return "", withHint(fmt.Errorf("the server %q is no http or https URL", server), "give its URL, such as https://updates.example.com")
	}
	return strings.TrimRight(server, "/"), nil
}

// client returns a client of the server.
func (s *serverFlags) client() (*api.ClientWithResponses, error) {
	server, err := s.url()
	if err != nil {
		return nil, err
	}
	token := os.Getenv("SAGUAROTA_TOKEN")
	if s.token != "" {
		data, err := os.ReadFile(s.token)
		if err != nil {
			return nil, err
		}
		token = string(data)
	}
	if token = strings.TrimSpace(token); token == "" {
		return nil, withHint(errors.New("there is no token"), "set SAGUAROTA_TOKEN, or give a file with --token-file; the server printed the first one when it was started first; where it was lost: saguarota fleet token add NAME --scope admin --data DIR")
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error {
		return errors.New("the server redirects; give the URL that it really has") // and do not show it the token
	}}
	return api.NewClientWithResponses(server+api.Path, api.WithHTTPClient(client),
		api.WithRequestEditorFn(func(_ context.Context, r *http.Request) error {
			r.Header.Set("Authorization", "Bearer "+token)
			return nil
		}))
}

// a serverCommand does what a command does that speaks to a server.
type serverCommand func(ctx context.Context, client *api.ClientWithResponses, cmd *cobra.Command, args []string) error

// run returns f as the RunE of a command, which Ctrl-C ends.
func (s *serverFlags) run(f serverCommand) func(cmd *cobra.Command, args []string) error {
	return func(cmd *cobra.Command, args []string) error {
		client, err := s.client()
		if err != nil {
			return err
		}
		ctx, stop := interruptible(cmd)
		defer stop()
		return f(ctx, client, cmd, args)
	}
}

// interruptible returns the command's context, which Ctrl-C ends.
func interruptible(cmd *cobra.Command) (context.Context, context.CancelFunc) {
	return signal.NotifyContext(cmd.Context(), os.Interrupt)
}

// an answered is the answer to a call.
type answered interface {
	StatusCode() int
	ContentType() string
	GetBody() []byte
	GetJSONDefault() *api.Error
}

// done returns the error of a call, or what its answer says: nil if it succeeded.
func done(a answered, err error) error {
	var unreached *url.Error
	switch {
	case errors.As(err, &unreached):
		return withHint(fmt.Errorf("the server cannot be asked: %w", unreached.Err), "check its URL, and that it runs: saguarota fleet serve")
	case err != nil:
		return err
	case a.StatusCode() == http.StatusOK && !strings.Contains(a.ContentType(), "json"):
		return withHint(errors.New("what answers is no fleet server"), "check that its URL is that of a fleet server")
	case a.StatusCode()/100 == 2:
		return nil
	}
	e := a.GetJSONDefault()
	if e == nil {
		// By whom, says toHTTPS, or Go's own server at a port for HTTPS.
		if text := string(a.GetBody()); a.StatusCode() == http.StatusBadRequest && (strings.TrimSpace(text) == useHTTPS || strings.Contains(text, "HTTP request to an HTTPS server")) {
			return withHint(errors.New("the server takes calls by HTTPS only"), "give its URL with https:// and the port of that; the token that was just sent openly may have been read: replace it")
		}
		return withHint(fmt.Errorf("the server answers %d", a.StatusCode()), "check that its URL is that of a fleet server")
	}
	err = errors.New(e.Message)
	switch e.Error {
	case "unauthorized":
		err = withHint(err, "check SAGUAROTA_TOKEN")
	case "forbidden":
		err = withHint(err, "an admin can make a token with that scope: saguarota fleet token add")
	}
	return err
}
