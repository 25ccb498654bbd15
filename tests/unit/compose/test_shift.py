"""The mix of a shift: read or refused with its place, and drawn by the seed."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import pytest

from bmsctl.compose.recipes import INSTALLED, RecipeBook
from bmsctl.compose.shift import Share, planned, read_mix
from bmsctl.errors import RecipeError


def mix(vehicle: str = '"alpine_a290"', share: str = "1") -> str:
    return f"[[mix]]\nvehicle = {vehicle}\nshare = {share}\n"


def test_without_a_file_every_vehicle_is_alike() -> None:
    shares = read_mix("", None)
    assert shares == [Share(name, pack, 1) for name, pack in RecipeBook().vehicles().items()]
    assert {share.pack for share in shares} == {"AS40", "AS52", "AM60"}


def test_a_mix_is_read_in_its_order() -> None:
    assert read_mix(mix(share="3") + mix('"nissan_micra_52"', "1000"), None) == [
        Share("alpine_a290", "AS52", 3),
        Share("nissan_micra_52", "AS52", 1000),
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("mix = 1", "mix must be an array of tables; write [[mix]]"),
        ("mix = []", "mix must be an array of tables"),
        ("mix = [1]", "mix must be an array of tables"),
        ("[mix]\nvehicle = 1", "mix must be an array of tables"),
        ("mx = 1", "unknown key 'mx'; only [[mix]] tables are allowed"),
        (mix() + "[[mix]]\nshare = 1\n", "mix 2: give vehicle and share, and nothing else"),
        (mix() + "colour = 1\n", "mix 1: give vehicle and share, and nothing else"),
        (mix('"beetle"'), "mix 1: unknown vehicle 'beetle'; known: renault_5_52, alpine_a290, nissan_micra_52"),
        (mix("[]"), "mix 1: unknown vehicle a list"),
        (mix(share="0"), "mix 1: share = 0: must be a whole number from 1 to 1000"),
        (mix(share="1001"), "mix 1: share = 1001"),
        (mix(share="true"), "mix 1: share = True"),
        (mix(share="0.5"), "mix 1: share = 0.5"),
        (mix(share='"1"'), "mix 1: share = '1'"),
        (mix(share="0x" + "f" * 5000), "mix 1: share = a number of more than 64 bits"),
        ("[[mix", "not TOML: "),
        ("a = " + "[" * 5000, "nested too deeply"),
    ],
)
def test_a_wrong_mix_is_refused_with_its_place(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        read_mix(text, None)
    assert said in str(refused.value)
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize("vehicles", ["", 'a = "AS99"'])
def test_vehicles_that_have_no_recipe_are_refused(tmp_path: Path, vehicles: str) -> None:
    folder = Path(shutil.copytree(INSTALLED, tmp_path / "recipes"))
    (folder / "vehicles.toml").write_text(vehicles)
    with pytest.raises(RecipeError, match=r"vehicles\.toml:1: "):
        read_mix("", folder)


def test_a_recipe_that_cannot_be_compiled_is_refused_before_anything_runs(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(INSTALLED, tmp_path / "recipes"))
    with (folder / "packs" / "as52.toml").open("a") as file:
        file.write('\n[[eol.step]]\nrun = "hvil"\nlimits.open_response.high = "1 V"\n')
    with pytest.raises(RecipeError, match="not in s"):
        read_mix("", folder)


SHARES = [Share("a", "A", 3), Share("b", "B", 1)]


def test_the_seed_decides_the_order_and_nothing_else_does() -> None:
    assert list(planned(SHARES, 50, 7)) == list(planned(SHARES, 50, 7))
    assert list(planned(SHARES, 50, 7)) != list(planned(SHARES, 50, 8))
    assert list(planned(SHARES, 20, 7)) == list(planned(SHARES, 50, 7))[:20]


def test_shares_are_kept_over_many_packs() -> None:
    counts = Counter(planned(SHARES, 4000, 1))
    assert counts.keys() == {("a", "A"), ("b", "B")}
    assert counts["a", "A"] == pytest.approx(3000, abs=100)
