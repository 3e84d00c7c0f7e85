# Drives the HTTP client as told by a JSON document (standard input; arguments cannot be long):
#     {"options": {...for Client}, "ops": [["get", url, start, etag], ["read", n], ...], "der_only": false}
# and prints a line for what each operation gave.
import json
import sys

from http import Client, HTTPError, quote

job = json.load(sys.stdin)
options = job["options"]
if options.get("ca") is not None:
    import binascii

    options["ca"] = binascii.a2b_base64(options["ca"])
if job["der_only"]:
    # Many boards' TLS rejects PEM, this machine's does not.
    import tls

    class DEROnly:
        def __init__(self, protocol):
            self.context = tls.SSLContext(protocol)

        def load_verify_locations(self, ca):
            if b"-----BEGIN" in ca:
                raise ValueError("invalid cert")
            self.context.load_verify_locations(ca)

        def wrap_socket(self, *args, **kwargs):
            self.context.verify_mode = self.verify_mode
            return self.context.wrap_socket(*args, **kwargs)

    class Module:
        SSLContext = DEROnly
        PROTOCOL_TLS_CLIENT = tls.PROTOCOL_TLS_CLIENT
        CERT_NONE = tls.CERT_NONE
        CERT_REQUIRED = tls.CERT_REQUIRED

    sys.modules["tls"] = Module

client = Client(**options)


def read(n):
    # The whole body by a buffer of n bytes: its size and its first bytes.
    buf = bytearray(n)
    size = 0
    first = b""
    try:
        while True:
            got = client.readinto(buf)
            if not got:
                break
            size += got
            first += buf[: min(got, 60 - len(first))]
    finally:
        print("body", size, bytes(first))


def some(n):
    # One call only; what it gave is not printed, for it depends on how the network cut the data.
    client.readinto(bytearray(n))


for op in job["ops"]:
    try:
        if op[0] == "get":
            c = client.get(*op[1:])
            print("head", c.status, c.length, c.start, c.total, c.etag)
        elif op[0] == "read":
            read(op[1])
        elif op[0] == "some":
            some(op[1])
        elif op[0] == "close":
            client.close()
        elif op[0] == "quote":
            print("quote", quote(op[1]))
        else:
            raise ValueError(op[0])
    except HTTPError as e:
        print("error", e.status, e)
