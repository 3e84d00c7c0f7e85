# Writes the JSON on standard input as this MicroPython's json module writes it.
import json
import sys

print(json.dumps(json.load(sys.stdin)))
