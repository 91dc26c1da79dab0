"""A small web shop that spends its time where a flame graph can show it.

Three pages, each with its own hot spot: /catalog (render_catalog), /basket (price_basket, most of it in
apply_discounts) and /search (search_products). Nothing is kept, nothing is called, nothing but Python is needed.
"""

import hashlib
import html
import json
import signal
import sys
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PRODUCTS = [
    {"sku": f"sku-{number:04}", "name": f"{colour} {thing} no. {number}", "cents": 199 + number * 37 % 9800}
    for number in range(3000)
    for colour, thing in [(["red", "green", "blue"][number % 3], ["cup", "lamp", "chair", "rug"][number % 4])]
]
VOUCHERS = [hashlib.sha256(f"voucher {number}".encode()).hexdigest() for number in range(800)]


def render_catalog() -> str:
    """Writes the 300 most popular products as a page."""
    rows = [render_row(product) for product in rank_products()[:300]]
    return "<table>" + "".join(rows) + "</table>"


def rank_products() -> list:
    """Sorts all products anew for every page."""
    return sorted(PRODUCTS, key=popularity, reverse=True)


def popularity(product: dict) -> bytes:
    """Stands for a statistic that is expensive to compute."""
    return hashlib.sha256(product["sku"].encode() * 20).digest()


def render_row(product: dict) -> str:
    """Writes one product, escaped letter by letter, the slow way."""
    name = "".join(html.escape(letter) for letter in product["name"])
    return f"<tr><td>{product['sku']}</td><td>{name}</td><td>{format_price(product['cents'])}</td></tr>"


def format_price(cents: int) -> str:
    """Writes cents as euros."""
    return f"{cents // 100}.{cents % 100:02} EUR"


def price_basket() -> dict:
    """Adds up a basket of every fiftieth product, with discounts and tax."""
    basket = PRODUCTS[::50]
    net = sum(apply_discounts(product) for product in basket)
    return {"items": len(basket), "net": net, "gross": add_tax(net)}


def apply_discounts(product: dict) -> int:
    """Finds the best of all vouchers for one product. This is the shop's worst function."""
    best = 0
    for voucher in VOUCHERS:
        digest = hashlib.sha256((voucher + product["sku"]).encode()).digest()
        best = max(best, digest[0] % 20)
    return product["cents"] * (100 - best) // 100


def add_tax(net: int) -> int:
    """Adds 20 percent."""
    return net * 120 // 100


def search_products(words: str) -> list:
    """Finds products by comparing every word with every word."""
    return [product["sku"] for product in PRODUCTS if similarity(words, product["name"]) > 0]


def similarity(left: str, right: str) -> int:
    """Counts the words that two texts share."""
    return sum(one == other for one in left.split() for other in right.split())


class Shop(BaseHTTPRequestHandler):
    """Answers one request."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Serves the four pages."""
        pages = {
            "/healthz": lambda: "ok",
            "/catalog": render_catalog,
            "/basket": lambda: json.dumps(price_basket()),
            "/search": lambda: json.dumps(search_products("red lamp")),
        }
        page = pages.get(self.path)
        body = (page() if page else "not here").encode()
        self.send_response(HTTPStatus.OK if page else HTTPStatus.NOT_FOUND)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Stays silent: the log of the pod is for what matters."""


def main() -> None:
    """Serves until it is told to end. As PID 1 it must say so itself: the kernel gives PID 1 no default."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    server = ThreadingHTTPServer(("", 8080), Shop)
    server.daemon_threads = True
    print("the shop is open on port 8080")
    server.serve_forever()


if __name__ == "__main__":
    main()
