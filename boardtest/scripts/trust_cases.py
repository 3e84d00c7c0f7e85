# Reads a list of cases, one JSON object a line, and prints a verdict for each. Bytes are in
# hexadecimal digits. A case has
#
#     public, message, signature    the verdict of ed25519.verify: True or False
#     statement, keys, threshold, board    ok and the version, or why not, in the one word that
#                                          testdata/vectors has for it; board has the arguments
#                                          of check, or is null
#     keyset, after    the same; after is the keyset before, or null for one that signs itself
import sys
from binascii import unhexlify
from json import loads

from saguarota.ed25519 import verify
from saguarota.error import OTAError
from saguarota.keyring import check
from saguarota.statement import keyset, statement
from saguarota.statement import verify as verify_document

# What an error's code does not tell apart, its text does: word, code, a part of the text.
WORDS = (
    ("signature", "statement_signature_invalid", "wrong signature"),
    ("threshold", "statement_signature_invalid", "where it takes"),
    ("sequence", "statement_invalid", "is not next to"),
    ("sequence", "statement_invalid", "the keyset is for"),
    ("format", "statement_invalid", ""),
    ("app", "not_for_this_board", "application"),
    ("channel", "not_for_this_board", "channel"),
    ("board", "not_for_this_board", "this board"),
    ("mpy", "not_for_this_board", ".mpy"),
    ("micropython", "not_for_this_board", "MicroPython"),
    ("expired", "release_expired", ""),
    ("rollback", "rollback_refused", ""),
)


def drain(steps):
    while True:
        try:
            next(steps)
        except StopIteration as e:
            return e.value


def judge(case):
    if "public" in case:
        return drain(verify(*[unhexlify(case[k]) for k in ("public", "message", "signature")]))
    try:
        if "statement" in case:
            data = unhexlify(case["statement"])
            d = statement(data)
            keys = [unhexlify(k) for k in case["keys"] or ()]
            drain(verify_document(data, {"keys": keys, "threshold": case["threshold"]}))
            if case["board"]:
                check(d, **case["board"])
            return "ok {}".format(d["version"])
        data = unhexlify(case["keyset"])
        if case["after"]:
            old = keyset(unhexlify(case["after"]))
            drain(verify_document(data, old, keyset(data, old)))
        else:
            d = keyset(data)
            drain(verify_document(data, d))
        return "ok"
    except OTAError as e:
        for word, code, text in WORDS:
            if e.code == code and text in str(e):
                return word
        return "{} {}".format(e.code, e)


for line in sys.stdin:
    print(judge(loads(line)))
