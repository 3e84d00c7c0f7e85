import machine

def blink(pin):
    machine.Pin(pin).on()

blink(2)
