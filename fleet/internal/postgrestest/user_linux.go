package postgrestest

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
)

// asOrdinaryUser returns what makes a command run as somebody else than root, as
// PostgreSQL insists on. In a user namespace root can pass for another user and
// still read whatever root can, also this project's files in a folder of root's.
// Where that is not allowed, it is the user nobody, who gets the folder dir.
func asOrdinaryUser(dir string) func(*exec.Cmd) error {
	if os.Getuid() != 0 {
		return func(cmd *exec.Cmd) error {
			cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGQUIT}
			return nil
		}
	}
	namespace := func(cmd *exec.Cmd) error {
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 1000, HostID: 0, Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 1000, HostID: 0, Size: 1}},
			Pdeathsig:   syscall.SIGQUIT,
		}
		return nil
	}
	if works(namespace) {
		return namespace
	}
	const nobody = 65534
	return func(cmd *exec.Cmd) error {
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Credential: &syscall.Credential{Uid: nobody, Gid: nobody},
			Pdeathsig:  syscall.SIGQUIT,
		}
		cmd.Dir = dir
		return errors.Join(os.Chown(dir, nobody, nobody), os.Chmod(dir, 0o700))
	}
}
