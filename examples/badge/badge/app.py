"""The badge's application: shows one page after the other."""

import time

from badge.pages import PAGES
from badge.settings import load


class Badge:
    def __init__(self, display):
        self.display = display
        self.settings = load()
        self.turn = 0

    def show_next(self):
        page = PAGES[self.turn % len(PAGES)]
        self.turn += 1
        page.show(self.display, self.settings)

    def run(self):
        while True:
            time.sleep(self.settings["seconds_per_page"])
            self.show_next()
