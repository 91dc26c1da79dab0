"""Customers of the shop next door: a bounded number of requests a second to 127.0.0.1, for as long as the pod lives."""

import argparse
import http.client
import itertools
import signal
import sys
import time

PAGES = ("/catalog", "/basket", "/basket", "/search")


def visit(shop: http.client.HTTPConnection, page: str) -> None:
    """Asks for one page and reads all of it."""
    shop.request("GET", page)
    shop.getresponse().read()


def main() -> None:
    """Keeps the pace even when the shop is slow, and never more than one request at a time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--per-second", type=float, default=10)
    parser.add_argument("--port", type=int, default=8080)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    shop = http.client.HTTPConnection("127.0.0.1", options.port, timeout=10)
    for page in itertools.cycle(PAGES):
        started = time.monotonic()
        try:
            visit(shop, page)
        except (OSError, http.client.HTTPException):
            shop.close()
            time.sleep(0.5)
        time.sleep(max(0.0, 1 / options.per_second - (time.monotonic() - started)))


if __name__ == "__main__":
    main()
