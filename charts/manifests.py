"""Writes ``deploy/install.yaml``: what Helm would install, for ``kubectl apply`` (``python -m charts.manifests``).

The file holds private keys that are made now and are nobody else's: it is never committed, and only its owner reads it.
For an upgrade give ``--upgrade``: then the keys are those of the cluster that the kubeconfig names, and not new ones.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from devcluster import DevClusterError
from devcluster.__main__ import cluster_here

TOP = Path(__file__).resolve().parents[1]
CHART = TOP / "charts" / "toe"
KUBERNETES = "1.36"
"""Older ones need ``--kubernetes``: there the webhook stamps the requester, and the chart knows by the version."""


def main(arguments: Sequence[str]) -> int:
    """Writes the file and says what to do with it; returns the exit status."""
    options = _options(arguments)
    try:
        helm = cluster_here().helm_program()
    except DevClusterError as error:
        print(f"manifests: {error}", file=sys.stderr)
        return 1
    command = [str(helm), "template", "toe", str(CHART), "--include-crds", f"--namespace={options.namespace}"]
    command += ["--set=namespace.create=true", f"--kube-version={options.kubernetes}"]
    command += [f"--set={value}" for value in options.set] + [f"--values={path}" for path in options.values]
    if options.upgrade:
        command += ["--is-upgrade", "--dry-run=server"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        print(f"manifests: {done.stderr.strip()}", file=sys.stderr)
        return 1
    write(options.output, done.stdout)
    print(f"{options.output} holds private keys of this installation: keep it as you keep them.", file=sys.stderr)
    print(f"kubectl apply -f {options.output}")
    return 0


def write(path: Path, text: str) -> None:
    """Writes a file that only its owner reads; what was there stays until the new one is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.unfinished")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    unfinished.replace(path)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make manifests WITH=...", description="Renders the chart for kubectl.")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a value of the chart")
    parser.add_argument("--values", action="append", default=[], metavar="FILE", help="values of the chart")
    parser.add_argument("--namespace", default="toe-system", help="the system namespace (%(default)s)")
    parser.add_argument("--kubernetes", default=KUBERNETES, metavar="VERSION", help="of the cluster (%(default)s)")
    parser.add_argument("--upgrade", action="store_true", help="take the keys of the cluster that kubectl speaks to")
    parser.add_argument(
        "--output", type=Path, default=Path("deploy/install.yaml"), metavar="FILE", help="(%(default)s)"
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
