package main

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/cactuscon/saguarota/fleet/blob"
	"github.com/cactuscon/saguarota/fleet/sqlstore"
)

const fleetBackupLong = `Write a copy of a fleet's database to FILE, which must not exist yet.

The server may go on running: the copy is the database as it is at one moment, with
all that was accepted until then. The files of releases are not in it. They never
change, so copy their folder (blobs, in that of --data) as it is, after this.

To restore, give a new folder for --data the copy as fleet.db, and the files as
blobs, and start the server.`

func fleetBackupCommand() *cobra.Command {
	var o fleetOptions
	cmd := &cobra.Command{
		Use:     "backup FILE --data DIR",
		Short:   "Copy the database while the server runs",
		Long:    fleetBackupLong,
		Example: "  saguarota fleet backup /backup/fleet-monday.db --data /var/lib/saguarota",
		Args:    oneArgument("file", "saguarota fleet backup FILE --data DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := readSettings(cmd.Flags()); err != nil {
				return err
			}
			if err := o.complete(); err != nil {
				return err
			}
			if sqlstore.IsPostgres(o.db) {
				return withHint(fmt.Errorf("%s is a PostgreSQL database", sqlstore.Redacted(o.db)), "back it up with PostgreSQL's own pg_dump, which is consistent, too")
			}
			ctx, stop := interruptible(cmd)
			defer stop()
			err := sqlstore.Backup(ctx, o.db, args[0])
			switch {
			case errors.Is(err, fs.ErrExist):
				return withHint(err, "choose another name: no backup is overwritten")
			case errors.Is(err, fs.ErrNotExist):
				return withHint(err, "check --data or --db, and that the folder for the copy exists")
			case err != nil:
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: the database of %s\nNow copy the files of releases, too: %s\n", args[0], o.db, blob.Redacted(o.blobs))
			return nil
		},
	}
	o.add(cmd.Flags())
	return cmd
}
