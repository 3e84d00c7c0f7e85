"""Start an application so that a release which cannot start is undone."""

import sys

from .recover import reset, start


def run(name, application_name="saguarota"):
    """Import the module that is the application, for main.py; returns the module.

    An exception in it is raised as ever, but while a release is on trial it is printed
    and the board restarts: after trial_boots such boots the release is undone.
    """
    j = start(application_name + "_backup")
    try:
        return __import__(name)
    except Exception as e:
        if j.state != "T":
            raise
        sys.print_exception(e)
        reset()
