"""The screen. A badge with one has a class like Console that draws; this one prints."""

_SHADES = " .:-=+*#%@"


class Console:
    """A screen of text, on the serial console."""

    WIDTH = 40

    def show(self, title, lines, picture=None):
        print("+" + "-" * self.WIDTH + "+")
        self._line(title.upper())
        if picture:
            for row in picture.rows():
                self._line("".join([_SHADES[shade] for shade in row]))
        for line in lines:
            self._line(line)
        print("+" + "-" * self.WIDTH + "+")

    def _line(self, text):
        text = text[: self.WIDTH - 2]
        print("| " + text + " " * (self.WIDTH - 1 - len(text)) + "|")
