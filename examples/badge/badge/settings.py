"""What belongs to this one badge: settings.json, which no release contains or touches."""

import json

_DEFAULTS = {"owner": "Attendee", "seconds_per_page": 5}


def load(path="/settings.json"):
    settings = dict(_DEFAULTS)
    try:
        with open(path) as f:
            settings.update(json.load(f))
    except (OSError, ValueError) as e:
        print("badge: settings.json:", repr(e))
    return settings
