"""Whose code a file holds."""

import json
import sys

import pytest

from reference.traced import rule_origins
from reference.traced.rule_origins import owner_of_file


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Installs a package of one file, from an address or from an index, and returns the file."""
    folder = tmp_path / "site-packages"
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    rule_origins._packages_from_here.cache_clear()
    yield lambda name, address=None: _install(folder, name, address)
    rule_origins._packages_from_here.cache_clear()


def _install(folder, name, address):
    (info := folder / f"{name}-1.0.dist-info").mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", encoding="utf-8")
    (info / "RECORD").write_text(f"{name}/rules.py,,\n", encoding="utf-8")
    if address:
        (info / "direct_url.json").write_text(json.dumps({"url": address}), encoding="utf-8")
    (file := folder / name / "rules.py").parent.mkdir()
    file.touch()
    return str(file)


@pytest.mark.parametrize(
    ("address", "owner"),
    [
        (None, "library"),
        ("https://example.org/theirs-1.0.tar.gz", "library"),
        ("{here}", "own"),
        ("{here}/mine%201.0.whl", "own"),
        # as conda's packages have it, of the machine that built them
        ("file:///home/conda/feedstock_root/build_artifacts/theirs_1700000000000/work", "library"),
    ],
)
def test_a_package_installed_from_a_file_is_the_users_own(install, tmp_path, address, owner):
    (tmp_path / "mine 1.0.whl").touch()
    address = address and address.format(here=tmp_path.as_uri())
    assert owner_of_file(install("package_of_somebody", address)) == owner


def test_a_library_whose_name_begins_with_jax_is_not_jax():
    assert owner_of_file(f"{rule_origins.jax_internals.JAX_FOLDER}opt/rules.py") != "jax"
