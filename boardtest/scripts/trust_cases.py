# Reads a list of cases, one JSON object a line, and prints a verdict for each. Bytes are in
# hexadecimal digits. A case has
#
#     public, message, signature    the verdict of ed25519.verify: True or False
#     statement, keys, threshold, board    ok, or the code of the StatementError; board has the
#                                          arguments of fits, or is null
#     keyset, after    the same; after is the keyset before, or null for one that signs itself
import sys
from binascii import unhexlify
from json import loads

from saguarota.ed25519 import verify
from saguarota.statement import StatementError, fits, follow, keyset, statement
from saguarota.statement import verify as verify_document


def drain(steps):
    for _ in steps:
        pass


def judge(case):
    if "public" in case:
        return verify(*[unhexlify(case[k]) for k in ("public", "message", "signature")])
    try:
        if "statement" in case:
            data = unhexlify(case["statement"])
            d = statement(data)
            keys = [unhexlify(k) for k in case["keys"] or ()]
            drain(verify_document(data, ((keys, case["threshold"]),)))
            if case["board"]:
                fits(d, **case["board"])
            return "ok {}".format(d["version"])
        data = unhexlify(case["keyset"])
        if case["after"]:
            drain(follow(data, keyset(unhexlify(case["after"]))))
        else:
            d = keyset(data)
            drain(verify_document(data, ((d["keys"], d["threshold"]),)))
        return "ok"
    except StatementError as e:
        return e.code


for line in sys.stdin:
    print(judge(loads(line)))
