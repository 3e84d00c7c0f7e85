# Timer and WDT of a simulated board (see board.py, which gives this `leave`).
#
# Each armed one has a thread that sleeps until it is due. A timer's callback then runs in the
# main thread, between two bytecodes, as on a board; a watchdog leaves at once.
import _thread, ffi, micropython, sys

# The firmware's, also where a file of the board hides it.
time = sys.modules.get("time") or __import__("utime")

_libc = ffi.open(None)
_kill = _libc.func("i", "kill", "ii")
_pid = _libc.func("i", "getpid", "")()
# The signal wakes the main thread from a sleep or a read, so that it looks for callbacks. Any
# C function that does no harm will do for its handler.
_libc.func("p", "signal", "ip")(14, _libc.addr("getpid"))

# With a clock that does not wait (devices.py), a thread must.
_nap = getattr(time, "nap", time.sleep_ms)

armed = []


class Timer:
    ONE_SHOT = 0
    PERIODIC = 1

    def __init__(self, id=-1, **kw):
        self.due = None
        if kw:
            self.init(**kw)

    def init(self, *, mode=1, period=-1, freq=-1, callback=None, **_):
        self.deinit()
        self.period = int(period if freq == -1 else 1000 / freq)
        self.mode = mode
        self.callback = callback
        self.due = time.ticks_add(time.ticks_ms(), self.period)
        armed.append(self)
        _thread.start_new_thread(self._run, (self.due,))

    def deinit(self):
        self.due = None
        if self in armed:
            armed.remove(self)

    # The thread of one init; it ends when that is over.
    def _run(self, due):
        while self.due == due:
            wait = time.ticks_diff(due, time.ticks_ms())
            if wait > 0:
                _nap(wait)
                continue
            due = self.next()
            if self.callback:
                try:
                    micropython.schedule(self.callback, self)
                except RuntimeError:
                    continue  # the queue is full: this one is lost, as on a board
                _kill(_pid, 14)

    def next(self):
        if self.mode:
            self.due = time.ticks_add(self.due, self.period)
        else:
            self.deinit()
        return self.due

    def fire(self):
        self.next()
        if self.callback:
            try:
                self.callback(self)
            except Exception as e:
                sys.print_exception(e)


class WDT:
    def __init__(self, id=0, timeout=5000):
        self.period = timeout
        self.feed()
        armed.append(self)
        _thread.start_new_thread(self._run, ())

    def feed(self):
        self.due = time.ticks_add(time.ticks_ms(), self.period)

    def _run(self):
        while True:
            wait = time.ticks_diff(self.due, time.ticks_ms())
            if wait <= 0:
                self.fire()
            _nap(wait)

    def fire(self):
        leave(3, "watchdog")


# Where nothing but timers runs, time can jump: fires what is due within ms, in its order.
def jump(ms):
    end = time.ticks_add(time.ticks_ms(), ms)
    while armed:
        first = armed[0]
        for t in armed:
            if time.ticks_diff(t.due, first.due) < 0:
                first = t
        if time.ticks_diff(first.due, end) > 0:
            break
        first.fire()
