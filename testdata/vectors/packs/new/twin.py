import machine

def blink(pin):
    machine.Pin(pin).off()

blink(2)
blink(3)
