package main

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cactuscon/saguarota/fleet/ca"
)

const fleetCALong = `Be the authority for certificates in a network without internet.

"fleet ca init" makes an authority, once. "fleet ca issue" makes a certificate for a
fleet server, "fleet ca renew" a new one before that expires. Boards have the root
built in, which none of that changes:

    OTAUpdater(..., ca="ca.der")

Keep the authority's key off the server, and keep a copy: who has it can pass for the
server, and without it the boards cannot be given another certificate.`

// Files of an authority.
const (
	rootFile    = "ca.pem"
	rootDERFile = "ca.der"
	rootKeyFile = "ca.key"
)

func fleetCACommand() *cobra.Command {
	cmd := &cobra.Command{Use: "ca", Short: "Be the authority for certificates in a network without internet", Long: fleetCALong}
	cmd.AddCommand(fleetCAInitCommand(), fleetCAIssueCommand(), fleetCARenewCommand())
	return cmd
}

const fleetCAInitLong = `Make an authority: its private key ca.key, which only you can read, and its root
ca.pem, and the same in ca.der, which is shorter, for boards.

It prints how boards get it. Keys are ECDSA P-256, which the TLS of every board has.
The root is valid from 1970 on, so a board whose clock is not set takes it, too.`

func fleetCAInitCommand() *cobra.Command {
	var dir, name string
	var years int
	var force bool
	cmd := &cobra.Command{
		Use:     "init",
		Short:   "Make an authority",
		Long:    fleetCAInitLong,
		Example: "  saguarota fleet ca init --dir ca",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if years < 1 || years > 100 {
				return withHint(fmt.Errorf("an authority of %d years", years), "give 1 to 100 with --years")
			}
			authority, err := ca.New(name, time.Now(), years)
			if err != nil {
				return withHint(err, "give another --name")
			}
			key, err := authority.KeyPEM()
			if err != nil {
				return err
			}
			if err := os.MkdirAll(dir, 0o700); err != nil {
				return withHint(err, "choose another folder with --dir")
			}
			if err := writeFiles(force, []newFile{
				{filepath.Join(dir, rootKeyFile), key, 0o600},
				{filepath.Join(dir, rootFile), authority.CertPEM(), 0o644},
				{filepath.Join(dir, rootDERFile), authority.Cert.Raw, 0o644},
			}); err != nil {
				return explainFiles(err, "boards that have the old root would know no server any more; --force replaces it all the same")
			}
			der := filepath.Join(dir, rootDERFile)
			fmt.Fprintf(cmd.ErrOrStderr(), "%s: the authority's private key, for nobody but you\n", filepath.Join(dir, rootKeyFile))
			fmt.Fprintf(cmd.OutOrStdout(), `%s: the root, for programs; %s: the same, for boards; valid until %s
Copy it to every board, and give it to the updater:

    mpremote cp %s :%s
    OTAUpdater(..., ca=%q)

Next: saguarota fleet ca issue --dir %s NAME
`, filepath.Join(dir, rootFile), der, day(authority.Cert), der, rootDERFile, rootDERFile, dir)
			return nil
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "ca", "folder of the authority")
	cmd.Flags().StringVar(&name, "name", "SaguarOTA fleet", "what the authority calls itself")
	cmd.Flags().IntVar(&years, "years", ca.RootYears, "for how many years it is valid")
	cmd.Flags().BoolVar(&force, "force", false, "replace an authority that is there")
	return cmd
}

const fleetCAIssueLong = `Make a certificate for a fleet server, and its private key.

Give every name and address by which boards and people call the server. The files are
called after the first one, in the authority's folder, or what --output says.`

func fleetCAIssueCommand() *cobra.Command {
	var dir, output string
	var days int
	var force bool
	cmd := &cobra.Command{
		Use:     "issue NAME...",
		Short:   "Make a certificate for a server",
		Long:    fleetCAIssueLong,
		Example: "  saguarota fleet ca issue --dir ca updates.lan 192.168.1.5",
		RunE: func(cmd *cobra.Command, names []string) error {
			if len(names) == 0 {
				return withHint(errors.New("it is not said what the server is called"), "give its names and addresses: saguarota fleet ca issue updates.lan 192.168.1.5")
			}
			authority, err := readAuthority(dir)
			if err != nil {
				return err
			}
			if output == "" {
				output = filepath.Join(dir, strings.NewReplacer("*", "_", ":", "_").Replace(strings.ToLower(names[0])))
			}
			return issue(cmd, authority, names, days, output, force)
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "ca", "folder of the authority")
	cmd.Flags().StringVarP(&output, "output", "o", "", "files to write, without .pem and .key at their end")
	cmd.Flags().IntVar(&days, "days", ca.ServerDays, "for how many days it is valid")
	cmd.Flags().BoolVar(&force, "force", false, "replace files that are there")
	return cmd
}

// issue makes a certificate and its key in the files output.pem and output.key.
func issue(cmd *cobra.Command, authority *ca.Authority, names []string, days int, output string, force bool) error {
	if days < 1 || days > 100*365 {
		return withHint(fmt.Errorf("a certificate of %d days", days), "give at least 1 with --days")
	}
	pair, err := authority.Issue(names, time.Now(), days)
	if err != nil {
		return err
	}
	key, err := pair.KeyPEM()
	if err != nil {
		return err
	}
	// The key first: a server that looks between the two waits for the certificate.
	if err := writeFiles(force, []newFile{{output + ".key", key, 0o600}, {output + ".pem", pair.CertPEM(), 0o644}}); err != nil {
		return explainFiles(err, "saguarota fleet ca renew replaces a certificate; --force any file")
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%s.key: its private key, for nobody but the server\n", output)
	fmt.Fprintf(cmd.OutOrStdout(), "%s.pem: for %s, until %s\nsaguarota fleet serve --tls-cert %s.pem --tls-key %s.key\n",
		output, strings.Join(ca.Names(pair.Cert), ", "), day(pair.Cert), output, output)
	return nil
}

const fleetCARenewLong = `Make new certificates, with new keys, for the same names, in the same files.

Give the certificates' files; without any, all of the authority's folder are renewed. A
fleet server takes the new one by itself, without a restart.`

func fleetCARenewCommand() *cobra.Command {
	var dir string
	var days int
	cmd := &cobra.Command{
		Use:     "renew [FILE.pem...]",
		Short:   "Make new certificates before the old ones expire",
		Long:    fleetCARenewLong,
		Example: "  saguarota fleet ca renew --dir ca",
		RunE: func(cmd *cobra.Command, files []string) error {
			authority, err := readAuthority(dir)
			if err != nil {
				return err
			}
			if len(files) == 0 {
				all, err := filepath.Glob(filepath.Join(dir, "*.pem"))
				if err != nil {
					return err
				}
				for _, file := range all {
					if filepath.Base(file) != rootFile {
						files = append(files, file)
					}
				}
			}
			if len(files) == 0 {
				return withHint(fmt.Errorf("there is no certificate in %s", dir), "make one with: saguarota fleet ca issue NAME")
			}
			for _, file := range files {
				if err := renew(cmd, authority, file, days); err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "ca", "folder of the authority")
	cmd.Flags().IntVar(&days, "days", ca.ServerDays, "for how many days they are valid")
	return cmd
}

func renew(cmd *cobra.Command, authority *ca.Authority, file string, days int) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	old, err := ca.ParseCert(data)
	if err != nil {
		return fmt.Errorf("renew %s: %w", file, err)
	}
	if old.CheckSignatureFrom(authority.Cert) != nil {
		return withHint(fmt.Errorf("renew %s: another authority has issued it", file), "give the folder of its authority with --dir")
	}
	output, ok := strings.CutSuffix(file, ".pem")
	if !ok {
		return withHint(fmt.Errorf("renew %s: the name does not end with .pem", file), "issue one anew: saguarota fleet ca issue NAME -o FILE")
	}
	return issue(cmd, authority, ca.Names(old), days, output, true)
}

// readAuthority reads the authority in a folder.
func readAuthority(dir string) (*ca.Authority, error) {
	cert, err := os.ReadFile(filepath.Join(dir, rootFile))
	if err == nil {
		var key []byte
		if key, err = os.ReadFile(filepath.Join(dir, rootKeyFile)); err == nil {
			authority, err := ca.Parse(cert, key)
			if err != nil {
				err = fmt.Errorf("the authority in %s: %w", dir, err)
			}
			return authority, err
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, withHint(fmt.Errorf("there is no authority in %s: %w", dir, err), "make one with: saguarota fleet ca init --dir %s", dir)
	}
	return nil, err
}

// day returns until when a certificate is valid.
func day(cert *x509.Certificate) string { return cert.NotAfter.Format(time.DateOnly) }

// a newFile is a file to be written.
type newFile struct {
	name string
	data []byte
	mode fs.FileMode
}

// writeFiles writes all of the files, or none where one of them is there already and is not
// to be replaced: fs.ErrExist. A file that is replaced is the old one or the new one at any
// moment.
func writeFiles(replace bool, files []newFile) (err error) {
	var written []string // and to be removed, if it cannot be done
	defer func() {
		if err != nil {
			for _, name := range written {
				err = errors.Join(err, os.Remove(name))
			}
		}
	}()
	for _, f := range files {
		name := f.name
		if replace {
			name = fmt.Sprintf("%s.new%d", f.name, os.Getpid())
		}
		if err := createFile(name, f.data, f.mode); err != nil {
			return err
		}
		written = append(written, name)
	}
	if replace {
		for _, f := range files {
			if err := os.Rename(written[0], f.name); err != nil {
				return err
			}
			written = written[1:]
		}
	}
	return nil
}

// explainFiles says what to do about files that are there.
func explainFiles(err error, hint string) error {
	if errors.Is(err, fs.ErrExist) {
		return withHint(err, "%s", hint)
	}
	return err
}
