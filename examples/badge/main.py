# Starts the badge, and keeps the release that it came with once its first page is on screen.
from badge.app import Badge
from badge.display import Console
from badge.updates import options
from saguarota import OTAUpdater

badge = Badge(Console())
badge.show_next()

# Everything is imported and the display works. Whatever was wrong before this line, the
# updater would undo the release at one of the next boots.
if OTAUpdater(**options()).confirm_update(cleanup=True):
    print("badge: release confirmed")

badge.run()
