import time
from machine import Pin


class Lamp:
    def __init__(self, pin):
        self.pin = Pin(pin, Pin.OUT)
        self.level = 0

    def shine(self, level):
        self.level = level
        self.pin.value(level)

    def blink(self, times, pause_ms=200):
        for _ in range(times):
            self.shine(1)
            time.sleep_ms(pause_ms)
            self.shine(0)
            time.sleep_ms(pause_ms)


def main():
    lamp = Lamp(2)
    lamp.blink(3)
