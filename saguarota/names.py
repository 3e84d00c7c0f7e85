"""The names that applications compare with, and the updater's own error."""

VERSION = "0.2.0"


class OTAState:
    IDLE = "idle"
    INSTALLING = "installing"
    CONFIRM_PENDING = "confirm_pending"


class OTAErrorCode:
    MANIFEST_FETCH = "manifest_fetch_failed"
    MANIFEST_SIGNATURE = "manifest_signature_invalid"
    DOWNLOAD = "download_failed"
    MD5 = "md5_mismatch"
    APPLY = "apply_failed"
    HTTP_FS = "http_fs_failed"
    DELETE_EXTRAS = "delete_extraneous_failed"
    TRIAL = "trial_failed"
    REJECTED = "version_rejected"


class OTADeletePolicy:
    NEVER = "never"
    MANIFEST_EXTENSIONS = "manifest_extensions"
    CUSTOM_EXTENSIONS = "custom_extensions"
    ALL = "all"
    ALL_POLICIES = (NEVER, MANIFEST_EXTENSIONS, CUSTOM_EXTENSIONS, ALL)


class OTAError(Exception):
    """A failure with one of the codes of OTAErrorCode; nothing was installed."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code
