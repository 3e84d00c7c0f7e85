package release

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
)

// A CommandSigner is a Signer that asks a program: one that speaks to a
// hardware module or a key service. The program gets the message on its standard
// input, raw, and answers on its standard output with the signature: 64 raw
// bytes or the Base64 of them. The input is a file, since OpenSSL must know its
// length: openssl pkeyutl -sign -rawin -inkey KEY -in /dev/stdin
type CommandSigner struct {
	Key     PublicKey // that the program signs with
	Command string    // a line for the shell: sh, on Windows cmd
	Stderr  io.Writer // where the program may talk to the user; may be nil
}

// maxAnswer is more than any answer has; what comes after it is dropped.
const maxAnswer = 4096

// PublicKey implements Signer.
func (c *CommandSigner) PublicKey() PublicKey { return c.Key }

// Sign implements Signer. Errors do not quote the command, which may have a PIN
// in it.
func (c *CommandSigner) Sign(ctx context.Context, message []byte) ([]byte, error) {
	shell, flag := "sh", "-c"
	if runtime.GOOS == "windows" {
		shell, flag = "cmd", "/C"
	}
	cmd := exec.CommandContext(ctx, shell, flag, c.Command)
	input, err := messageFile(message)
	if err != nil {
		return nil, fmt.Errorf("hand the message to the signing command: %w", err)
	}
	defer os.Remove(input.Name())
	defer input.Close()
	cmd.Stdin = input
	cmd.Stderr = c.Stderr
	answer := limitedBuffer{left: maxAnswer}
	cmd.Stdout = &answer
	if err := cmd.Run(); err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return nil, fmt.Errorf("the signing command failed: %w", err)
		}
		return nil, fmt.Errorf("run the signing command: %w", err)
	}
	raw := answer.data
	if len(raw) == 64 {
		return raw, nil
	}
	if decoded, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(raw))); err == nil && len(decoded) == 64 {
		return decoded, nil
	}
	return nil, fmt.Errorf("the signing command answered with %d bytes that are neither a signature of 64 bytes nor the Base64 of one", len(raw))
}

// messageFile returns a temporary file that holds the message, to be read from
// its start. There is nothing secret in it.
func messageFile(message []byte) (*os.File, error) {
	f, err := os.CreateTemp("", "saguarota-message-")
	if err != nil {
		return nil, err
	}
	_, err = f.Write(message)
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		f.Close()
		os.Remove(f.Name())
		return nil, err
	}
	return f, nil
}

// limitedBuffer keeps the first bytes of what is written to it. (It embeds no
// buffer: io.Copy would find its ReadFrom and go round the limit.)
type limitedBuffer struct {
	data []byte
	left int
}

// Write implements io.Writer. It never fails, so that the program that writes
// is not killed for it.
func (b *limitedBuffer) Write(p []byte) (int, error) {
	n := min(len(p), b.left)
	b.left -= n
	b.data = append(b.data, p[:n]...)
	return len(p), nil
}
