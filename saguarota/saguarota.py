"""OTAUpdater: what an application calls.

Kept small, because every boot imports it. Recovery is in recover.py; the rest is loaded
only when there is something to ask a server or to put back.
"""

from .recover import reset, start


class OTAUpdater:
    """Keeps one tree of files on the board at the newest release of one server.

    Only manifest_url and base_file_url are needed; docs/API.md describes the others,
    config.py has their order and defaults. Every option is an attribute, too.
    last_error_code and last_error_message tell what went wrong last, or are None.
    """

    def __init__(self, manifest_url, base_file_url, *args, **kwargs):
        self._args = (manifest_url, base_file_url) + args
        self._kwargs = kwargs
        name = args[5] if len(args) > 5 else kwargs.get("application_name")
        self.backup_dir = (name or "saguarota") + "_backup"
        self.last_error_code = self.last_error_message = None

    def __getattr__(self, name):
        if name[0] == "_" or self._args is None:
            raise AttributeError(name)
        from .config import apply

        args = self._args
        self._args = None
        apply(self, args, self._kwargs)
        return getattr(self, name)

    def check_and_perform_ota(self):
        """Recover if need be, then look for a release and install it.

        Resets the board once a release is installed. Never raises: what went wrong is in
        last_error_code and last_error_message, and the installed release runs on.
        """
        try:
            for wait in self.steps():
                if wait:
                    from time import sleep_ms

                    sleep_ms(wait)
        except Exception as e:
            self._failed(e)

    def steps(self):
        """The same as a generator, in small steps; raises what goes wrong.

        Each item is the number of milliseconds to wait before the next step. An
        application may do other work between two steps.
        """
        self.last_error_code = self.last_error_message = None
        j = self._recover()
        if j.state == "T":
            print("OTA: an update waits for confirm_update(); not looking for another")
            return
        from .update import run

        yield from run(self, j)

    def confirm_update(self, cleanup=False):
        """Keep the release on trial: the application calls this once it is healthy.

        cleanup: drop the backups too; otherwise revert_update() can still go back.
        Returns True where a release was on trial. Never raises.
        """
        return self._do("confirm", cleanup)

    def cleanup_files(self):
        """Drop the backups of a confirmed update.

        Returns False while confirmation is pending and where there were none. Never raises.
        """
        return self._do("drop_backups")

    def revert_update(self):
        """Go back to the release before: from a trial, or while its backups are kept.

        Resets the board; the release is remembered and not installed again. Does nothing
        where there is nothing to go back to. Never raises.
        """
        self._do("revert")

    def fetch_manifest(self):
        """The server's manifest as a dict, checked; None where that fails.

        It is held in memory whole, unlike in an update.
        """
        self.last_error_code = self.last_error_message = None
        try:
            from .poll import fetch_dict

            return fetch_dict(self)
        except Exception as e:
            self._failed(e)

    def release(self):
        """Drop everything this object holds and collect the garbage."""
        import gc

        for name in tuple(self.__dict__):
            setattr(self, name, None)
        gc.collect()

    def _recover(self):
        j = start(self.backup_dir)
        if j.state is None:
            from .original import take_over

            take_over(self, j)
        return j

    def _do(self, what, *args):
        try:
            j = self._recover()
            if j.state in ("I", None):
                return False  # nothing to confirm, drop or revert: the usual case
            j.state_file = self.ota_state_file
            trial = __import__(__name__.replace(".saguarota", ".trial"), None, None, (what,))
            return getattr(trial, what)(self, j, *args)
        except Exception as e:
            self._failed(e)
            return False

    def _failed(self, e):
        self.last_error_code = getattr(e, "code", "apply_failed")
        self.last_error_message = str(e) or repr(e)
        print("OTA error [{}]: {}".format(self.last_error_code, self.last_error_message))

    def _emit(self, event, details):
        if self.progress_callback:
            try:
                self.progress_callback(event, details)
            except Exception as e:
                print("OTA: progress_callback failed:", repr(e))

    def _live(self, path):
        """Where a file of the release is on the board."""
        return self.dest_dir.rstrip("/") + "/" + path if self.dest_dir else path
