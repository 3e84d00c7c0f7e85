"""Pictures in RGB565, two bytes a pixel, the high one first, row after row."""


class Picture:
    def __init__(self, path, width):
        self.path = path
        self.width = width

    def rows(self):
        """Each second row as a list of shades, 0 (black) to 9: a letter is twice as high
        as it is wide. One row is held in memory, not the picture."""
        row = bytearray(2 * self.width)
        with open(self.path, "rb") as f:
            while f.readinto(row) == len(row):
                yield [_shade(row[i] << 8 | row[i + 1]) for i in range(0, len(row), 2)]
                f.seek(len(row), 1)


def _shade(color):
    red, green, blue = color >> 11, color >> 5 & 63, color & 31
    return (2 * red + 2 * green + blue) * 9 // (2 * 31 + 2 * 63 + 31)
