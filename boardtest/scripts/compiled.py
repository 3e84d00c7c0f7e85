# Runs a compiled script: the arguments are its folder, its name, and those of its own.
import sys

sys.path.insert(0, sys.argv.pop(1))
__import__(sys.argv.pop(1))
