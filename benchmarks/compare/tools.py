"""What the comparison needs besides the project:
an environment of peers, jars, a C compiler. Cached per user."""

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
from functools import cache
from pathlib import Path

from resources.dev.servers.maven import cache_folder
from resources.dev.servers.maven import fetch as fetch_with_maven

_REQUIREMENTS = Path(__file__).with_name("requirements.txt")
CONTENDERS = Path(__file__).with_name("contenders")


class Missing(Exception):
    """Something that a contender needs is not on this machine; the text says what, and how to get it."""


def bench_cache() -> Path:
    """The folder with data, environments and programs of the comparison: about 2 GB at scale 1."""
    folder = cache_folder() / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@cache
def peers_environment() -> Path:
    """A virtual environment with the peers' packages on top of the project's own, made the first time.

    They are not dependencies of the project: nothing in Sluice needs them.
    """
    mark = hashlib.sha256(_REQUIREMENTS.read_bytes() + sys.prefix.encode()).hexdigest()[:8]
    ready = bench_cache() / f"peers-{mark}"
    if not (ready / ".complete").exists():
        shutil.rmtree(ready, ignore_errors=True)
        print(f"making an environment for the peers in {ready} (once, about 600 MB)", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", str(ready)], check=True)
        install = [str(ready / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-deps"]
        subprocess.run([*install, "-r", str(_REQUIREMENTS)], check=True)
        (libraries,) = (ready / "lib").glob("python*/site-packages")
        (libraries / "project.pth").write_text(sysconfig.get_path("purelib") + "\n")
        (ready / ".complete").touch()
    return ready


def peers_program(name: str) -> Path:
    """A program of the peers' environment."""
    return peers_environment() / "bin" / name


def jars(contender: str) -> Path:
    """The folder of jars that `contenders/<contender>/pom.xml` names; Maven fetches them the first time."""
    pom = CONTENDERS / contender
    return fetch_with_maven(str(pom), server=contender, progress=lambda said: print(said, file=sys.stderr))


def java() -> str:
    """The `java` on PATH or in JAVA_HOME."""
    from resources.dev.servers.kinds.java import java_program

    return java_program("the comparison")


def compiled(source: Path) -> Path:
    """The program of one C file,
    linked with the librdkafka in confluent-kafka's wheel, which Sluice itself uses."""
    compiler = shutil.which("gcc")
    if compiler is None:
        raise Missing("there is no gcc: apt-get install gcc libc6-dev")
    if not Path("/usr/include/librdkafka/rdkafka.h").exists():
        raise Missing("librdkafka's header is not there: apt-get install librdkafka-dev")
    library = bundled_librdkafka()
    mark = hashlib.sha256(source.read_bytes() + str(library).encode()).hexdigest()[:8]
    program = bench_cache() / f"{source.stem}-{mark}"
    if not program.exists():
        scratch = program.with_suffix(f".{os.getpid()}")
        command = [compiler, "-O2", "-Wall", "-o", str(scratch), str(source), str(library)]
        done = subprocess.run(
            [*command, f"-Wl,-rpath,{library.parent}"], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise Missing(f"gcc could not build {source.name}: {done.stderr.strip()[-500:]}")
        scratch.rename(program)
    return program


def bundled_librdkafka() -> Path:
    """The shared library in confluent-kafka's wheel."""
    found = sorted(
        Path(sysconfig.get_path("platlib"), "confluent_kafka.libs").glob("librdkafka-*.so.1")
    ) or sorted(Path(sysconfig.get_path("platlib"), "confluent_kafka.libs").glob("librdkafka*.so*"))
    if not found:
        raise Missing("confluent-kafka was not installed from a wheel that carries librdkafka")
    return found[0]


def lacking(need: str) -> str | None:
    """What a contender needs and is missing, and how to get it; None if nothing is missing."""
    checks = {
        "gcc": (shutil.which("gcc") is not None, "apt-get install gcc libc6-dev"),
        "librdkafka-dev": (
            Path("/usr/include/librdkafka/rdkafka.h").exists(),
            "apt-get install librdkafka-dev",
        ),
        "java": (
            shutil.which("java") is not None or "JAVA_HOME" in os.environ,
            "install a Java 17 runtime",
        ),
        "maven": (shutil.which("mvn") is not None, "install Maven"),
        "postgresql": (
            any(Path("/usr/lib/postgresql").glob("*/bin/postgres")),
            "apt-get install postgresql",
        ),
    }
    there, step = checks[need]
    return None if there else f"{need} is missing: {step}"
