"""References of images: read as runtimes read them, mirrored, pinned or not."""

from __future__ import annotations

import pytest

from aiconform.engine.images import DEFAULT_IMAGES, ROLES, chosen, mirrored, parse, why_unpinned
from aiconform.errors import UsageError

DIGEST = "sha256:" + "0123456789abcdef" * 4

WHOLE = {
    "ubuntu": "docker.io/library/ubuntu:latest",
    "ubuntu:22.04": "docker.io/library/ubuntu:22.04",
    "rayproject/ray:2.54.0": "docker.io/rayproject/ray:2.54.0",
    "localhost/x:1": "localhost/x:1",
    "localhost:5000/x": "localhost:5000/x:latest",
    "registry.example:5000/a/b-c/d_e:1.2-x": "registry.example:5000/a/b-c/d_e:1.2-x",
    "[fd00::1]:5000/a:1": "[fd00::1]:5000/a:1",
    f"quay.io/a/b@{DIGEST}": f"quay.io/a/b@{DIGEST}",
    f"ubuntu:22.04@{DIGEST}": f"docker.io/library/ubuntu:22.04@{DIGEST}",
}


@pytest.mark.parametrize("text", WHOLE)
def test_a_reference_is_read_as_runtimes_read_it(text: str) -> None:
    assert str(parse(text)) == WHOLE[text]
    assert parse(WHOLE[text]) == parse(text)


@pytest.mark.parametrize(
    "text",
    ["", "UBUNTU", "a b", "https://a.example/b", "a:", "a@sha256:12", f"a@{DIGEST}0", "a/", "/a", "a//b", "a:b:c/d"],
)
def test_what_is_no_reference_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match="no reference"):
        parse(text)


@pytest.mark.parametrize(
    ("reference", "prefix", "there"),
    [
        ("docker.io/library/ubuntu:22.04", "reg.example", "reg.example/library/ubuntu:22.04"),
        ("ubuntu:22.04", "reg.example:5000/mirror/", "reg.example:5000/mirror/library/ubuntu:22.04"),
        (f"quay.io/a/b:1@{DIGEST}", "localhost:5000", f"localhost:5000/a/b:1@{DIGEST}"),
    ],
)
def test_a_mirror_takes_the_registrys_place_and_the_path_stays(reference: str, prefix: str, there: str) -> None:
    assert mirrored(reference, prefix) == there


@pytest.mark.parametrize("prefix", ["https://reg.example", "Reg", "reg", "/x", "reg.example/UP", "reg.example/a:1"])
def test_a_prefix_that_is_no_registry_is_a_usage_error(prefix: str) -> None:
    with pytest.raises(UsageError, match="no registry"):
        mirrored("ubuntu", prefix)


def test_what_is_named_stands_as_it_is_named_and_the_rest_is_mirrored() -> None:
    found = chosen({"probe": "mine:1"}, "reg.example/m")
    assert found == {
        "probe": "mine:1",
        "python": "reg.example/m/library/python:3.11-slim",
        "ray": "reg.example/m/rayproject/ray:2.54.0",
    }
    assert chosen({}) == dict(DEFAULT_IMAGES)


def test_an_unknown_role_names_the_known_ones() -> None:
    with pytest.raises(UsageError) as caught:
        chosen({"prob": "x"})
    assert caught.value.hint == "roles: probe, python, ray"


def test_every_public_image_is_whole_and_says_whether_it_is_pinned() -> None:
    for role in ROLES.values():
        image = parse(role.reference)
        assert str(image) == role.reference
        assert bool(image.digest) != bool(role.unpinned)
        assert why_unpinned(role.name, role.reference) == role.unpinned


def test_an_image_with_a_digest_is_pinned_and_another_is_told() -> None:
    assert why_unpinned("probe", f"a.example/b@{DIGEST}") == ""
    assert "--image probe=a.example/b@sha256:" in why_unpinned("probe", "a.example/b:1")
