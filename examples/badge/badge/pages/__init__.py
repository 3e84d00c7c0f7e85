"""The pages in the order of their turn. Each is a module with show(display, settings)."""

from badge.pages import name, schedule, sponsors

PAGES = (name, schedule, sponsors)
