"""Nobody needs to trust our verifier: a second one, of 200 lines and the standard library, comes to the same."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support import second_verifier
from tests.support.bundles import make_bundle
from tests.support.forgery import repack
from tests.unit.evidence.test_attacks_on_archives import mutated
from tests.unit.evidence.test_attacks_on_directories import ATTACKS, CARRIED

from aiconform.errors import BundleError
from aiconform.evidence.integrity import findings
from aiconform.evidence.reader import open_bundle


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("pristine"))


@pytest.mark.parametrize("options", [{}, {"partial": True}, {"fail": False}])
def test_both_accept_good_bundles(tmp_path: Path, options: dict[str, bool]) -> None:
    bundle = make_bundle(tmp_path, **options)
    assert second_verifier.verify(bundle) == ""
    assert second_verifier.verify(bundle.with_name("bundle.tar.gz")) == ""


@pytest.mark.parametrize(("change", "_expected"), [case for case in ATTACKS if "byte" not in case.id])
def test_both_refuse_an_attack(
    pristine: Path, tmp_path: Path, change: Callable[[Path], None], _expected: tuple[str, ...]
) -> None:
    bundle = shutil.copytree(pristine, tmp_path / "bundle")
    change(bundle)
    assert second_verifier.verify(bundle)


@pytest.mark.parametrize(("change", "_expected"), CARRIED[::4])
def test_both_refuse_an_attack_in_an_archive(
    pristine: Path, tmp_path: Path, change: Callable[[Path], None], _expected: tuple[str, ...]
) -> None:
    bundle = shutil.copytree(pristine, tmp_path / "bundle")
    change(bundle)
    assert second_verifier.verify(repack(bundle))


def test_both_refuse_any_mutation_of_an_archive(pristine: Path, tmp_path: Path) -> None:
    good = pristine.with_name("bundle.tar.gz").read_bytes()
    source = random.Random(7)
    path = tmp_path / "a.tar.gz"
    for _ in range(300):
        path.write_bytes(mutated(good, source))
        assert second_verifier.verify(path)
        with pytest.raises(BundleError):  # the frame's digest leaves nothing for findings() to find
            assert not findings(open_bundle(path))


def test_it_is_small_and_stands_alone() -> None:
    text = Path(second_verifier.__file__).read_text()
    assert len(text.splitlines()) <= 210
    assert "import aiconform" not in text
    assert "from aiconform" not in text
