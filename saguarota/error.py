"""The updater's own error, and the library's version."""

VERSION = "0.2.0"


class OTAError(Exception):
    """A failure with one of the codes of OTAErrorCode; nothing was installed."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code
