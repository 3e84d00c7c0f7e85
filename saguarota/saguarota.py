"""OTAUpdater: what an application calls.

Kept small, because every boot imports it. Recovery is in recover.py; the rest is loaded
only when there is something to ask a server or to put back.
"""

from .recover import exists, start


class OTAUpdater:
    """Keeps one tree of files on the board at the newest release of one server.

    Only manifest_url and base_file_url are needed; docs/API.md describes the other options,
    config.py has their order, their defaults and the rest of the methods. Every option is
    an attribute, too. last_error_code and last_error_message tell what went wrong last.
    """

    def __init__(self, manifest_url, base_file_url, *args, **kwargs):
        self._args = (manifest_url, base_file_url) + args
        self._kwargs = kwargs
        name = args[5] if len(args) > 5 else kwargs.get("application_name")
        self.backup_dir = (name or "saguarota") + "_backup"
        self.last_error_code = self.last_error_message = self.next_poll_s = None

    def __getattr__(self, name):
        # Options and the methods that few boots call: found once they are asked for.
        from .config import attribute

        return attribute(self, name)

    def check_and_perform_ota(self):
        """Recover if need be, then look for a release and install it.

        Resets the board once a release is installed. Never raises: what went wrong is in
        last_error_code and last_error_message, and the installed release runs on.
        """
        try:
            for wait in self.steps():
                if wait:
                    from .update import sleep

                    sleep(wait)
        except Exception as e:
            self._failed(e)

    def steps(self, apply=True):
        """The same as a generator, in small steps; raises what goes wrong.

        Each item is the number of milliseconds to wait before the next step. An
        application may do other work between two steps. apply: False to stop before the
        installation, which apply() then makes.
        """
        self.error = self.last_error_code  # of the check before, for report.py
        self.last_error_code = self.last_error_message = None
        j = self._recover()
        if "watchdog_ms" in self._kwargs:
            from .watchdog import begin

            begin(self)
        if j.state == "T":
            from .trial import pending

            pending(self, j)
            return
        from .update import run

        yield from run(self, j, apply)

    def confirm_update(self, cleanup=False):
        """Keep the release on trial: the application calls this once it is healthy.

        cleanup: drop the backups too; otherwise revert_update() can still go back.
        Returns True where a release was on trial. Never raises.
        """
        try:
            j = self._recover()
            if j.state != "T":
                return False
            from .trial import confirm

            confirm(j, not cleanup)
            if self._kwargs.get("device_id"):
                from .report import send

                send(self, j)
            return True
        except Exception as e:
            self._failed(e)
            return False

    def _recover(self):
        j = start(self.backup_dir)
        if j.mode == "o" or j.state is None and exists(self.backup_dir):
            from .original import take_over

            take_over(self, j)
        return j

    def _failed(self, e):
        self.last_error_code = getattr(e, "code", "apply_failed")
        self.last_error_message = str(e) or repr(e)
        print("OTA error [{}]: {}".format(self.last_error_code, self.last_error_message))
