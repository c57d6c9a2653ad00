"""The package lock: what is written is read back, what is not a lock is refused, differences are named."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from images.desktop.build import LIST, LOCK, WHEELS_LOCK, wanted_packages
from images.desktop.lock import Lock, Package, difference, parse_lock, read_lock

WORD = st.text(alphabet="abcdefghij0123456789.+-", min_size=1, max_size=12)
PACKAGES = st.lists(
    st.builds(
        Package,
        name=WORD,
        version=WORD,
        architecture=st.sampled_from(["amd64", "all"]),
        sha256=st.text(alphabet="0123456789abcdef", min_size=64, max_size=64),
        size=st.integers(1, 10**9),
        path=WORD.map(lambda word: f"pool/main/{word}.deb"),
    ),
    unique_by=lambda package: package.name,
)


def package(name: str, version: str, digit: str = "a") -> Package:
    return Package(name, version, "all", digit * 64, 1, f"pool/{name}_{version}.deb")


@given(PACKAGES.filter(lambda packages: all(p.name != "date" for p in packages)), st.integers(1, 2**33))
def test_a_written_lock_is_read_back(packages: list[Package], date_s: int) -> None:
    lock = Lock(date_s, tuple(sorted(packages)))
    assert parse_lock(lock.text()) == lock


@pytest.mark.parametrize(
    "text", ["", "date 5\nname 1.0 all abc 1 pool/x.deb\n", "name 1.0 all\n", "# nothing\n"]
)
def test_what_is_no_lock_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="lock"):
        parse_lock(text)


def test_every_difference_is_named() -> None:
    old = Lock(1, (package("gone", "1"), package("kept", "1"), package("moved", "1", "b")))
    new = Lock(2, (package("kept", "1"), package("moved", "2", "c"), package("new", "3")))
    assert difference(old, new) == ["- gone 1", "~ moved 1 -> 2", "+ new 3"]
    assert difference(old, old) == []


def test_the_lock_holds_every_package_of_the_list() -> None:
    lock = read_lock(LOCK)
    assert {package.name for package in lock.packages} >= set(wanted_packages())
    assert len({package.sha256 for package in lock.packages}) == len(lock.packages)


def test_the_list_is_sorted_by_nothing_but_named_once() -> None:
    names = wanted_packages()
    assert len(names) == len(set(names))
    assert "firefox-esr" in names, LIST


def test_the_locks_name_no_address() -> None:
    for lock in (LOCK, WHEELS_LOCK):
        assert "://" not in lock.read_text()
    assert "jupyterlab==" in WHEELS_LOCK.read_text()
