"""SaguarOTA: over-the-air updates for MicroPython boards.

On a board: ``from saguarota import OTAUpdater, OTAState, OTAErrorCode, OTADeletePolicy, run``.
On a computer: ``from saguarota.py3utils import OTAManifestBuilder, OTAManifestServer``.

Names are loaded when they are asked for. Modules of this package import each other by
``from .module import name``: ``from . import module`` would ask for a name here.
"""

import sys

if sys.implementation.name == "micropython":
    __all__ = ("OTAUpdater", "OTAState", "OTAErrorCode", "OTADeletePolicy", "run")

    def __getattr__(name):
        if name == "OTAUpdater":
            from .saguarota import OTAUpdater

            return OTAUpdater
        if name == "run":
            from .run import run

            # In this place the import has put the module of that name.
            sys.modules[__name__].run = run
            return run
        if name in __all__:
            __import__(__name__ + ".names")
            return getattr(sys.modules[__name__ + ".names"], name)
        raise AttributeError(name)

else:
    __all__ = ("OTAManifestBuilder", "OTAManifestServer")

    def __getattr__(name):
        if name in __all__:
            from . import py3utils

            return getattr(py3utils, name)
        if name in ("OTAUpdater", "OTAState", "OTAErrorCode", "OTADeletePolicy", "run"):
            raise ImportError(
                name + " is the board's half of SaguarOTA and runs on MicroPython; "
                "on this computer use saguarota.py3utils or the saguarota command"
            )
        raise AttributeError("module 'saguarota' has no attribute " + repr(name))
