def show(display, settings):
    display.show("Thank you", ["to everybody who made this possible"])
