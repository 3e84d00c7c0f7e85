package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/cactuscon/saguarota/release"
)

const keygenLong = `Make a key pair to sign releases with.

The private key goes to KEY, which only you can read: a PEM file (PKCS #8,
Ed25519) as OpenSSL writes it. The public key is printed, as one line of Base64,
and written to KEY.pub. Boards get the public key:

    OTAUpdater(..., public_keys=["THAT LINE"])

Files that exist are never overwritten. Keep KEY off the server and out of the
repository, and keep a copy in a safe place: boards that know no other key take
no release without it.`

func keygenCommand() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:     "keygen -o KEY",
		Short:   "Make a key pair to sign releases with",
		Long:    keygenLong,
		Example: "  saguarota keygen -o release.key",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return keygen(cmd, output)
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "file for the private key; the public key goes to that with .pub after it")
	return cmd
}

// noArguments refuses words where only options are taken.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return withHint(fmt.Errorf("%s takes no argument, but there is %q", cmd.Name(), args[0]), "type \"%s --help\"", cmd.CommandPath())
	}
	return nil
}

func keygen(cmd *cobra.Command, name string) error {
	if name == "" {
		return withHint(errors.New("keygen needs a name for the file of the key"), "type \"saguarota keygen -o KEY\"")
	}
	key, err := release.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	private, err := key.Encode()
	if err != nil {
		return err
	}
	public := key.PublicKey().String() + "\n"
	// The public one first: if that cannot be, there is no private one to delete.
	if err := createFile(name+".pub", []byte(public), 0o666); err != nil {
		return explainCreate("public", err)
	}
	if err := createFile(name, private, 0o600); err != nil {
		return explainCreate("private", errors.Join(err, os.Remove(name+".pub")))
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%s: the private key %s, for nobody but you; %s.pub: the public key, for boards\n", name, key.PublicKey().ID(), name)
	if _, err := fmt.Fprint(cmd.OutOrStdout(), public); err != nil {
		return fmt.Errorf("write the public key: %w", err)
	}
	return nil
}

func explainCreate(what string, err error) error {
	err = fmt.Errorf("write the %s key: %w", what, err)
	if errors.Is(err, fs.ErrExist) {
		return withHint(err, "keys are never overwritten: choose another name, or remove the file if no board needs it")
	}
	return err
}

// createFile writes a file that must not be there yet. What it cannot finish
// it removes.
func createFile(name string, data []byte, mode fs.FileMode) (err error) {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(name))
		}
	}()
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}
