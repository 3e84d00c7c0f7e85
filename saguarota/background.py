"""An update beside the application: the asyncio form of OTAUpdater."""


async def update(ota, apply=True):
    """check_and_perform_ota() for an application that runs on meanwhile.

    apply: False to stop once the release is staged; apply() installs it, when it suits the
    application. Returns whether a release is staged. Never raises: see last_error_code.
    """
    from asyncio import sleep_ms

    if ota.__dict__.get("background"):
        print("OTA: update() is at work already")
        return False
    ota.background = True
    ota.staged = None
    steps = ota.steps(apply)
    try:
        for wait in steps:
            await sleep_ms(wait)
    except Exception as e:
        ota._failed(e)
    finally:
        steps.close()  # where the task was cancelled
        ota.background = False
    return ota.staged is not None


def apply(ota):
    """Install what update(apply=False) has staged, and reset the board.

    Returns where nothing is staged. Never raises: see last_error_code.
    """
    if not ota.__dict__.get("staged"):
        print("OTA: nothing is staged")
        return
    ota.last_error_code = ota.last_error_message = None
    try:
        from .update import install

        for _ in install(ota, ota._recover()):
            pass
    except Exception as e:
        ota._failed(e)
