"""DOOR: answers the API server's admission reviews of our two kinds, and keeps the catalog that its fence reads.

All violations are told at once, with warnings; what may resolve itself is let in. The controller judges again before it
injects: admission is a courtesy. Start reading in :mod:`toe.webhook.judge`.
"""
