"""Kubernetes quantities, as far as limits need them: whole numbers of bytes or thousandths."""

import re

_QUANTITY = re.compile(r"([0-9]+)(Ki|Mi|Gi|Ti|k|M|G|T)?")
_FACTOR = {
    None: 1,
    "k": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
    "Ti": 2**40,
}


def parse_bytes(text: str) -> int | None:
    """Reads a memory quantity such as ``256Mi`` in bytes; None when it is none."""
    match = _QUANTITY.fullmatch(text)
    return int(match[1]) * _FACTOR[match[2]] if match else None


def parse_cpu_percent(text: str) -> int | None:
    """Reads a CPU quantity such as ``500m`` or ``2`` in percent of one core, rounded up; None when it is none."""
    if match := re.fullmatch(r"([0-9]+)m", text):
        return -(-int(match[1]) // 10)
    if match := re.fullmatch(r"([0-9]+)(?:\.([0-9]{1,2}))?", text):
        return int(match[1]) * 100 + int((match[2] or "0").ljust(2, "0"))
    return None


def format_bytes(count: int) -> str:
    """Writes a size for people: ``48 KiB``, ``1.5 MiB``."""
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if size >= 10 or size == int(size) else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
