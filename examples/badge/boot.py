# The first file of the badge that runs: looks for a new release and installs it.
#
# The library's start-up check runs in here too. So nothing that a release can break may keep
# this file from it: with broken settings the badge finds no release, but still goes back to
# the one before, if it must.
from saguarota import OTAUpdater

try:
    from badge.updates import options

    ota = OTAUpdater(**options())
except Exception as e:
    print("badge: no settings for updates:", repr(e))
    ota = OTAUpdater("", "")

ota.check_and_perform_ota()
