"""The names that applications compare with. The library itself writes the words."""


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
    MANIFEST = "manifest_mismatch"
    STATEMENT_FETCH = "statement_fetch_failed"
    STATEMENT = "statement_invalid"
    STATEMENT_SIGNATURE = "statement_signature_invalid"
    KEYSET_FETCH = "keyset_fetch_failed"
    KEYSET = "keyset_invalid"
    NOT_FOR_US = "not_for_this_board"
    EXPIRED = "release_expired"
    ROLLBACK = "rollback_refused"
    NO_PACK = "pack_unavailable"
    PACK = "pack_invalid"
    TRIAL = "trial_failed"
    REJECTED = "version_rejected"


class OTADeletePolicy:
    NEVER = "never"
    MANIFEST_EXTENSIONS = "manifest_extensions"
    CUSTOM_EXTENSIONS = "custom_extensions"
    ALL = "all"
    ALL_POLICIES = (NEVER, MANIFEST_EXTENSIONS, CUSTOM_EXTENSIONS, ALL)
