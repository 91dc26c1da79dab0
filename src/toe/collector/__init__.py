"""Door: takes what toe-run uploads, keeps it, and hands it to whoever may have it.

Imports ``api``, ``policy`` and the hands ``kube`` and ``store``. What is said on the wire: docs/reference/collector.md.
"""
