//go:build !linux

package postgrestest

import (
	"errors"
	"os"
	"os/exec"
)

// asOrdinaryUser returns what makes a command run as somebody else than root, as
// PostgreSQL insists on.
func asOrdinaryUser(string) func(*exec.Cmd) error {
	return func(*exec.Cmd) error {
		if os.Getuid() == 0 {
			return errors.New("PostgreSQL does not run as root; run the tests as another user")
		}
		return nil
	}
}
