"""`rossfs import` of an image of 80 MB, beside `skopeo copy` of it into a fresh layout."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile

from tests.bench.bulk import CONFIG, LAYER, MANIFEST
from tests.bench.mounted import ROSSFS
from tests.bench.report import Report, Times

ROUNDS = 5


def layout(directory: str, sizes: tuple[int, ...] = (40, 25, 15)) -> None:
    """Write an OCI layout with one image, tag v1, whose layers have *sizes* MB of random bytes."""
    os.makedirs(f"{directory}/blobs/sha256")
    layers, diff_ids = [], []
    for size in sizes:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            member = tarfile.TarInfo("data")
            member.size = size * 1_000_000
            tar.addfile(member, io.BytesIO(os.urandom(member.size)))
        diff_ids.append("sha256:" + hashlib.sha256(buffer.getvalue()).hexdigest())
        layers.append(_blob(directory, gzip.compress(buffer.getvalue(), 1, mtime=0), LAYER))
    rootfs = {"type": "layers", "diff_ids": diff_ids}
    config = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": rootfs}).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": _blob(directory, config, CONFIG),
        "layers": layers,
    }
    top = _blob(directory, json.dumps(manifest).encode(), MANIFEST)
    top["annotations"] = {"org.opencontainers.image.ref.name": "v1"}
    with open(f"{directory}/index.json", "w") as file:
        json.dump({"schemaVersion": 2, "manifests": [top]}, file)
    with open(f"{directory}/oci-layout", "w") as file:
        json.dump({"imageLayoutVersion": "1.0.0"}, file)


def run(report: Report, directory: str) -> None:
    """Import and copy in turns, each into something fresh."""
    if shutil.which("skopeo") is None:
        report.figure("skopeo copy / rossfs import: skopeo is not installed", 0)
        return
    source = f"{directory}/layout"
    layout(source)
    ours, theirs = Times(), Times()
    for number in range(ROUNDS):
        store, target = f"{directory}/imported{number}", f"{directory}/copied{number}"
        init = [*ROSSFS, "--store", store, "init"]
        subprocess.run(init, check=True, stdout=subprocess.DEVNULL)
        ours.measure(lambda store=store: _run(*ROSSFS, "--store", store, "import", source, "b:v1"))  # type: ignore[misc]
        theirs.measure(
            lambda target=target: _run("skopeo", "copy", f"oci:{source}:v1", f"oci:{target}:v1")  # type: ignore[misc]
        )
        shutil.rmtree(store)
        shutil.rmtree(target)
    report.bound(
        "skopeo copy / rossfs import, 80 MB",
        theirs.best / ours.best,
        ">=",
        1,
        note=f"rossfs {ours}, skopeo {theirs}",
    )


def _blob(directory: str, data: bytes, media_type: str) -> dict[str, object]:
    name = hashlib.sha256(data).hexdigest()
    with open(f"{directory}/blobs/sha256/{name}", "wb") as file:
        file.write(data)
    return {"mediaType": media_type, "digest": f"sha256:{name}", "size": len(data)}


def _run(*command: str) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
