"""The museum: every exhibit is found at its point, and its right derivative is called right there."""

import json
from dataclasses import replace

import numpy as np
import pytest

from harness.checks.functions.gradient_check import check_gradient
from harness.museum import museum_tour
from harness.museum.exhibits import EXHIBITS
from harness.museum.museum_tour import is_installed, museum_page, visit, visit_text
from harness.museum.shipped_formulas import GELU_CUBIC
from harness.study.trials import quiet_numerics

LIVE = [pytest.param(name, marks=pytest.mark.more) if what.library or name[:4] == "jax-" else name
        for name, what in EXHIBITS.items()]  # fmt: skip


@pytest.mark.parametrize("name", LIVE)
def test_an_exhibit_is_found_and_its_right_derivative_is_not_accused(name):
    exhibit = EXHIBITS[name]
    if not is_installed(exhibit):
        pytest.skip(f"{exhibit.library} is not installed")
    found = visit(name, peers=())
    assert found.report.verdict == "disagree"
    assert not found.error <= 1e-9
    with quiet_numerics():
        right = check_gradient(exhibit.cost, np.array(exhibit.at), gradient=exhibit.right)
    assert right.verdict == "agree", right


def test_an_exhibit_that_is_right_by_now_is_not_called_wrong(monkeypatch):
    mended = EXHIBITS["neataptic-softsign"]._replace(shipped=EXHIBITS["neataptic-softsign"].right)
    monkeypatch.setitem(EXHIBITS, "neataptic-softsign", mended)
    found = visit("neataptic-softsign", peers=())
    assert (found.report.verdict, found.error) == ("agree", 0.0)


def test_a_visit_has_the_outcome_of_every_peer_asked():
    found = visit("candle-gelu", peers=("course, 1e-9", "scipy check_grad < 1e-6"))
    assert found.others == {"course, 1e-9": "alarm", "scipy check_grad < 1e-6": "pass"}
    assert found.missed_by == ("scipy check_grad < 1e-6",)
    assert 1e-8 < found.error < 1e-6
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["report"]["verdict"] == "disagree"


def test_the_shipped_slope_is_that_of_the_digits_stated():
    """The six digits that two projects wrote are those of the formula."""
    scale = np.sqrt(2.0 / np.pi)
    digits = (0.797885, 0.0356774, 0.0535161, 0.398942)
    exact = (scale, scale * GELU_CUBIC, 1.5 * scale * GELU_CUBIC, scale / 2.0)
    np.testing.assert_allclose(digits, exact, rtol=2e-6)


@pytest.mark.parametrize("name", [name for name, what in EXHIBITS.items() if not what.library and "jax" not in name])
def test_the_curves_of_an_exhibit_are_its_derivatives_and_part_at_its_point(name):
    exhibit, curves = EXHIBITS[name], museum_tour.curves_of(EXHIBITS[name])
    here = curves["x"].index(curves["at"])
    right, shipped = (f(np.array(exhibit.at))[exhibit.at.index(curves["at"])] for f in (exhibit.right, exhibit.shipped))
    assert (curves["right"][here], curves["shipped"][here]) == (right, shipped)
    assert right != shipped
    assert np.isfinite(curves["right"]).all()


def test_the_gallery_has_every_exhibit_ready_for_a_page(monkeypatch):
    nan = EXHIBITS["candle-gelu"]._replace(shipped=lambda x: np.where(x > 1.0, np.nan, x))
    monkeypatch.setattr(museum_tour, "EXHIBITS", {"nan": nan})
    (found,) = json.loads(json.dumps(museum_tour.gallery(peers=()), allow_nan=False))
    assert (found["name"], found["verdict"], found["error"], found["others"]) == ("nan", "disagree", None, {})
    assert found["report"].startswith("DISAGREE")
    assert found["shipped"][found["x"].index(found["at"])] is None


def test_missing_exhibits_are_told(monkeypatch):
    monkeypatch.setattr(museum_tour, "is_installed", lambda exhibit: False)
    for name, package in (("ott-sinkhorn", "ott-jax"), ("torch-hardsigmoid", "torch")):
        with pytest.raises(ImportError, match=f"pip install {package}$"):
            visit(name)


def test_the_page_and_the_text_show_mistake_error_and_who_missed_it():
    found = visit("mlpack-mish", peers=("course, 1e-9",))
    missed = replace(found, others={"a checker": museum_tour.ALARM, "another": "pass"}, error=float("nan"))
    for text in (museum_page([missed]), visit_text(missed)):
        for part in ("mlpack-mish", "0fb499e", "e15e791", "NaN", "no alarm from another", "derivative-differs"):
            assert part in text
    assert "all of 1 other checkers raise an alarm" in visit_text(found)
    assert "no other checker is installed" in visit_text(replace(found, others={}))


def test_the_command_lists_visits_and_writes(run_command, tmp_path):
    code, out, _ = run_command("museum")
    assert (code, [line.split()[0] for line in out.splitlines()]) == (0, list(EXHIBITS))
    code, out, _ = run_command("museum", "neataptic-softsign", "--json", "--html", tmp_path / "m.html")
    document = json.loads(out)
    assert (code, document["schema"], document["visits"][0]["name"]) == (0, museum_tour.SCHEMA, "neataptic-softsign")
    assert "neataptic" in (tmp_path / "m.html").read_text()
    code, out, err = run_command("museum", "neataptic-softsing")
    assert (code, out) == (2, "")
    assert "did you mean 'neataptic-softsign'" in err
