"""The wheel as a shop gets it: built, installed into an empty environment, run from a folder with unlucky names."""

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of executables of an environment that holds the wheel and, read-only beside it, its dependencies."""
    place = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(place), str(REPOSITORY)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = place.glob("*.whl")
    venv.create(place / "env", with_pip=False)
    executables = place / "env" / "bin"
    own = Path(
        subprocess.run(
            [executables / "python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
    )
    pip = [sys.executable, "-m", "pip", "--python", str(executables / "python"), "install"]
    subprocess.run([*pip, "-q", "--no-deps", "--no-index", str(wheel)], check=True, capture_output=True)
    # A plain path line adds the dependencies without running the .pth files there, so the checkout stays invisible.
    (own / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return executables


def test_the_installed_command_works_from_a_folder_that_has_its_own_tools_and_peers(
    installed: Path, tmp_path: Path
) -> None:
    for name in ("tools", "peers"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('the wrong package was imported')\n")
    company = [str(installed / "crdt-pos"), "company", "create", "Corner Shops", "--at", str(tmp_path / "office")]
    assert "office-a" in subprocess.run(company, check=True, capture_output=True, text=True, cwd=tmp_path).stdout
    verify = [str(installed / "python"), "-m", "crdt_pos", "verify", "--at", str(tmp_path / "office"), "--json"]
    assert subprocess.run(verify, check=True, capture_output=True, text=True, cwd=tmp_path).stdout.startswith("{")


def test_the_wheel_holds_the_five_packages_and_nothing_of_the_tests(installed: Path) -> None:
    listing = "import importlib.metadata as m; print(*{str(f).split('/')[0] for f in m.files('crdt-pos')})"
    run = subprocess.run([str(installed / "python"), "-c", listing], check=True, capture_output=True, text=True)
    packages = {name for name in run.stdout.split() if "." not in name}
    assert packages == {"crdt_pos", "peers", "merge_rules", "gossip", "tools"}
