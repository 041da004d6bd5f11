"""What an installation holds, and that nobody else's `resources` can take our place."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import assets
import pipelines
import resources

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """A wheel of the tree as git knows it, built without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            target = source / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((ROOT / name).read_bytes())
    built = subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "--no-deps",
            "--no-build-isolation",
            "-q",
            "-w",
            str(folder),
            str(source),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    (path,) = folder.glob("sluice-*.whl")
    return zipfile.ZipFile(path)


def test_the_wheel_holds_every_module_contract_and_pom(wheel: zipfile.ZipFile) -> None:
    packed = set(wheel.namelist())
    for package in ("assets", "pipelines", "resources"):
        for path in (ROOT / package).rglob("*"):
            if path.suffix in (".py", ".avsc", ".xml") and "__pycache__" not in path.parts:
                assert path.relative_to(ROOT).as_posix() in packed
    assert not any(name.startswith(("tests/", "benchmarks/", "docs/")) for name in packed)
    (entry_points,) = [name for name in packed if name.endswith("entry_points.txt")]
    assert "sluice = pipelines.cli:main" in wheel.read(entry_points).decode()


@pytest.mark.parametrize("package", [assets, pipelines, resources], ids=lambda package: package.__name__)
def test_each_package_is_the_one_of_this_tree(package: object) -> None:
    assert Path(str(package.__file__)).is_relative_to(ROOT)  # type: ignore[attr-defined]


def test_a_strangers_resources_does_not_win(tmp_path: Path) -> None:
    stranger = tmp_path / "resources"
    stranger.mkdir()
    (stranger / "__init__.py").write_text("raise ImportError('a stranger was imported')\n")
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r}); sys.path.insert(0, {str(tmp_path)!r})\n"
         "from pipelines.cli import main\n"
         "sys.argv = ['sluice', 'list']\n"
         "main()"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "flight_departed" in done.stdout
