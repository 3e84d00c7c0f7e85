package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cactuscon/saguarota/fleet/httpapi/api"
	"github.com/cactuscon/saguarota/release"
)

const rollbackLong = `Give boards the content of an older release of APP.

Boards refuse what is older than what they have. So the release --to is fetched from
the server, every hash and signature of it is checked, and it is signed again as a new
release, whose version is above the newest one. Packs to it are made by the server,
from whatever boards have.

Only what is genuine is signed again: --root, --threshold and --keyset are what boards
have built in. Without --root these are the keys that sign now, and all of them must
have signed the old release, too.

Nothing is published before you have said yes, or --yes. Then the boards of --channel
are offered the release at once. With --channel "" nobody is, and "saguarota rollout
start" brings it to them step by step.

Private keys stay on this machine. With --out nothing is published: the release is
written to a new folder, also without any key, for "saguarota sign", maybe elsewhere,
and "saguarota publish".`

const rollbackExample = `  saguarota rollback badge --to 1700000000 --key release.key
  saguarota rollback badge --to 1700000000 --root release.key.pub --out site`

// rollbackOptions are the options of "rollback".
type rollbackOptions struct {
	sign      signFlags
	tree      treeFlags // the secret of the manifest, and nothing else
	to        int64
	channel   string
	roots     []string
	threshold int
	keyset    int64
	expires   string
	out       string
	yes       bool
}

func rollbackCommand() *cobra.Command {
	var s serverFlags
	var o rollbackOptions
	cmd := &cobra.Command{
		Use:     "rollback APP --to VERSION --key KEY",
		Short:   "Give boards the content of an older release",
		Long:    rollbackLong,
		Example: rollbackExample,
		Args:    oneArgument("application", "saguarota rollback APP --to VERSION --key KEY"),
		RunE: s.run(func(ctx context.Context, client *api.ClientWithResponses, cmd *cobra.Command, args []string) error {
			server, err := s.url()
			if err != nil {
				return err
			}
			r := &rollback{cmd: cmd, client: client, server: server, app: args[0], o: o}
			return r.run(ctx)
		}),
	}
	flags := cmd.Flags()
	s.add(flags)
	o.sign.add(flags)
	o.tree.flags = flags
	flags.Int64Var(&o.to, "to", 0, "version whose content boards are to have")
	flags.StringVar(&o.channel, "channel", release.DefaultChannel, "channel whose boards are to get it; \"\" for none")
	flags.StringArrayVar(&o.roots, "root", nil, "public key that boards have built in; may be given several times")
	flags.IntVar(&o.threshold, "threshold", 0, "how many of the keys must have signed the old release; 0: all")
	flags.Int64Var(&o.keyset, "keyset", 0, "which keyset these keys are; 0: the one that the application was registered with")
	flags.StringVar(&o.expires, "expires", "", "how long it may be installed, such as 90d; if it is not given, as long as the old release could")
	flags.StringVar(&o.out, "out", "", "write the release to this new folder, and do not publish it")
	flags.BoolVar(&o.yes, "yes", false, "do not ask before the release is published")
	flags.StringVar(&o.tree.authKeyFile, "auth-key-file", "", "file with the secret that also signs the manifest")
	flags.StringVar(&o.tree.authKeyEnv, "auth-key-env", "", "environment variable with that secret")
	flags.StringVar(&o.tree.signatureField, "signature-field", "", "key of that signature in the manifest, if it is not \"signature\"")
	return cmd
}

// a rollback is one call of the command.
type rollback struct {
	cmd    *cobra.Command
	client *api.ClientWithResponses
	server string
	app    string
	o      rollbackOptions

	root *release.Keyset
	old  *release.Report
	// newest is the newest release, which the next one has to be above.
	newest *release.Report
	copied *copiedSite // the old release's
}

func (r *rollback) run(ctx context.Context) error {
	if r.o.to <= 0 {
		return withHint(errors.New("it is not said which release to go back to"), "give --to VERSION; \"saguarota fleet release list %s\" lists them", r.app)
	}
	signers, err := r.o.sign.signers(r.cmd)
	if err != nil {
		return err
	}
	if len(signers) == 0 && r.o.out == "" {
		return withHint(errors.New("there is no key to sign the release with"), "give --key KEY, or --out SITE to have it signed elsewhere")
	}
	if err := r.trust(ctx, signers); err != nil {
		return err
	}
	channel, err := r.checkChannel(ctx)
	if err != nil {
		return err
	}
	list, err := r.client.ListReleasesWithResponse(ctx, r.app)
	if err := done(list, err); err != nil {
		return err
	}
	temp, err := os.MkdirTemp("", "saguarota-rollback-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(temp) }() // of no use to anybody
	if err := r.fetch(ctx, *list.JSON200, temp); err != nil {
		return err
	}
	built, err := r.reissue(ctx, *list.JSON200, signers)
	if errors.Is(err, release.ErrSame) {
		return r.offerNewest(ctx, channel)
	}
	if err != nil {
		return err
	}
	if r.o.out != "" {
		return r.write(ctx, built)
	}
	return r.publish(ctx, built)
}

// trust sets the keys that the old release is checked against.
func (r *rollback) trust(ctx context.Context, signers []release.Signer) error {
	keys, err := readPublicKeys(r.o.roots)
	if err != nil {
		return err
	}
	if len(keys) == 0 {
		for _, s := range signers {
			keys = append(keys, s.PublicKey())
		}
	}
	if len(keys) == 0 {
		return withHint(errors.New("it is not said which keys the old release must be signed with"), "give the public keys that boards have with --root KEY.pub")
	}
	apps, err := r.client.ListAppsWithResponse(ctx)
	if err := done(apps, err); err != nil {
		return err
	}
	i := slices.IndexFunc(*apps.JSON200, func(a api.App) bool { return a.Name == r.app })
	if i < 0 {
		return withHint(fmt.Errorf("the server has no application %q", r.app), "\"saguarota fleet app list\" lists them")
	}
	r.root = &release.Keyset{App: r.app, Version: r.o.keyset, Threshold: r.o.threshold, Keys: keys}
	if r.root.Version == 0 {
		r.root.Version = (*apps.JSON200)[i].Keyset
	}
	if r.root.Threshold == 0 {
		r.root.Threshold = len(keys)
	}
	if err := r.root.Check(); err != nil {
		return withHint(fmt.Errorf("the keys that boards have: %w", err), "check --root, --threshold and --keyset")
	}
	return nil
}

// checkChannel reports whether the channel can get a release, before anything is done,
// and returns the version that it has.
func (r *rollback) checkChannel(ctx context.Context) (int64, error) {
	if r.o.channel == "" || r.o.out != "" {
		return 0, nil
	}
	list, err := r.client.ListChannelsWithResponse(ctx, r.app)
	if err := done(list, err); err != nil {
		return 0, err
	}
	var names []string
	for _, c := range *list.JSON200 {
		if c.Name == r.o.channel && c.Rollout != nil {
			return 0, withHint(fmt.Errorf("the channel %s has the open rollout %d", c.Name, *c.Rollout), "end it first: saguarota rollout abort %d", *c.Rollout)
		}
		if c.Name == r.o.channel {
			return c.Version, nil
		}
		names = append(names, c.Name)
	}
	return 0, withHint(fmt.Errorf("%s has no channel %q", r.app, r.o.channel), "give one of these with --channel: %s", orDash(strings.Join(names, ", ")))
}

// fetch gets the old release and what is signed of the newest one, and checks them.
func (r *rollback) fetch(ctx context.Context, list []api.Release, temp string) error {
	i := slices.IndexFunc(list, func(rel api.Release) bool { return rel.Version == r.o.to })
	if i < 0 {
		return withHint(fmt.Errorf("the server has no version %d of %s", r.o.to, r.app), "\"saguarota fleet release list %s\" lists them", r.app)
	}
	if list[i].Withdrawn {
		return withHint(fmt.Errorf("version %d of %s was withdrawn", r.o.to, r.app), "choose another; if this one is good after all: saguarota fleet release withdraw %s %d --undo", r.app, r.o.to)
	}
	site := func(rel api.Release) (*copiedSite, error) {
		src, err := release.NewURLSource(fmt.Sprintf("%s/release/%s/%s/", r.server, url.PathEscape(r.app), url.PathEscape(rel.ID)))
		return &copiedSite{Source: src, dir: temp, copies: map[string]string{}}, err
	}
	var err error
	if r.copied, err = site(list[i]); err != nil {
		return err
	}
	if r.old, err = release.VerifySite(ctx, r.copied, r.root, release.Board{App: r.app}); err != nil {
		return explainRollback(fmt.Errorf("version %d is not signed again: %w", r.o.to, err))
	}
	if s := r.old.Statement; s.Version != r.o.to {
		return fmt.Errorf("the server has version %d where it says that version %d is", s.Version, r.o.to)
	}
	if channels := r.old.Statement.Channels; r.o.channel != "" && len(channels) > 0 && !slices.Contains(channels, r.o.channel) {
		return withHint(fmt.Errorf("version %d is for the channels %s: boards of %s would refuse it", r.o.to, strings.Join(channels, ", "), r.o.channel), "give one of these with --channel, or choose another version")
	}
	newest, err := site(list[0])
	if err != nil {
		return err
	}
	if r.newest, err = release.VerifySigned(ctx, newest, r.root, release.Board{App: r.app}); err != nil {
		return explainRollback(fmt.Errorf("the newest release, version %d: %w", list[0].Version, err))
	}
	return nil
}

// reissue makes the new release.
func (r *rollback) reissue(ctx context.Context, list []api.Release, signers []release.Signer) (*release.Build, error) {
	o := release.ReissueOptions{
		Old: r.old, Newest: r.newest, Taken: map[int64]bool{}, Indent: 2, Signers: signers, SignatureField: r.o.tree.signatureField,
		Anew: list[0].Withdrawn,
	}
	for _, rel := range list {
		o.Taken[rel.Version] = true
	}
	var err error
	if o.Time, o.Expires, err = r.times(time.Now().Unix()); err != nil {
		return nil, err
	}
	if o.AuthKey, err = r.o.tree.key(); err != nil {
		return nil, err
	}
	was := r.newest.Manifest
	switch {
	case o.AuthKey == nil && (was.Signature != "" || r.old.Manifest.Signature != ""):
		return nil, withHint(errors.New("the manifests of these releases are signed with a secret, too"), "give it with --auth-key-file: boards that have it refuse what lacks this signature")
	case o.AuthKey != nil && was.Signature != "" && was.Verify(o.AuthKey) != nil:
		return nil, withHint(errors.New("the manifest of the newest release is not signed with this secret"), "check --auth-key-file")
	}
	built, err := release.Reissue(ctx, o)
	switch {
	case errors.Is(err, release.ErrNoMember):
		return nil, withHint(err, "sign with a key of keyset %d; boards refuse all others", r.newest.Keyset.Version)
	case err != nil:
		return nil, err
	}
	if built.Missing > 0 && r.o.out == "" {
		return nil, withHint(fmt.Errorf("boards take the release after %s more", plural(built.Missing, "signature")), "give --key for each, or --out SITE to have it signed elsewhere; nothing was published")
	}
	return built, nil
}

// times returns when the new release is signed, and when it expires: 0 is not said.
func (r *rollback) times(now int64) (signed, expires int64, err error) {
	s := r.old.Statement
	if r.o.expires != "" {
		after, err := parseAge(r.o.expires)
		return now, now + int64(after/time.Second), err
	}
	if s.Expires != 0 {
		return now, now + s.Expires - s.Time, nil
	}
	if s.Time != 0 {
		return now, 0, nil
	}
	return 0, 0, nil
}

// write writes the release to a folder.
func (r *rollback) write(ctx context.Context, b *release.Build) error {
	keysets, err := r.keysets(ctx)
	if err != nil {
		return err
	}
	if err := b.WriteSite(ctx, r.o.out, r.copied, keysets); err != nil {
		if errors.Is(err, fs.ErrExist) {
			err = withHint(err, "choose a new folder with --out")
		}
		return err
	}
	fmt.Fprintf(r.cmd.ErrOrStderr(), "%s: %s, version %d, with the content of version %d\n", r.o.out, describe(b.Statement), b.Statement.Version, r.o.to)
	tellSignatures(r.cmd, r.o.out, b.Document, b.Missing)
	fmt.Fprintf(r.cmd.ErrOrStderr(), "note: nothing is published yet; type \"saguarota publish %s\"\n", r.o.out)
	return nil
}

// keysets returns the application's keysets, as far as the server has them.
func (r *rollback) keysets(ctx context.Context) (map[int64][]byte, error) {
	src, err := release.NewURLSource(fmt.Sprintf("%s/ota/%s/", r.server, url.PathEscape(r.app)))
	if err != nil {
		return nil, err
	}
	keysets := map[int64][]byte{}
	for n := int64(1); n <= r.newest.Keyset.Version; n++ {
		data, err := readAll(ctx, src, release.KeysetName(n))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		keysets[n] = data
	}
	return keysets, nil
}

// publish publishes the release, if that is what the user wants.
func (r *rollback) publish(ctx context.Context, b *release.Build) error {
	s := b.Statement
	stderr := r.cmd.ErrOrStderr()
	fmt.Fprintf(stderr, "%s version %d: %s as signed; to be version %d, after version %d\n", r.app, r.o.to, plural(len(b.Manifest.Files), "file"), s.Version, b.Previous.Version)
	if err := r.ask(ctx); err != nil {
		return err
	}
	p := api.Publication{Statement: string(b.Document.Bytes()), Manifest: string(b.Encoded), Keysets: []string{}}
	if _, err := send(ctx, r.client, r.copied, r.app, b.Manifest, p); err != nil {
		return fmt.Errorf("publish version %d: %w", s.Version, err)
	}
	fmt.Fprintf(r.cmd.OutOrStdout(), "%s version %d: published, with the content of version %d\n", r.app, s.Version, r.o.to)
	return offer(ctx, r.cmd, r.client, s, r.o.channel)
}

// offerNewest gives the newest release to the channel: it has the content already, maybe
// by a call before that got no further.
func (r *rollback) offerNewest(ctx context.Context, channel int64) error {
	s := r.newest.Statement
	fmt.Fprintf(r.cmd.ErrOrStderr(), "%s version %d: it is the newest, and has the content of version %d already\n", r.app, s.Version, r.o.to)
	if r.o.channel == "" || r.o.out != "" || channel == s.Version {
		return nil
	}
	if err := r.ask(ctx); err != nil {
		return err
	}
	return offer(ctx, r.cmd, r.client, s, r.o.channel)
}

// ask asks whether to go on. The error is why not.
func (r *rollback) ask(ctx context.Context) error {
	if r.o.yes {
		return nil
	}
	question := "Publish it, and offer it to nobody yet?"
	if r.o.channel != "" {
		counts, err := r.client.CountBoardsWithResponse(ctx, r.app, "channel")
		if err := done(counts, err); err != nil {
			return err
		}
		question = fmt.Sprintf("Give it to the boards that follow %s, now %d?", r.o.channel, (*counts.JSON200)[r.o.channel])
	}
	if !confirm(ctx, r.cmd, question) {
		return withHint(errors.New("nothing was published"), "answer y, or give --yes where nobody can answer")
	}
	return nil
}

// explainRollback adds what can be done where a release cannot be signed again.
func explainRollback(err error) error {
	switch {
	case errors.Is(err, release.ErrThreshold):
		return withHint(err, "give the public keys that boards have with --root, and how many must sign with --threshold; what others have signed is not signed again")
	case errors.Is(err, release.ErrRoot):
		return withHint(err, "give all keys that boards have built in with --root, and their --threshold and --keyset")
	case errors.Is(err, release.ErrAnswer), errors.Is(err, release.ErrContent), errors.Is(err, fs.ErrNotExist):
		return withHint(err, "the server has not got it whole: \"saguarota publish SITE\", with the site of this release, mends that; or choose another version")
	}
	return explainVerify(err, "SITE")
}
