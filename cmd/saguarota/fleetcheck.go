package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/cactuscon/saguarota/fleet/sqlstore"
)

const fleetCheckLong = `Check the configuration of a fleet server, and what it needs.

The options are those of "saguarota fleet serve". The database and the files of
releases are opened as the server would, so what is missing is made, too; and its
ports are opened for a moment. That the server itself runs meanwhile is no fault.`

func fleetCheckCommand() *cobra.Command {
	var o fleetOptions
	cmd := &cobra.Command{
		Use:   "check --data DIR",
		Short: "Check the configuration of a fleet server",
		Long:  fleetCheckLong,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := readSettings(cmd.Flags()); err != nil {
				return err
			}
			if err := o.complete(); err != nil {
				return err
			}
			return fleetCheck(cmd, o)
		},
	}
	o.add(cmd.Flags())
	return cmd
}

func fleetCheck(cmd *cobra.Command, o fleetOptions) (err error) {
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt)
	defer stop()
	certificate, err := o.tls.check(ctx)
	if err != nil {
		return err
	}
	store, blobs, err := o.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	if err := blobs.Ping(ctx); err != nil {
		return withHint(err, "check --blobs, and that this user may write there")
	}
	apps, err := store.Apps(ctx)
	if err != nil {
		return err
	}
	address, err := o.checkPorts(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "database: %s\nfiles: %s\n%saddress: %s\n%s\n", sqlstore.Redacted(o.db), blobs, certificate, address, plural(len(apps), "application"))
	if len(apps) == 0 {
		fmt.Fprintln(cmd.OutOrStdout(), "There is no application yet: saguarota fleet app add NAME --pub KEY")
	}
	return nil
}

// checkPorts returns where the server would be, and fails where it cannot be.
func (o *fleetOptions) checkPorts(ctx context.Context) (string, error) {
	scheme := "http"
	if o.tls.on() {
		scheme = "https"
	}
	address := fmt.Sprintf("%s://%s", scheme, net.JoinHostPort(o.host, strconv.Itoa(int(o.port))))
	runs, err := o.checkPort(ctx, address, o.port)
	if err == nil && o.tls.httpPort != 0 && !runs {
		if _, err = o.checkPort(ctx, "", o.tls.httpPort); err != nil {
			err = withHint(fmt.Errorf("--http-port: %w", err), "choose another one, or leave it out")
		}
	}
	if o.port == 0 {
		address = fmt.Sprintf("%s://%s, at any port that is free", scheme, o.host)
	}
	if runs {
		address += ", where a fleet server runs now"
	}
	return address, err
}

// checkPort reports whether a port can be opened; runs is set if it cannot because a fleet
// server has it, whose URL is the given one.
func (o *fleetOptions) checkPort(ctx context.Context, url string, port uint16) (runs bool, err error) {
	l, err := listen(ctx, o.host, port)
	switch {
	case err == nil:
		return false, l.Close()
	case url != "" && isFleet(ctx, url):
		return true, nil
	}
	return false, err
}

// isFleet reports whether a fleet server answers at a URL.
func isFleet(ctx context.Context, url string) bool {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/api/openapi.json", nil)
	if err != nil {
		return false
	}
	// Whoever it is, he is told nothing; his certificate may be for other names.
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	var document struct{ Info struct{ Title string } }
	err = json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&document)
	return err == nil && document.Info.Title == "SaguarOTA fleet"
}
