# Hardware that a simulated board does not have, so that an application which uses some starts:
# pins that read 0, buses on which every answer is zeros, radios that hear nothing. And a clock
# that does not wait: a sleep is over at once, and the time of day is what it would be then;
# timers and watchdogs that are due by then fire, in their order.
#
# docs/REHEARSE.md lists what is here.
import select as _select, sys, time as _time


class Module:
    # Constants that nobody wrote down here.
    def __getattr__(self, name):
        if name[0] != "_" and name.upper() == name:
            return 0
        raise AttributeError(name)


def nothing(*args, **kw):
    pass


def zero(*args, **kw):
    return 0


# Part of a board: takes any argument, and any call to it does nothing.
class Part:
    def __init__(self, *args, **kw):
        pass

    def __call__(self, *args, **kw):
        return 0

    def __getattr__(self, name):
        if name[0] == "_":
            raise AttributeError(name)
        return 0 if name.upper() == name else nothing

    def value(self, *args):
        return None if args else 0

    read_u16 = read_uv = read = duty = duty_u16 = duty_ns = freq = any = zero


class Pin(Part):
    IN = OPEN_DRAIN = PULL_UP = PULL_DOWN = IRQ_RISING = IRQ_FALLING = ANALOG = ALT = 1
    OUT = 3
    IRQ_LOW_LEVEL = WAKE_LOW = 4
    IRQ_HIGH_LEVEL = WAKE_HIGH = 5
    DRIVE_0 = DRIVE_1 = DRIVE_2 = DRIVE_3 = PULL_HOLD = ALT_OPEN_DRAIN = 0


class ADC(Part):
    ATTN_0DB = 0
    ATTN_2_5DB = 1
    ATTN_6DB = 2
    ATTN_11DB = 3
    WIDTH_9BIT = 9
    WIDTH_10BIT = 10
    WIDTH_11BIT = 11
    WIDTH_12BIT = 12


class Bus(Part):
    MSB = MASTER = CONTROLLER = 0
    LSB = 1
    INV_TX = INV_RX = RTS = CTS = 0

    def scan(self, *args):
        return []

    def read(self, n=0, *args):
        return bytes(n)

    def readfrom(self, addr, n, *args):
        return bytes(n)

    def readfrom_mem(self, addr, register, n, **kw):
        return bytes(n)


class UART(Bus):
    def read(self, *args):
        return None

    readline = read


class I2S(Part):
    RX = MONO = 0
    TX = STEREO = 1

    def write(self, buf):
        return len(buf)

    def readinto(self, buf):
        return len(buf)


class RTC(Part):
    def datetime(self, *args):
        return None if args else _time.gmtime()[:3] + (0,) + _time.gmtime()[3:6] + (0,)

    def memory(self, *args):
        return None if args else b""


class NeoPixel(Part):
    def __init__(self, pin, n, bpp=3, timing=1):
        self.n = n
        self.bpp = bpp
        self.buf = [(0,) * bpp] * n

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        return self.buf[i]

    def __setitem__(self, i, colour):
        self.buf[i] = colour

    def fill(self, colour):
        self.buf = [colour] * self.n


class NVS(Part):
    def get_i32(self, key):
        raise OSError(-4354)  # not found

    def get_blob(self, key, buf):
        raise OSError(-4354)


class Sensor(Part):
    temperature = humidity = zero

    def scan(self):
        return []


class Poll:
    def __init__(self):
        self.real = _select.poll()
        self.watched = False

    def register(self, *args):
        self.watched = True
        self.real.register(*args)

    def unregister(self, *args):
        self.real.unregister(*args)

    def modify(self, *args):
        self.real.modify(*args)

    def poll(self, timeout=-1):
        # The clock does not wait, but the server is real, and a busy machine's is slow: who would wait
        # long for an answer waits a little, and who looks again and again does, too.
        patience = 500 if timeout >= 2000 else 20 if timeout else 1
        while True:
            found = self.real.poll(patience if self.watched else 0)
            if found or timeout == 0:
                return found
            advance(1000 if timeout < 0 else timeout)
            if timeout > 0:
                return found

    def ipoll(self, timeout=-1, flags=0):
        return iter(self.poll(timeout))


class _Clock:
    ahead = 0  # of the real one, in ms
    left = None  # until the board is switched off, in ms; None before main.py
    timers = None


def advance(ms):
    if _Clock.left is not None and ms >= _Clock.left:
        _Clock.timers(_Clock.left)
        _Clock.leave(5, "switched off")
    _Clock.timers(ms)
    _Clock.ahead += ms
    if _Clock.left is not None:
        _Clock.left -= ms
    _time.sleep_ms(0)  # other threads


def begin(settle):
    _Clock.left = settle


def install(machine, leave):
    _Clock.leave = leave

    def timers(ms):
        if "Timer" in machine.__dict__:
            machine.jump(ms)

    def asleep(*args):
        # Until an alarm or a pin wakes it, by a reset: for a rehearsal that is the end.
        leave(5, "switched off")

    _Clock.timers = timers
    clock = Module()
    clock.nap = _time.sleep_ms  # for threads that await the real time
    clock.sleep = lambda s: advance(int(s * 1000))
    clock.sleep_ms = lambda ms: advance(max(ms, 0))
    clock.sleep_us = lambda us: advance(us // 1000) if us > 1000 else None
    clock.ticks_ms = lambda: _time.ticks_add(_time.ticks_ms(), _Clock.ahead)
    clock.ticks_us = lambda: _time.ticks_add(_time.ticks_us(), _Clock.ahead * 1000)
    clock.ticks_cpu = clock.ticks_us
    clock.time = lambda: int(_time.time()) + _Clock.ahead // 1000
    clock.time_ns = lambda: _time.time_ns() + _Clock.ahead * 1000000
    clock.gmtime = lambda s=None: _time.gmtime(clock.time() if s is None else s)
    clock.localtime = lambda s=None: _time.localtime(clock.time() if s is None else s)
    clock.mktime = _time.mktime
    clock.ticks_add = _time.ticks_add
    clock.ticks_diff = _time.ticks_diff

    polls = Module()
    polls.poll = Poll
    polls.select = lambda *lists: lists[:3]
    polls.POLLIN = _select.POLLIN
    polls.POLLOUT = _select.POLLOUT
    polls.POLLERR = _select.POLLERR
    polls.POLLHUP = _select.POLLHUP

    for name, part in (
        ("Pin", Pin), ("ADC", ADC), ("ADCBlock", ADC), ("DAC", Part), ("PWM", Part), ("TouchPad", Part),
        ("Signal", Pin), ("Encoder", Part), ("Counter", Part), ("I2C", Bus), ("SoftI2C", Bus),
        ("SPI", Bus), ("SoftSPI", Bus), ("UART", UART), ("I2S", I2S), ("RTC", RTC), ("SDCard", Part),
        ("lightsleep", lambda ms=1000: advance(ms)), ("deepsleep", asleep), ("sleep", asleep),
        ("idle", lambda: advance(1)), ("disable_irq", zero), ("enable_irq", nothing),
        ("wake_reason", zero), ("bitstream", nothing), ("time_pulse_us", lambda *args: -1),
    ):  # fmt: skip
        setattr(machine, name, part)

    modules = {"time": clock, "utime": clock, "select": polls, "uselect": polls, "umachine": machine}

    def module(name, **names):
        m = modules[name] = Module()
        for key in names:
            setattr(m, key, names[key])

    module("neopixel", NeoPixel=NeoPixel)
    module(
        "esp32", NVS=NVS, RMT=Part, PCNT=Part, ULP=Part, Partition=Part, raw_temperature=lambda: 100,
        mcu_temperature=lambda: 40, wake_on_ext0=nothing, wake_on_ext1=nothing, wake_on_touch=nothing,
        gpio_deep_sleep_hold=nothing, idf_heap_info=lambda cap: [(0, 0, 0, 0)],
    )  # fmt: skip
    module("esp", osdebug=nothing, flash_size=lambda: 4 << 20, sleep_type=zero)
    module("rp2", PIO=Part, StateMachine=Part, bootsel_button=zero, country=nothing)
    module("bluetooth", BLE=Part, UUID=Part)
    module("dht", DHT11=Sensor, DHT22=Sensor)
    module("onewire", OneWire=Sensor)
    module("ds18x20", DS18X20=Sensor)
    module("ntptime", settime=nothing, time=clock.time)
    module("espnow", ESPNow=Part, AIOESPNow=Part)
    sys.modules.update(modules)
    for name in ("network", "socket"):
        if name in sys.modules:
            sys.modules["u" + name] = sys.modules[name]
