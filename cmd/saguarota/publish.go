package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/cactuscon/saguarota/fleet/httpapi/api"
	"github.com/cactuscon/saguarota/manifest"
	"github.com/cactuscon/saguarota/release"
)

const publishLong = `Upload a release to a fleet server.

SITE is what "saguarota build" made, signed. The server checks all of it as a board
does, against the public keys that the application was registered with, and refuses
what is not newer than what it has.

With --channel all boards that follow the channel are offered the release at once.
Without it nobody is: "saguarota rollout start" brings it to them step by step.`

const publishExample = `  saguarota publish site --server https://updates.example.com
  saguarota publish site --channel beta`

func publishCommand() *cobra.Command {
	var s serverFlags
	var channel string
	var step bool
	cmd := &cobra.Command{
		Use:     "publish SITE",
		Short:   "Upload a release to a fleet server",
		Long:    publishLong,
		Example: publishExample,
		Args:    oneArgument("site", "saguarota publish SITE"),
		RunE: s.run(func(ctx context.Context, client *api.ClientWithResponses, cmd *cobra.Command, args []string) error {
			return publish(ctx, cmd, client, args[0], channel, step)
		}),
	}
	s.add(cmd.Flags())
	cmd.Flags().StringVar(&channel, "channel", "", "give the release to all boards that follow this channel, at once")
	cmd.Flags().BoolVar(&step, "step-through", false, "no board gets past this release without having run it")
	return cmd
}

func publish(ctx context.Context, cmd *cobra.Command, client *api.ClientWithResponses, site, channel string, step bool) error {
	src, err := release.OpenSource(site)
	if err != nil {
		return err
	}
	statement, doc, err := release.SiteStatement(ctx, src)
	if errors.Is(err, fs.ErrNotExist) {
		return withHint(fmt.Errorf("%s is no signed release: %w", site, err), "make one with: saguarota build SRC -o %s --key KEY", site)
	}
	if err != nil {
		return err
	}
	m, encoded, err := release.SiteManifest(ctx, src, "")
	if err != nil {
		return err
	}
	chain, err := release.ReadChain(ctx, src)
	if err != nil {
		return err
	}
	p := api.Publication{Statement: string(doc.Bytes()), Manifest: string(encoded), Keysets: []string{}, StepThrough: &step}
	for _, link := range chain {
		p.Keysets = append(p.Keysets, string(link.Document.Bytes()))
	}
	// The server may have a file as it should be, and this one be another.
	for _, f := range m.Files {
		if _, err := checkedFile(ctx, src, f.Path, f.SHA256); err != nil {
			return err
		}
	}
	uploaded, err := send(ctx, client, src, statement.App, m, p)
	if err != nil {
		return fmt.Errorf("publish %s: %w", site, err)
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s version %d: published; %s, of which %d were new to the server\n", statement.App, statement.Version, plural(len(m.Files), "file"), uploaded)
	return offer(ctx, cmd, client, statement, channel)
}

// send uploads those files of a release that the server does not have, and publishes
// it. It returns how many they were.
func send(ctx context.Context, client *api.ClientWithResponses, src release.Source, app string, m *manifest.Manifest, p api.Publication) (int, error) {
	uploaded, err := upload(ctx, client, src, app, m)
	if err != nil {
		return uploaded, err
	}
	return uploaded, done(client.PublishWithResponse(ctx, app, p))
}

// offer gives a release that is published to a channel, if one is named.
func offer(ctx context.Context, cmd *cobra.Command, client *api.ClientWithResponses, s *release.Statement, channel string) error {
	out := cmd.OutOrStdout()
	if channel == "" {
		held, newer, err := heldBefore(ctx, client, s)
		switch {
		case err != nil:
			return fmt.Errorf("it is published, but what boards have is not known: %w", err)
		case newer:
			fmt.Fprintf(out, "Boards that follow %s have version %d, and never go back. To give them what is in this one: saguarota rollback %s --to %d --key KEY\n", release.DefaultChannel, held, s.App, s.Version)
		case held == s.Version:
			fmt.Fprintf(out, "All boards that follow %s are offered it already.\n", release.DefaultChannel)
		default:
			fmt.Fprintf(out, "No board is offered it yet: saguarota rollout start %s --version %d\n", s.App, s.Version)
		}
		return nil
	}
	if err := done(client.SetChannelWithResponse(ctx, s.App, channel, api.ChannelChange{Version: s.Version})); err != nil {
		return fmt.Errorf("it is published, but the channel %s keeps what it had: %w", channel, err)
	}
	fmt.Fprintf(out, "All boards that follow %s are offered it.\n", channel)
	return nil
}

// heldBefore returns the version of the channel stable, 0 if it has none, and whether
// that is newer than s.
func heldBefore(ctx context.Context, client *api.ClientWithResponses, s *release.Statement) (held int64, newer bool, err error) {
	channels, err := client.ListChannelsWithResponse(ctx, s.App)
	if err := done(channels, err); err != nil {
		return 0, false, err
	}
	for _, c := range *channels.JSON200 {
		if c.Name == release.DefaultChannel {
			held = c.Version
		}
	}
	releases, err := client.ListReleasesWithResponse(ctx, s.App)
	if err := done(releases, err); err != nil {
		return 0, false, err
	}
	for _, r := range *releases.JSON200 {
		if r.Version == held && !r.Withdrawn {
			newer = (&release.Statement{Keyset: r.Keyset, Version: r.Version}).After(s)
		}
	}
	return held, newer, nil
}

// upload uploads those files that the server does not have, and returns how many.
func upload(ctx context.Context, client *api.ClientWithResponses, src release.Source, app string, m *manifest.Manifest) (int, error) {
	paths := map[string]string{} // by SHA-256: what is twice in a release is uploaded once
	sums := api.Sums{Sums: []string{}}
	for _, f := range m.Files {
		if _, twice := paths[f.SHA256]; !twice {
			sums.Sums = append(sums.Sums, f.SHA256)
		}
		paths[f.SHA256] = f.Path
	}
	missing, err := client.MissingBlobsWithResponse(ctx, app, sums)
	if err := done(missing, err); err != nil {
		return 0, fmt.Errorf("ask which files are missing: %w", err)
	}
	for _, sum := range missing.JSON200.Sums {
		path, ok := paths[sum]
		if !ok {
			return 0, fmt.Errorf("the server asks for a file with the SHA-256 %q, which the release does not have", sum)
		}
		data, err := checkedFile(ctx, src, path, sum)
		if err != nil {
			return 0, err
		}
		if err := done(client.PutBlobWithBodyWithResponse(ctx, app, sum, "application/octet-stream", bytes.NewReader(data))); err != nil {
			return 0, fmt.Errorf("upload %s: %w", path, err)
		}
	}
	return len(missing.JSON200.Sums), nil
}

// checkedFile reads a file of a release, and checks that it has the SHA-256 which the
// manifest says.
func checkedFile(ctx context.Context, src release.Source, path, sum string) ([]byte, error) {
	data, err := readAll(ctx, src, path)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if got := sha256.Sum256(data); hex.EncodeToString(got[:]) != sum {
		return nil, withHint(fmt.Errorf("%s is not what the manifest says", path), "build the release anew; \"saguarota verify\" tells what else is wrong")
	}
	return data, nil
}

func readAll(ctx context.Context, src release.Source, path string) ([]byte, error) {
	r, err := src.Open(ctx, path)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}
