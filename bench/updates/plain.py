# A plain updater: the manifest, then every file whose MD5 differs, whole, each over a connection of its own, straight to
# its place.
import hashlib
import json
import os
import socket
from binascii import hexlify

HOST, PORT = "127.0.0.1", PORT_NUMBER


def fetch(path, to):
    s = socket.socket()
    s.connect(socket.getaddrinfo(HOST, PORT)[0][-1])
    s.write(b"GET /ota/%s HTTP/1.0\r\nHost: %s\r\n\r\n" % (path.encode(), HOST.encode()))
    if b" 200 " not in s.readline():
        raise OSError(path)
    while s.readline() != b"\r\n":
        pass
    buf = bytearray(1024)
    with open(to, "wb") as f:
        while True:
            n = s.readinto(buf)
            if not n:
                break
            f.write(memoryview(buf)[:n])
    s.close()


def md5(path):
    h = hashlib.md5()
    buf = bytearray(1024)
    try:
        with open(path, "rb") as f:
            while True:
                n = f.readinto(buf)
                if not n:
                    return hexlify(h.digest()).decode()
                h.update(memoryview(buf)[:n])
    except OSError:
        return None


def folders(path):
    for i in range(len(path)):
        if path[i] == "/":
            try:
                os.mkdir(path[:i])
            except OSError:
                pass


fetch("versions.json", "new.json")
with open("new.json") as f:
    new = json.load(f)
with open("versions.json") as f:
    old = json.load(f)
if new["version"] > old["version"]:
    for entry in new["files"]:
        if md5(entry["path"]) != entry["md5"]:
            folders(entry["path"])
            fetch(entry["path"], entry["path"])
    os.rename("new.json", "versions.json")
    print("plain: updated")
import machine
machine.reset()
