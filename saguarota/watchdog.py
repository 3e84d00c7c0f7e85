"""The watchdog that watchdog_ms asks for."""

from .recover import RUN, builtin


def begin(ota):
    """Start machine.WDT, or restart its time; from here on, somebody must feed it.

    The updater does in each of its loops. Once started it cannot be stopped on most
    boards, so an application that asks for it must feed machine.WDT itself, also when
    nothing is on trial.
    """
    if ota.watchdog_ms and "wdt" not in RUN:
        RUN["wdt"] = builtin("machine").WDT(timeout=ota.watchdog_ms)
