package main

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cactuscon/saguarota/release"
)

const keysLong = `Change which keys boards trust.

Boards are made with public keys (public_keys and threshold), which are keyset 1.
Each later keyset is a file SITE/keys/N.json, signed with the keys of the one
before and with its own; boards follow them a step at a time, so that keys change
without touching a board. "keys init" writes down the first, the other commands
make the next.

A keyset needs as many signatures as the threshold of the one before says, of
keys in that, and as many as its own threshold says, of its own keys. Give all of
these with --key, or the rest later with "keys sign", also on another machine.
Boards ask for a keyset when a release names it: "saguarota build" signs with the
newest one, and comes after a change of keys.

If a key was stolen, "keys rotate" or "keys remove" it and build. Boards compare
the number of the keyset before the version, so also a version that the thief has
pushed to the limit is no obstacle.

PUB is a public key: a file, or the Base64 itself.`

func keysCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "keys",
		Short: "Change which keys boards trust",
		Long:  keysLong,
		Example: `  saguarota keys init site a.pub b.pub --app badge --threshold 1 --key a.key
  saguarota keys rotate site new.pub --key a.key --key new.key`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return withHint(fmt.Errorf("keys: there is no command %q", args[0]), "type \"saguarota keys --help\"")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(keysInitCommand(), keysAddCommand(), keysRemoveCommand(), keysRotateCommand(), keysSignCommand(), keysListCommand())
	return cmd
}

func keysInitCommand() *cobra.Command {
	var (
		sign      signFlags
		app       string
		threshold int
	)
	cmd := &cobra.Command{
		Use:     "init SITE [PUB]... --app NAME",
		Short:   "Write down the keys that boards are made with",
		Example: "  saguarota keys init site a.pub b.pub c.pub --app badge --threshold 2 --key a.key --key b.key",
		Args:    siteAndKeys(0, "saguarota keys init SITE PUB --app NAME --key KEY"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if app == "" {
				return withHint(errors.New("keys init needs the name of the application"), "give --app NAME, the same as to \"saguarota build\"")
			}
			signers, err := sign.required(cmd)
			if err != nil {
				return err
			}
			keys, err := readPublicKeys(args[1:])
			if err != nil {
				return err
			}
			if len(keys) == 0 {
				for _, s := range signers {
					keys = append(keys, s.PublicKey())
				}
			}
			link, err := release.NewChain(cmd.Context(), args[0], release.Keyset{App: app, Threshold: threshold, Keys: keys}, signers...)
			if errors.Is(err, release.ErrSequence) {
				return withHint(err, "change them with \"saguarota keys add\", \"remove\" or \"rotate\"")
			}
			return tellKeyset(cmd, args[0], link, err)
		},
	}
	cmd.Flags().StringVar(&app, "app", "", "name of the application")
	cmd.Flags().IntVar(&threshold, "threshold", 1, "how many of the keys must sign")
	sign.add(cmd.Flags())
	return cmd
}

func keysAddCommand() *cobra.Command {
	return changeCommand("add SITE PUB...", "Trust further keys",
		"  saguarota keys add site c.pub --key a.key", "PUB",
		func(last *release.Keyset, args []string) ([]release.PublicKey, error) {
			added, err := readPublicKeys(args)
			return append(slices.Clone(last.Keys), added...), err
		})
}

func keysRemoveCommand() *cobra.Command {
	return changeCommand("remove SITE PUB|ID...", "Trust some keys no longer",
		"  saguarota keys remove site c.pub --key a.key", "PUB",
		func(last *release.Keyset, args []string) ([]release.PublicKey, error) {
			keys := slices.Clone(last.Keys)
			for _, arg := range args {
				at := slices.IndexFunc(keys, func(k release.PublicKey) bool { return string(k.ID()) == arg })
				if at < 0 {
					pub, err := readPublicKey(arg)
					if err != nil {
						return nil, err
					}
					at = slices.Index(keys, pub)
				}
				if at < 0 {
					return nil, withHint(fmt.Errorf("keyset %d has no key %s", last.Version, arg), "type \"saguarota keys list SITE\"")
				}
				keys = slices.Delete(keys, at, at+1)
			}
			return keys, nil
		})
}

func keysRotateCommand() *cobra.Command {
	return changeCommand("rotate SITE PUB...", "Trust these keys instead of all others",
		"  saguarota keys rotate site new.pub --key old.key --key new.key", "PUB",
		func(_ *release.Keyset, args []string) ([]release.PublicKey, error) { return readPublicKeys(args) })
}

// changeCommand makes a command that writes the next keyset, with the keys that
// change returns.
func changeCommand(use, short, example, what string, change func(last *release.Keyset, args []string) ([]release.PublicKey, error)) *cobra.Command {
	var (
		sign      signFlags
		threshold int
	)
	name, _, _ := strings.Cut(use, " ")
	cmd := &cobra.Command{
		Use:     use,
		Short:   short,
		Example: example,
		Args:    siteAndKeys(1, "saguarota keys "+name+" SITE "+what+" --key KEY"),
		RunE: func(cmd *cobra.Command, args []string) error {
			chain, err := release.ReadChain(cmd.Context(), release.Dir(args[0]))
			if err != nil {
				return explainKeys(err)
			}
			if len(chain) == 0 {
				return explainKeys(fmt.Errorf("%w in %s", release.ErrNoKeysets, args[0]))
			}
			last := chain[len(chain)-1].Keyset
			signers, err := sign.required(cmd)
			if err != nil {
				return err
			}
			keys, err := change(last, args[1:])
			if err != nil {
				return err
			}
			if threshold == 0 {
				threshold = last.Threshold
			}
			if threshold > len(keys) && len(keys) > 0 {
				return withHint(fmt.Errorf("%d of %s would have to sign", threshold, plural(len(keys), "key")), "give another --threshold")
			}
			link, err := release.ExtendChain(cmd.Context(), args[0], threshold, keys, signers...)
			return tellKeyset(cmd, args[0], link, err)
		},
	}
	cmd.Flags().IntVar(&threshold, "threshold", 0, "how many of the keys must sign from then on; 0 is as many as before")
	sign.add(cmd.Flags())
	return cmd
}

func keysSignCommand() *cobra.Command {
	var sign signFlags
	cmd := &cobra.Command{
		Use:     "sign SITE",
		Short:   "Add a signature to the newest keyset",
		Example: "  saguarota keys sign site --key b.key",
		Args:    oneArgument("site", "saguarota keys sign SITE --key KEY"),
		RunE: func(cmd *cobra.Command, args []string) error {
			signers, err := sign.required(cmd)
			if err != nil {
				return err
			}
			link, err := release.SignChain(cmd.Context(), args[0], signers...)
			return tellKeyset(cmd, args[0], link, err)
		},
	}
	sign.add(cmd.Flags())
	return cmd
}

func keysListCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "list SITE|URL",
		Short:   "Show the keysets of a site",
		Example: "  saguarota keys list site",
		Args:    oneArgument("site", "saguarota keys list SITE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			src, err := release.OpenSource(args[0])
			if err != nil {
				return err
			}
			chain, err := release.ReadChain(cmd.Context(), src)
			if err != nil {
				return explainKeys(err)
			}
			if len(chain) == 0 {
				return explainKeys(fmt.Errorf("%w in %s", release.ErrNoKeysets, args[0]))
			}
			var b strings.Builder
			for _, link := range chain {
				writeKeyset(&b, link)
			}
			_, err = fmt.Fprint(cmd.OutOrStdout(), b.String())
			return err
		},
	}
}

// siteAndKeys checks that there is a site and at least so many keys.
func siteAndKeys(keys int, usage string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > keys {
			return nil
		}
		what := "a site"
		if len(args) == 1 {
			what = "a public key"
		}
		return withHint(fmt.Errorf("keys %s needs %s", cmd.Name(), what), "type \"%s\"", usage)
	}
}

// tellKeyset says what became of a keyset.
func tellKeyset(cmd *cobra.Command, site string, link release.Link, err error) error {
	if err != nil {
		return explainKeys(err)
	}
	stderr := cmd.ErrOrStderr()
	k := link.Keyset
	var ids []string
	for _, s := range link.Document.Signatures() {
		ids = append(ids, string(s.Key))
	}
	fmt.Fprintf(stderr, "%s/%s: %d of %s must sign\nsigned by %s\n", site, release.KeysetName(k.Version),
		k.Threshold, plural(len(k.Keys), "key"), strings.Join(ids, " and "))
	switch {
	case link.Pending != nil:
		fmt.Fprintf(stderr, "note: not in force: %v; type \"saguarota keys sign %s --key KEY\"\n", link.Pending, site)
	case k.Version > 1:
		fmt.Fprintf(stderr, "note: boards learn of it from the next release: type \"saguarota build SRC -o %s --app %s --key KEY\"\n", site, k.App)
	}
	return nil
}

// writeKeyset writes a keyset for people.
func writeKeyset(b *strings.Builder, link release.Link) {
	k := link.Keyset
	signed := map[release.KeyID]bool{}
	for _, s := range link.Document.Signatures() {
		signed[s.Key] = true
	}
	fmt.Fprintf(b, "keyset %d of %s: %d of %s must sign\n", k.Version, k.App, k.Threshold, plural(len(k.Keys), "key"))
	for _, key := range k.Keys {
		note := ""
		if signed[key.ID()] {
			note = "  signed this keyset"
			delete(signed, key.ID())
		}
		fmt.Fprintf(b, "  %s  %s%s\n", key.ID(), key, note)
	}
	for _, s := range link.Document.Signatures() {
		if signed[s.Key] {
			fmt.Fprintf(b, "  %s  not in it          %28s  signed this keyset\n", s.Key, "")
		}
	}
	if link.Pending != nil {
		fmt.Fprintf(b, "  not in force: %v\n", link.Pending)
	}
}

// explainKeys adds a hint to errors about keys and keysets.
func explainKeys(err error) error {
	var h *hinted
	switch {
	case errors.As(err, &h):
		return err
	case errors.Is(err, release.ErrNoKeysets):
		return withHint(err, "write down the keys that boards are made with: \"saguarota keys init SITE PUB --app NAME --key KEY\"")
	case errors.Is(err, release.ErrThreshold):
		return withHint(err, "add the signatures that are missing: \"saguarota keys sign SITE --key KEY\"")
	case errors.Is(err, release.ErrSigner):
		return withHint(err, "--sign-command must sign its standard input as it is (pure Ed25519, no hash before), with the key that --pub belongs to")
	case errors.Is(err, release.ErrNoMember):
		return withHint(err, "see who may sign: \"saguarota keys list SITE\"")
	case errors.Is(err, release.ErrSequence), errors.Is(err, release.ErrSignature):
		return withHint(err, "the keysets were damaged or replaced; restore the folder keys from a copy that you trust")
	case errors.Is(err, fs.ErrNotExist):
		return withHint(err, "give the folder of a site")
	}
	return err
}
