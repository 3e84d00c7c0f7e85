package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"os"

	"github.com/cactuscon/saguarota/release"
)

// signerMain is the program "signer" of the scripts, which plays a hardware
// module:
//
//	signer raw|base64 KEY    sign standard input
//	signer file KEY          the same, raw, if it is a file whose length is known, as OpenSSL wants it
func signerMain() {
	if err := signInput(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "signer:", err)
		os.Exit(1)
	}
}

func signInput(form, name string) error {
	data, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	key, err := release.ParsePrivateKey(data)
	if err != nil {
		return err
	}
	if info, err := os.Stdin.Stat(); form == "file" && (err != nil || !info.Mode().IsRegular() || info.Size() == 0) {
		return fmt.Errorf("the standard input is no file: %v, %v", info, err)
	}
	message, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	signature, err := key.Sign(context.Background(), message)
	if err != nil {
		return err
	}
	if form == "base64" {
		signature = []byte(base64.StdEncoding.EncodeToString(signature) + "\n")
	}
	_, err = os.Stdout.Write(signature)
	return err
}
