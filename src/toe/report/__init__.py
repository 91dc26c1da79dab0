"""What happened? Pure: a run or a log goes in, rows, sentences and files come out. Imports :mod:`toe.api` and policy.

Start reading in :mod:`toe.report.run` (what a person reads of a run) or :mod:`toe.report.frames` (files in a log).
"""
