package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cactuscon/saguarota/devserver"
	"github.com/cactuscon/saguarota/pack"
	"github.com/cactuscon/saguarota/release"
)

const verifyLong = `Check a site as a board would that has the public keys given by --pub.

Checked are the statement and its signatures, the keysets that lead to the keys
which made them, for whom the release is, whether it expired, the manifest, and
the size and SHA-256 of every file. What is found is printed; the exit status is
1 if anything is wrong.

--pub, --threshold and --keyset are what boards have built in. KEY is
a file or the Base64 itself. The other options are properties of a board; without
them what they are compared with is not checked.

The packs in the site are applied, too, and what they make is compared with the
release: the one of the whole release, and those from releases whose sites are given
by --from.`

const verifyExample = `  saguarota verify site --pub release.key.pub --app badge
  saguarota verify https://updates.example.com/badge --pub a.pub --pub b.pub --threshold 2`

// verifyOptions are the options of "verify".
type verifyOptions struct {
	pubs      []string
	threshold int
	keyset    int64
	board     release.Board
	from      []string
}

func verifyCommand() *cobra.Command {
	var o verifyOptions
	cmd := &cobra.Command{
		Use:     "verify SITE|URL --pub KEY",
		Short:   "Check a release as a board would",
		Long:    verifyLong,
		Example: verifyExample,
		Args:    oneArgument("site", "saguarota verify SITE --pub KEY"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt)
			defer stop()
			return verify(ctx, cmd, args[0], o)
		},
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&o.pubs, "pub", nil, "public key that boards have; may be given several times")
	flags.IntVar(&o.threshold, "threshold", 1, "how many of the keys must have signed")
	flags.Int64Var(&o.keyset, "keyset", 1, "which keyset these keys are, for boards that were made after a change of keys")
	flags.StringArrayVar(&o.from, "from", nil, "folder or URL of the site of a release before, to check the pack from it; may be given several times")
	flags.StringVar(&o.board.App, "app", "", "the board's application")
	flags.StringVar(&o.board.Channel, "channel", "", "the channel that the board follows")
	flags.StringVar(&o.board.Name, "board", "", "the board's name, or its sys.platform")
	flags.StringVar(&o.board.MPY, "mpy", "", "the board's .mpy format, such as 6.3")
	flags.StringVar(&o.board.MicroPython, "micropython", "", "the board's MicroPython, such as 1.25.0")
	return cmd
}

func verify(ctx context.Context, cmd *cobra.Command, where string, o verifyOptions) error {
	if len(o.pubs) == 0 {
		return withHint(errors.New("verify needs the public key that boards have"), "give --pub KEY.pub; a key that comes with the site itself would prove nothing")
	}
	keys, err := readPublicKeys(o.pubs)
	if err != nil {
		return err
	}
	root := &release.Keyset{App: o.board.App, Version: o.keyset, Threshold: o.threshold, Keys: keys}
	if err := root.CheckKeys(); err != nil {
		return withHint(fmt.Errorf("the keys that boards have: %w", err), "check --pub and --threshold")
	}
	if o.keyset < 1 {
		return fmt.Errorf("--keyset %d: keysets are numbered from 1", o.keyset)
	}
	src, err := release.OpenSource(where)
	if err != nil {
		return err
	}
	o.board.Time = time.Now().Unix()
	report, err := release.VerifySite(ctx, src, root, o.board)
	packs := 0
	if err == nil {
		packs, err = verifyPacks(ctx, src, o.from, report)
	}
	if writeErr := writeReport(cmd.OutOrStdout(), where, report, packs, err == nil); writeErr != nil {
		return writeErr
	}
	if err != nil {
		return explainVerify(fmt.Errorf("verify %s: %w", where, err), where)
	}
	return nil
}

// verifyPacks checks the packs of a site that is good, and adds what is odd to the
// report.
func verifyPacks(ctx context.Context, src release.Source, from []string, r *release.Report) (int, error) {
	var sources []release.Source
	for _, where := range from {
		s, err := release.OpenSource(where)
		if err != nil {
			return 0, err
		}
		sources = append(sources, s)
	}
	n, notes, err := release.VerifyPacks(ctx, src, sources...)
	r.Notes = append(r.Notes, notes...)
	return n, err
}

// writeReport prints what was found; packs is how many of them are good.
func writeReport(w io.Writer, where string, r *release.Report, packs int, ok bool) error {
	var b strings.Builder
	if s := r.Statement; s != nil {
		fmt.Fprintf(&b, "%s: %s, version %d\n", where, describe(s), s.Version)
	}
	if k := r.Keyset; k != nil && r.Signers != nil {
		var ids []string
		for _, id := range r.Signers {
			ids = append(ids, string(id))
		}
		fmt.Fprintf(&b, "signed by %s, of keyset %d, where %d of %s must sign\n", strings.Join(ids, " and "), k.Version, k.Threshold, plural(len(k.Keys), "key"))
	}
	if s := r.Statement; s != nil && r.Signers != nil {
		writeAudience(&b, s, "")
	}
	if r.Manifest != nil {
		fmt.Fprintf(&b, "%d of %s as signed, %s\n", r.Files, plural(len(r.Manifest.Files), "file"), devserver.FormatBytes(r.Bytes))
	}
	if packs > 0 {
		fmt.Fprintf(&b, "packs that make just these: %d\n", packs)
	}
	for _, note := range r.Notes {
		fmt.Fprintf(&b, "note: %s\n", note)
	}
	if ok {
		b.WriteString("good: boards with these keys take it\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// writeAudience says for whom and how long a release is.
func writeAudience(b *strings.Builder, s *release.Statement, indent string) {
	if len(s.Channels) > 0 {
		fmt.Fprintf(b, "%sfor channels: %s\n", indent, strings.Join(s.Channels, ", "))
	}
	if len(s.Boards) > 0 {
		fmt.Fprintf(b, "%sfor boards: %s\n", indent, strings.Join(s.Boards, ", "))
	}
	if s.MPY != "" {
		fmt.Fprintf(b, "%sfor .mpy format %s\n", indent, s.MPY)
	}
	if s.MicroPython != "" {
		fmt.Fprintf(b, "%sfor MicroPython %s or newer\n", indent, s.MicroPython)
	}
	if s.Time != 0 {
		fmt.Fprintf(b, "%ssigned at %s\n", indent, showTime(s.Time))
	}
	if s.Expires != 0 {
		fmt.Fprintf(b, "%sexpires at %s\n", indent, showTime(s.Expires))
	}
}

func showTime(seconds int64) string {
	return time.Unix(seconds, 0).UTC().Format("2006-01-02 15:04:05 UTC")
}

// explainVerify adds what can be done about a site that is not good.
func explainVerify(err error, where string) error {
	switch {
	case errors.Is(err, pack.ErrFormat), errors.Is(err, pack.ErrBase), errors.Is(err, pack.ErrContent):
		return withHint(err, "boards do without a bad pack, but download more; build the site again")
	case errors.Is(err, release.ErrThreshold):
		return withHint(err, "\"saguarota inspect %s\" shows who signed; check --pub and --threshold, or add what is missing with \"saguarota sign\"", where)
	case errors.Is(err, release.ErrRoot):
		return withHint(err, "\"saguarota keys list %s\" shows it; give all keys that boards are made with, by --pub, and their --threshold and --keyset", where)
	case errors.Is(err, release.ErrApp):
		return withHint(err, "check --app: boards refuse what is for another application")
	case errors.Is(err, release.ErrExpired), errors.Is(err, release.ErrContent), errors.Is(err, release.ErrReserved), errors.Is(err, release.ErrNoFiles):
		return withHint(err, "build and publish it again")
	case errors.Is(err, release.ErrSignature), errors.Is(err, release.ErrFormat), errors.Is(err, release.ErrSequence):
		return withHint(err, "it was damaged or forged; publish it again from where it was built")
	case errors.Is(err, fs.ErrNotExist):
		return withHint(err, "not all of the site is there; copy or build it again")
	}
	if unreachable := (*url.Error)(nil); errors.As(err, &unreachable) {
		return withHint(err, "check the address, and that the server runs; the site's URL is that of the folder with versions.json")
	}
	return err
}
