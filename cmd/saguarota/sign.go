package main

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/cactuscon/saguarota/release"
)

const signLong = `Add signatures to the release in the folder SITE.

For keys that lie on another machine than the one that builds, and for boards
that want the signatures of more than one key. The files of the release are not
needed, only versions.json and versions.json.sig (and keys, if there are keysets).
Look at what you sign with "saguarota inspect SITE" first.

--sign-command is for keys that cannot be had as a file. The command gets the
bytes to be signed on its standard input and answers on its standard output with
the Ed25519 signature, 64 bytes, raw or in Base64; --pub is the key it signs with.
OpenSSL does so by "openssl pkeyutl -sign -rawin -inkey KEY -in /dev/stdin".`

const signExample = `  saguarota sign site --key second.key
  saguarota sign site --pub hsm.pub --sign-command 'hsm-sign --slot 3'`

func signCommand() *cobra.Command {
	var sign signFlags
	cmd := &cobra.Command{
		Use:     "sign SITE",
		Short:   "Add a signature to a release",
		Long:    signLong,
		Example: signExample,
		Args:    oneArgument("site", "saguarota sign SITE --key KEY"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return signSite(cmd, args[0], sign)
		},
	}
	sign.add(cmd.Flags())
	return cmd
}

func signSite(cmd *cobra.Command, site string, sign signFlags) error {
	signers, err := sign.required(cmd)
	if err != nil {
		return err
	}
	statement, doc, missing, err := release.SignSite(cmd.Context(), site, signers...)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return withHint(err, "give the folder that \"saguarota build\" wrote")
	case errors.Is(err, release.ErrContent):
		return withHint(err, "the statement is that of another release; build again, or copy both files")
	case err != nil:
		return explainKeys(err)
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%s: %s, version %d\n", site, describe(statement), statement.Version)
	tellSignatures(cmd, site, doc, missing)
	return nil
}
