"""The jars of the real servers: Maven fetches them once, from the pom files next to this module;
then they are kept per user."""

import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from xml.etree import ElementTree

from resources.dev.servers.environment import without_settings
from resources.dev.servers.errors import ServerUnavailable
from resources.dev.servers.server import Progress

_POM = "{http://maven.apache.org/POM/4.0.0}"
_ITEM = "artifactItem"
_FETCH_SECONDS = 900


def cache_folder() -> Path:
    """`$XDG_CACHE_HOME/sluice`, or `~/.cache/sluice`."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "sluice"


def fetch(application: str, *, server: str, progress: Progress) -> Path:
    """The folder with the application's files (its jars, or its unpacked archive); fetched the first time.

    The folder's name contains the version. It is made under another name and renamed when it is complete: so
    a fetch that is interrupted, or a second one at the same time, never leaves an incomplete folder. Raises
    ServerUnavailable if Maven is missing or cannot reach its repository.
    """
    pom = Path(__file__).parent / application / "pom.xml"
    artifact, version = _artifact(pom)
    # The hash of the pom is also in the name: if its other dependencies change, an
    # older folder must not be used.
    fingerprint = hashlib.sha256(pom.read_bytes()).hexdigest()[:8]
    ready = cache_folder() / f"{artifact}-{version}-{fingerprint}"
    if ready.is_dir():
        return ready
    maven = shutil.which("mvn")
    if maven is None:
        raise ServerUnavailable(
            server,
            f"its jars are not in {ready} and there is no `mvn` on PATH to fetch them",
            next_step="install Maven; the embedded servers need neither Java nor Maven",
        )
    progress(f"fetching {artifact} {version} with Maven (once, some 50-100 MB)")
    ready.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=ready.parent, prefix=f".{ready.name}-") as scratch:
        made = Path(scratch) / "made"
        _copy(maven, pom, made, server)
        for archive in made.glob("*.tar.gz"):
            with tarfile.open(archive) as packed:
                packed.extractall(made, filter="data")
            archive.unlink()
        try:
            made.rename(ready)
        except OSError:
            if not ready.is_dir():  # otherwise another process has finished the same fetch in the meantime
                raise
    return ready


def _copy(maven: str, pom: Path, into: Path, server: str) -> None:
    goal = "copy-dependencies" if _ITEM not in pom.read_text() else "copy"
    command = [maven, "-q", "-B", "-f", str(pom), f"dependency:{goal}", f"-DoutputDirectory={into}"]
    try:
        answer = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=_FETCH_SECONDS,
            check=False,
            cwd=into.parent,
            env=without_settings(),
        )
        said = (answer.stdout + answer.stderr).strip()
    except subprocess.TimeoutExpired:
        said = f"no answer in {_FETCH_SECONDS} s"
    else:
        if answer.returncode == 0 and into.is_dir() and any(into.iterdir()):
            return
    first = next((line for line in said.splitlines() if "ERROR" in line), said[:500])
    raise ServerUnavailable(
        server,
        f"Maven could not fetch its jars: {first.strip()[:500]}",
        next_step=f"see that Maven reaches its repository: {' '.join(command)}",
    )


def _artifact(pom: Path) -> tuple[str, str]:
    named = ElementTree.parse(pom).getroot()
    artifact = next(named.iter(f"{_POM}{_ITEM}"), None)
    if artifact is None:
        artifact = next(named.iter(f"{_POM}dependency"))
    return artifact.findtext(f"{_POM}artifactId", ""), artifact.findtext(f"{_POM}version", "")
