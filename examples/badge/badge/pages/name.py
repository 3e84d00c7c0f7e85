from badge.picture import Picture
from badge.version import VERSION


def show(display, settings):
    display.show(
        "Hello, my name is",
        [settings["owner"], "", "badge software " + VERSION],
        Picture("/assets/saguaro.rgb565", 38),
    )
