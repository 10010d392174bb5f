"""A worker or a ticker: says that it is ready, then lives until it is asked to end."""

import signal
import sys
import time

signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
print("ready", flush=True)
while True:
    time.sleep(0.2)
    print("tick", flush=True)
