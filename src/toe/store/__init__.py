"""Hand: where artifacts are kept. Imports ``api`` and ``errors``.

Everything is written once and never changed: content, the record beside it, what was claimed, what was deleted. So a
directory and an object store can keep it behind one small port (:mod:`toe.store.port`), and several collectors can
share it. Start reading there.
"""
