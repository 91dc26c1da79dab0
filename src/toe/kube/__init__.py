"""How do we talk to the Kubernetes API? A hand: it observes and writes, and decides nothing.

May import :mod:`toe.api` and :mod:`toe.errors`. Start reading in :mod:`toe.kube.client` (one request), then
:mod:`toe.kube.cache` (list and watch), :mod:`toe.kube.queue` (what to work on next).
"""
