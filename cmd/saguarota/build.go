package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cactuscon/saguarota/manifest"
	"github.com/cactuscon/saguarota/pack"
	"github.com/cactuscon/saguarota/release"
)

const buildLong = `Make a signed release of the folder SRC, as a site that any web server can serve.

SITE gets the files of the release, the manifest versions.json, and the signed
statement versions.json.sig. Boards that have the public key install nothing
else. Which files are part of the release, and their versions, is said by the
same options as for "saguarota manifest".

SITE is a new folder, or the site of an earlier release, which may be served
meanwhile: files are replaced one by one, whole, in an order in which a board
never takes a mix of two releases. The site may be copied anywhere afterwards;
if it is uploaded file by file, versions.json and then versions.json.sig go last.

Versions
  Boards refuse what is older than what they have. So versions go on from the
  release in SITE and those in --from, whatever the clocks say. What did not
  change keeps its version, and building the same again changes nothing.

Packs
  A pack is one file that turns a release into the next; boards get it in one request
  in place of every changed file. packs/FROM-TO is made from the release that was in
  SITE and from each in --from, packs/TO for boards that have nothing. Other boards
  download file by file. Give as many --from as there are releases that many boards
  still have.

Signing
  --key may be given several times. Without any key the statement waits for its
  signatures: "saguarota sign" adds them, also on another machine. --sign-command
  is for keys that cannot be had as a file. The command gets the bytes to be
  signed on its standard input and answers on its standard output with the
  Ed25519 signature, 64 bytes, raw or in Base64; --pub is the key it signs with.
  Once there are keysets ("saguarota keys") the last of them says who may sign.

For whom
  --boards, --channels, --mpy and --micropython keep the release from boards that
  it is not for. --expires bounds how long a server can hold boards back from
  newer releases: after that time boards do not install it any more.

The same files and options make the same bytes. With --expires the time of
signing is one of them: --time, or the environment variable SOURCE_DATE_EPOCH,
or else the clock.`

const buildExample = `  saguarota build src -o site --app badge --key release.key
  saguarota build src -o site --app badge --key release.key --name 1.4.2 \
      --boards rp2,esp32 --expires 90d --version-source git_commit_time
  saguarota build src -o site --app badge --pub hsm.pub --sign-command 'hsm-sign --slot 3'`

// buildOptions are the options of "build".
type buildOptions struct {
	tree        treeFlags
	sign        signFlags
	output      string
	app         string
	name        string
	from        []string
	boards      []string
	channels    []string
	mpy         string
	micropython string
	expires     string
	time        int64
	noPacks     bool
	window      int
}

func buildCommand() *cobra.Command {
	var o buildOptions
	cmd := &cobra.Command{
		Use:     "build SRC -o SITE --app NAME",
		Short:   "Make a signed release of a folder",
		Long:    buildLong,
		Example: buildExample,
		Args:    oneArgument("folder", "saguarota build SRC -o SITE --app NAME --key KEY"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt)
			defer stop()
			return build(ctx, cmd, args[0], o)
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&o.output, "output", "o", "", "folder for the site")
	flags.StringVar(&o.app, "app", "", "name of the application")
	flags.StringVar(&o.name, "name", "", "version for people, such as 1.4.2")
	flags.StringArrayVar(&o.from, "from", nil, "folder or URL of the site of a release before; may be given several times")
	flags.StringSliceVar(&o.boards, "boards", nil, "only for these boards: their names, or sys.platform")
	flags.StringSliceVar(&o.channels, "channels", nil, "only for boards that follow one of these channels")
	flags.StringVar(&o.mpy, "mpy", "", "only for boards with this .mpy format: 6, or 6.3 for native code")
	flags.StringVar(&o.micropython, "micropython", "", "only for boards with this MicroPython or a newer one, such as 1.22")
	flags.StringVar(&o.expires, "expires", "", "how long it may be installed, such as 90d or 36h")
	flags.Int64Var(&o.time, "time", 0, "time of signing, in seconds since 1970")
	flags.BoolVar(&o.noPacks, "no-packs", false, "make no packs; boards then download file by file")
	addWindowFlag(cmd, &o.window)
	o.sign.add(flags)
	o.tree.add(flags)
	// Else a fresh checkout would be a new version of every file.
	reuse := flags.Lookup("reuse-unchanged-versions")
	reuse.DefValue, reuse.Usage = "true", "keep the version of a file whose content did not change"
	o.tree.reuseUnchanged = true
	return cmd
}

// oneArgument returns a check for commands that take one thing.
func oneArgument(what, usage string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != 1 {
			return withHint(fmt.Errorf("%s takes one %s, not %d", cmd.Name(), what, len(args)), "type \"%s\"", usage)
		}
		return nil
	}
}

func build(ctx context.Context, cmd *cobra.Command, src string, o buildOptions) error {
	switch {
	case o.output == "":
		return withHint(errors.New("build needs a folder for the site"), "type \"saguarota build %s -o SITE --app NAME\"", src)
	case o.app == "":
		return withHint(errors.New("build needs the name of the application"), "give --app NAME; it is signed, so that no other application's release can take its place")
	}
	if err := checkFolder(src); err != nil {
		return err
	}
	stderr := cmd.ErrOrStderr()
	files, err := o.tree.options()
	if err != nil {
		return err
	}
	files.Warn = func(message string) { fmt.Fprintf(stderr, "warning: %s\n", message) }
	authKey, err := o.tree.key()
	if err != nil {
		return err
	}
	signers, err := o.sign.signers(cmd)
	if err != nil {
		return err
	}
	statement := release.Statement{
		App: o.app, Name: o.name, Boards: trimmed(o.boards), Channels: trimmed(o.channels),
		MPY: o.mpy, MicroPython: o.micropython,
	}
	if statement.Time, statement.Expires, err = o.times(); err != nil {
		return err
	}
	var from []release.Source
	for _, where := range o.from {
		s, err := release.OpenSource(where)
		if err != nil {
			return err
		}
		if err := isSite(ctx, s); err != nil {
			return err
		}
		from = append(from, s)
	}
	if err := checkWindow(o.window); err != nil {
		return err
	}
	packs := &pack.Options{Window: o.window}
	if o.noPacks {
		packs = nil
	}
	b, err := release.BuildSite(ctx, o.output, release.BuildOptions{
		Source: src, Files: files, Indent: o.tree.indent,
		AuthKey: authKey, SignatureField: o.tree.signatureField,
		Statement: statement, Signers: signers, From: from, Packs: packs,
	})
	if err != nil {
		return explainRelease(explainBuild(err))
	}
	fmt.Fprintf(stderr, "%s: %s, %s\n", o.output, describe(b.Statement), summary(b.Manifest, b.Previous))
	for _, p := range b.Packs {
		fmt.Fprintf(stderr, "%s: %s\n", p.Path, describePack(p.Stats))
	}
	for _, note := range b.Notes {
		fmt.Fprintf(stderr, "note: %s\n", note)
	}
	tellSignatures(cmd, o.output, b.Document, b.Missing)
	return nil
}

// times returns when the release is signed and when it expires; 0 is not said.
func (o *buildOptions) times() (signed, expires int64, err error) {
	signed = o.time
	if epoch := os.Getenv("SOURCE_DATE_EPOCH"); signed == 0 && epoch != "" {
		signed, err = strconv.ParseInt(epoch, 10, 64)
		if err != nil || signed < 1 {
			return 0, 0, withHint(fmt.Errorf("SOURCE_DATE_EPOCH is %q", epoch), "set it to seconds since 1970, or unset it")
		}
	}
	if signed < 0 {
		return 0, 0, fmt.Errorf("--time %d is before 1970", signed)
	}
	if o.expires == "" {
		return signed, 0, nil
	}
	after, err := parseAge(o.expires)
	if err != nil {
		return 0, 0, err
	}
	if signed == 0 {
		signed = time.Now().Unix()
	}
	return signed, signed + int64(after/time.Second), nil
}

// parseAge reads the value of --expires.
func parseAge(s string) (time.Duration, error) { return parseSpan("--expires", s) }

// parseSpan reads a time span that is the value of an option: days, weeks, or what
// time.ParseDuration takes.
func parseSpan(option, s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	for unit, length := range map[string]time.Duration{"d": 24 * time.Hour, "w": 7 * 24 * time.Hour} {
		if number, ok := strings.CutSuffix(s, unit); ok {
			var n uint64
			n, err = strconv.ParseUint(number, 10, 14) // 16383 weeks fit into a Duration
			d = time.Duration(n) * length
		}
	}
	if err != nil || d < time.Second {
		return 0, withHint(fmt.Errorf("%s %q is no time span", option, s), "give days, weeks or hours, such as 90d, 12w or 36h")
	}
	return d, nil
}

// describe names a release in a line.
func describe(s *release.Statement) string {
	return strings.TrimSuffix(s.App+" "+s.Name, " ")
}

// tellSignatures says who signed a document, and what is left to do.
func tellSignatures(cmd *cobra.Command, site string, d *release.Document, missing int) {
	stderr := cmd.ErrOrStderr()
	var ids []string
	for _, s := range d.Signatures() {
		ids = append(ids, string(s.Key))
	}
	if len(ids) > 0 {
		fmt.Fprintf(stderr, "signed by %s\n", strings.Join(ids, " and "))
	}
	if missing > 0 {
		fmt.Fprintf(stderr, "note: boards with public keys take it after %s more; type \"saguarota sign %s --key KEY\"\n", plural(missing, "signature"), site)
	}
}

// explainRelease adds a hint to the errors of package release.
func explainRelease(err error) error {
	var h *hinted
	switch {
	case errors.As(err, &h):
		return err
	case errors.Is(err, release.ErrReserved):
		return withHint(err, "rename the file, or leave it out with --ext, --exclude-prefix or --exclude-folder")
	case errors.Is(err, release.ErrNoFiles):
		return withHint(err, "see what --ext, --exclude-prefix and --exclude-folder leave out")
	case errors.Is(err, release.ErrNotSite):
		return withHint(err, "give a new folder, or an empty one; nothing was changed")
	case errors.Is(err, release.ErrPlace):
		return withHint(err, "put the site elsewhere, or leave its folder out with --exclude-folder")
	case errors.Is(err, release.ErrChanged):
		return withHint(err, "nothing was published; build again when the files are at rest")
	case errors.Is(err, release.ErrNoMember), errors.Is(err, release.ErrSigner), errors.Is(err, release.ErrThreshold), errors.Is(err, release.ErrSequence), errors.Is(err, release.ErrSignature):
		return explainKeys(err)
	case errors.Is(err, release.ErrApp):
		return withHint(err, "give the application's --app, or build to another folder")
	case errors.Is(err, manifest.ErrFormat):
		return withHint(err, "restore the site from a backup; the release in it is where versions go on from")
	}
	return err
}
