# An application on asyncio that updates itself: it prints a line every 20 ms, while the updater fetches
# and stages a release, and the longest time between two lines. Then it installs what is staged. The
# arguments: the server, the public key, and "apply" to do all of it at once.
import asyncio
import sys
import time

from saguarota import OTAUpdater

url, key, how = sys.argv[1:4]
ota = OTAUpdater(url + "versions.json", url, public_keys=[key], http_timeout_s=20)
longest = 0


async def tick():
    global longest
    last = time.ticks_ms()
    while True:
        print("tick")
        await asyncio.sleep_ms(20)
        now = time.ticks_ms()
        longest = max(longest, time.ticks_diff(now, last))
        last = now


async def main():
    task = asyncio.create_task(tick())
    staged = await ota.update(apply=how == "apply")
    print("staged", staged, ota.last_error_code, ota.last_error_message)
    print("longest", longest)
    print("again", await ota.update(apply=False), ota.last_error_code)
    task.cancel()


try:
    asyncio.run(main())
    ota.apply()
    print("error", ota.last_error_code)
except SystemExit:
    print("reset")
