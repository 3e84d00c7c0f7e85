_TALKS = (
    ("09:30", "Doors and coffee"),
    ("10:00", "Keynote"),
    ("11:00", "Soldering for the impatient"),
    ("14:00", "Updates over the air"),
)


def show(display, settings):
    display.show("Today", [at + "  " + title for at, title in _TALKS])
