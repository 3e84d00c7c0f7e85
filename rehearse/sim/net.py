# The network of a simulated board: every host is the one server of the rehearsal, whatever
# its name and port, and TLS is left out; or, without a server, no name is ever found.
import socket as _socket, sys


class Module:
    # Constants that nobody wrote down here.
    def __getattr__(self, name):
        if name[0] != "_" and name.upper() == name:
            return 0
        raise AttributeError(name)


class Sockets:
    def __init__(self, port):
        def getaddrinfo(host, number, *rest):
            if not port:
                raise OSError(-2)
            return _socket.getaddrinfo("127.0.0.1", port, *rest)

        self.getaddrinfo = getaddrinfo

    def __getattr__(self, name):
        return getattr(_socket, name)


class Context:
    def __init__(self, protocol=None):
        self.verify_mode = 0
        self.check_hostname = False

    def load_verify_locations(self, *args, **kw):
        pass

    def wrap_socket(self, sock, **kw):
        return sock


# A radio that connects at once.
class WLAN:
    IF_STA = PM_NONE = 0
    IF_AP = PM_PERFORMANCE = 1
    PM_POWERSAVE = 2
    SEC_OPEN = 0
    SEC_WPA2 = 3

    def __init__(self, *args):
        pass

    def isconnected(self):
        return True

    def ifconfig(self, *args):
        return ("127.0.0.1", "255.0.0.0", "127.0.0.1", "127.0.0.1")

    ipconfig = ifconfig

    def status(self, *args):
        return -50 if args else 1010

    def config(self, *args, **kw):
        return b"\2\0\0\0\0\1" if args == ("mac",) else 0

    def scan(self):
        return []

    def __getattr__(self, name):
        return lambda *args, **kw: True


def install(port):
    sys.modules["socket"] = Sockets(port)
    tls = Module()
    tls.SSLContext = Context
    tls.PROTOCOL_TLS_CLIENT = 0
    tls.CERT_NONE = 0
    tls.CERT_REQUIRED = 2
    sys.modules["ssl"] = sys.modules["tls"] = tls
    network = Module()
    network.WLAN = network.LAN = WLAN
    network.STA_IF = 0
    network.AP_IF = 1
    network.STAT_GOT_IP = 1010
    network.hostname = lambda *args: "board"
    network.country = lambda *args: "XX"
    sys.modules["network"] = network
