# Standard input has a line of JSON for each HMAC: [key, data], in hex. Answers each with the
# HMAC in hex, computed in one piece and in several.
import json
import sys
from binascii import unhexlify

from saguarota.trust import HMAC, equal

for line in sys.stdin:
    key, data = [unhexlify(x) for x in json.loads(line)]
    whole = HMAC(key)
    whole.update(data)
    parts = HMAC(key)
    for i in range(0, len(data), 7):
        parts.update(data[i : i + 7])
    whole = whole.hexdigest()
    print(whole if equal(whole, parts.hexdigest()) and not equal(whole, whole[1:]) else "differs")
