package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/cactuscon/saguarota/release"
)

// signFlags are the options of all commands that sign.
type signFlags struct {
	keys    []string
	command string
	pub     string
}

func (s *signFlags) add(flags *pflag.FlagSet) {
	flags.StringArrayVar(&s.keys, "key", nil, "file with a private key to sign with; may be given several times")
	flags.StringVar(&s.command, "sign-command", "", "shell command that signs standard input, for keys in hardware or a key service")
	flags.StringVar(&s.pub, "pub", "", "public key that --sign-command signs with: a file or the text itself")
}

// signers returns who is to sign; there may be nobody.
func (s *signFlags) signers(cmd *cobra.Command) ([]release.Signer, error) {
	var signers []release.Signer
	seen := map[release.KeyID]bool{}
	add := func(signer release.Signer) error {
		id := signer.PublicKey().ID()
		if seen[id] {
			return withHint(fmt.Errorf("the key %s is given twice", id), "one key counts once, whatever the threshold is")
		}
		seen[id] = true
		signers = append(signers, signer)
		return nil
	}
	for _, name := range s.keys {
		key, err := readPrivateKey(cmd, name)
		if err != nil {
			return nil, err
		}
		if err := add(key); err != nil {
			return nil, err
		}
	}
	switch {
	case s.command == "" && s.pub == "":
		return signers, nil
	case s.command == "":
		return nil, withHint(errors.New("--pub says which key --sign-command signs with, but there is no --sign-command"), "sign with --key, or give the command")
	case s.pub == "":
		return nil, withHint(errors.New("--sign-command needs --pub"), "give the public key of the key that the command signs with: --pub KEY.pub")
	}
	pub, err := readPublicKey(s.pub)
	if err != nil {
		return nil, err
	}
	return signers, add(&release.CommandSigner{Key: pub, Command: s.command, Stderr: cmd.ErrOrStderr()})
}

// required is signers for commands that are about nothing else.
func (s *signFlags) required(cmd *cobra.Command) ([]release.Signer, error) {
	signers, err := s.signers(cmd)
	if err == nil && len(signers) == 0 {
		err = withHint(fmt.Errorf("%s: there is no key to sign with", cmd.Name()), "give --key KEY, or --sign-command and --pub")
	}
	return signers, err
}

// readPrivateKey reads a key file. No error shows what is in it, nor the name
// where that is the key itself.
func readPrivateKey(cmd *cobra.Command, name string) (release.Signer, error) {
	// The Base64 of PKCS #8 keys for Ed25519 always begins so.
	if strings.ContainsAny(name, "\r\n") || strings.Contains(name, "PRIVATE") || strings.HasPrefix(name, "MC4CAQ") {
		return nil, withHint(errors.New("--key takes the name of a file, not the key itself"),
			"other users can see the command lines of programs; write the key to a file with mode 0600")
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, withHint(fmt.Errorf("read the private key: %w", err), "make one with \"saguarota keygen -o KEY\"")
	}
	defer file.Close()
	if info, err := file.Stat(); err == nil && info.Mode().IsRegular() && info.Mode()&0o077 != 0 && runtime.GOOS != "windows" {
		fmt.Fprintf(cmd.ErrOrStderr(), "warning: other users of this machine can read the private key; type \"chmod 600 %s\"\n", name)
	}
	data, err := readSmall(file)
	if err != nil {
		return nil, fmt.Errorf("read the private key: %w", err)
	}
	key, err := release.ParsePrivateKey(data)
	switch {
	case errors.Is(err, release.ErrEncrypted):
		return nil, withHint(fmt.Errorf("read the private key %s: %w", name, err),
			"let OpenSSL decrypt it with --sign-command, or decrypt it into a file with \"openssl pkey -in %s -out KEY\"", name)
	case err != nil:
		return nil, withHint(fmt.Errorf("read the private key %s: %w", name, err),
			"private keys are made by \"saguarota keygen\" or \"openssl genpkey -algorithm ed25519\"; KEY.pub is the public one")
	}
	return key, nil
}

// readPublicKey reads a public key, from a file or the text itself.
func readPublicKey(name string) (release.PublicKey, error) {
	if key, err := release.ParsePublicKey(name); err == nil {
		return key, nil
	}
	if strings.Contains(name, "PRIVATE") || strings.HasPrefix(name, "MC4CAQ") {
		return release.PublicKey{}, errors.New("a private key is given where a public one is needed")
	}
	const hint = "a public key is 44 characters of Base64, as \"saguarota keygen\" prints, or a file with them"
	file, err := os.Open(name)
	if err != nil {
		return release.PublicKey{}, withHint(fmt.Errorf("read the public key: %w", err), hint)
	}
	defer file.Close()
	data, err := readSmall(file)
	if err != nil {
		return release.PublicKey{}, fmt.Errorf("read the public key: %w", err)
	}
	key, err := release.ParsePublicKey(string(data))
	if err != nil {
		return key, withHint(fmt.Errorf("read the public key %s: %w", name, err), hint)
	}
	return key, nil
}

func readPublicKeys(names []string) ([]release.PublicKey, error) {
	var keys []release.PublicKey
	for _, name := range names {
		key, err := readPublicKey(name)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// readSmall reads a file that cannot be a key if it is long.
func readSmall(file *os.File) ([]byte, error) {
	const most = 64 << 10
	data, err := io.ReadAll(io.LimitReader(file, most+1))
	if err == nil && len(data) > most {
		err = &fs.PathError{Op: "read", Path: file.Name(), Err: errors.New("too long for a key")}
	}
	return data, err
}
