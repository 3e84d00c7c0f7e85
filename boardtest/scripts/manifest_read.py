# Reads manifests as the updater does. Standard input has a line of JSON for each:
#
#	{"file": …, "field": …, "key": …, "step": …}
#
# field: the signature's key, or null; key: verify with it, or null; step: bytes to read at a time.
# Answers a line of JSON for each: [version, signature, authentic, entries], or the error as text.
import json
import sys

from saguarota.compare import Manifest
from saguarota.manifest import ManifestError, Reader


def entries(job):
    """What a Reader makes of the file, a few bytes at a time."""
    out = []
    with open(job["file"], "rb") as f:
        for key, v in Reader(lambda b: f.readinto(memoryview(b)[: job["step"]])).items():
            if key is None:
                out.append(v)
    out.sort(key=lambda e: e[0])
    return out


for line in sys.stdin:
    job = json.loads(line)
    try:
        m = Manifest(job["file"], job["field"] or "signature")
        found = list(m.entries())
        answer = [m.version, m.signature, job["key"] is None or m.authentic(job["key"]), found]
        if entries(job) != found:
            answer = "read differently in small steps"
        elif m.count != len(found):
            answer = "counted wrongly"
    except ManifestError as e:
        answer = str(e)
    print(json.dumps(answer))
