_ROOMS = (
    ("Keynote", "main hall, ground floor"),
    ("Soldering", "room 2, up the stairs"),
    ("Coffee", "everywhere"),
)


def show(display, settings):
    display.show("Where is what", [what + ": " + where for what, where in _ROOMS])
