"""The main job on small digits: what it finds, how it ends early, and what it leaves on the disk."""

import errno
import io
import json

import numpy as np
import pytest
from scipy.io import loadmat

from harness.digits import main_job
from harness.digits.digits_data import Digits, stratified_split
from harness.digits.main_job import PLANS, run, train_once
from harness.digits.mat_files import mat_bytes, npz_bytes
from harness.sources.source_table import SOURCES
from harness.training.gated_training import GateClosed, predict
from reference.network import Network

FIGURES = ["digits.png", "training.png", "hidden_units.png", "confusion.png", "mistakes.png"]
FILES = ["theta.npz", "theta.mat", *FIGURES, "report.json"]
NETWORKS = 2

NETWORK, BASELINE, NETWORK_ON_ALL, BASELINE_ON_ALL = PLANS
SMALL = (
    NETWORK._replace(sizes=(16, 6, 10), l2=0.1, max_iter=12),
    BASELINE._replace(sizes=(16, 10), l2=0.1, max_iter=6),
    NETWORK_ON_ALL._replace(sizes=(16, 6, 10), l2=0.1, max_iter=52),
    BASELINE_ON_ALL._replace(sizes=(16, 10), l2=0.01, max_iter=6),
)
NAMES = [plan.name for plan in SMALL]


@pytest.fixture(scope="module")
def small_digits():
    """A hundred images of 4 x 4 pixels."""
    y = np.arange(100) // 10
    return Digits(np.random.default_rng(0).normal(0.0, 0.3, (100, 16)) + np.eye(16)[y], y)


@pytest.fixture(scope="module")
def done(small_digits, tmp_path_factory):
    out = tmp_path_factory.mktemp("done") / "new" / "folder"
    steps = []
    result = run(
        out, networks=NETWORKS, seed=1, digits=small_digits, plans=SMALL, progress=lambda *step: steps.append(step)
    )
    return result, out, steps


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


# What it finds


def test_it_trains_by_plan_on_what_is_not_held_out(done):
    result, _, _ = done
    assert result.verdict == "agree"
    assert not result.interrupted
    assert list(result.fits) == NAMES
    for plan in SMALL:
        fit = result.fits[plan.name]
        assert (fit.network.sizes, fit.problem.l2, fit.training.nit) == (plan.sizes, plan.l2, plan.max_iter)
        assert fit.problem.m == (100 if plan.all_digits else 80)
        assert (fit.test_accuracy is None) == plan.all_digits
        assert len(fit.training.reports) == 3
    assert np.array_equal(np.sum(result.fits["network"].problem.Y, axis=0), np.full(10, 8))  # stratified


def test_its_document_has_what_is_promised(done):
    result, _, _ = done
    document = result.to_dict()
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    network, baseline, network_all, baseline_all = result.fits.values()
    expected = {
        "verdict": "agree",
        "interrupted": False,
        "networks": NETWORKS,
        "training_accuracy": network.training_accuracy,
        "test_accuracy": network.test_accuracy,
        "baseline_accuracy": baseline.test_accuracy,
        "cost": network.cost,
        "nit": 12,
        "course_accuracy": network_all.curves.training_accuracy[50],
        "article_accuracy": network_all.training_accuracy,
        "article_baseline_accuracy": baseline_all.training_accuracy,
        "published": {"course_accuracy": 0.953, "article_accuracy": 0.965, "article_baseline_accuracy": 0.9508},
    }
    assert {name: document[name] for name in expected} == expected
    assert document["trainings"]["baseline"]["sizes"] == [16, 10]
    assert document["gate"]["verdict"] == "agree"
    assert document["cross_check"]["counts"]["disagree"] == 0
    assert set(document["seconds"]) == {"cross-check", "gate", "training", "files"}
    assert min(document["seconds"].values()) > 0.0
    assert 0.1 < document["test_accuracy"] <= 1.0


def test_a_training_that_stops_short_is_not_compared_with_a_longer_one(small_digits):
    short = NETWORK_ON_ALL._replace(sizes=(16, 10), max_iter=3)
    result = run(networks=1, digits=small_digits, plans=[short])
    assert result.measurements()["course_accuracy"] is None  # that is after 50 line searches
    assert result.measurements()["article_accuracy"] == result.fits[short.name].training_accuracy
    assert "all digits after 50" not in str(result)


@pytest.mark.more
def test_the_seed_decides(done, small_digits):
    first = done[0]
    again, other = (run(networks=1, seed=seed, digits=small_digits, plans=SMALL[:1]) for seed in (1, 2))
    assert [result.summary.seed for result in (first, again, other)] == [1, 1, 2]
    problem = first.fits["network"].problem
    assert first.fits["network"].curves.cost[0] == problem.cost(np, problem.network.init(1))
    assert first.fits["network"].training.theta.tobytes() == again.fits["network"].training.theta.tobytes()
    assert not np.array_equal(problem.X, other.fits["network"].problem.X)
    assert again.files == ()


# How it ends early


def wrong(problem, theta):
    cost, gradient = SOURCES["loop"](problem, theta)
    return cost, 1.001 * gradient


def test_random_networks_that_disagree_end_it(small_digits, tmp_path, monkeypatch):
    monkeypatch.setitem(SOURCES, "vectorized", wrong)
    result = run(tmp_path, networks=NETWORKS, digits=small_digits, plans=SMALL)
    assert (result.verdict, result.fits, result.report) == ("disagree", {}, None)
    assert result.to_dict()["training_accuracy"] is None
    assert names_in(tmp_path) == ["report.json"]
    assert json.loads((tmp_path / "report.json").read_text())["cross_check"]["outliers"] == {"vectorized": NETWORKS}


@pytest.mark.parametrize("trained", [0, pytest.param(2, marks=pytest.mark.more)])
def test_a_closed_gate_ends_it(trained, small_digits, tmp_path, monkeypatch):
    def spoil(step, done, total):
        if done == total and step == ["cross-check", *NAMES][trained]:
            monkeypatch.setitem(SOURCES, "vectorized", wrong)

    plans = [plan._replace(max_iter=3) for plan in SMALL]
    result = run(tmp_path, networks=1, digits=small_digits, plans=plans, progress=spoil)
    assert result.verdict == "disagree"
    assert list(result.fits) == NAMES[:trained]
    assert result.report is not None
    assert result.report.outliers == ("vectorized",)
    assert result.closed is not None
    assert "The gate is closed at the start" in str(result)
    assert names_in(tmp_path) == sorted(FILES if trained else ["report.json"])
    document = json.loads((tmp_path / "report.json").read_text())
    assert document["gate"]["verdict"] == "disagree"
    assert (document["baseline_accuracy"] is None) == (trained < 2)
    assert document["article_accuracy"] is None


def interrupt_at(step, done):
    def progress(*at):
        if at[:2] == (step, done):
            raise KeyboardInterrupt

    return progress


@pytest.mark.parametrize(
    ("step", "done", "nit", "files"),
    [
        ("network", 0, None, ["report.json"]),  # before anything is trained
        ("network", 4, 4, ["report.json", "theta.mat", "theta.npz"]),
        ("baseline", 0, 12, ["report.json", "theta.mat", "theta.npz"]),
    ],
)
def test_an_interruption_keeps_what_was_trained(step, done, nit, files, small_digits, tmp_path):
    progress = interrupt_at(step, done)
    result = run(tmp_path, networks=1, digits=small_digits, plans=SMALL, progress=progress)
    assert (result.interrupted, result.verdict) == (True, "inconclusive")
    assert result.measurements()["nit"] == nit
    assert str(result).startswith("INTERRUPTED")
    assert names_in(tmp_path) == files
    assert json.loads((tmp_path / "report.json").read_text())["interrupted"]


def test_an_interrupted_cross_check_leaves_nothing(small_digits, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, networks=3, digits=small_digits, plans=SMALL, progress=interrupt_at("cross-check", 2))
    assert names_in(tmp_path) == []


# One training


def test_train_once_is_the_job_s_training(done, small_digits, tmp_path):
    steps = []
    fitted, files = train_once(
        [6], l2=0.1, max_iter=12, seed=1, digits=small_digits, out=tmp_path, progress=lambda *step: steps.append(step)
    )
    expected = done[0].fits["network"]
    assert fitted.training.theta.tobytes() == expected.training.theta.tobytes()
    assert fitted.to_dict() == expected.to_dict()
    pictures = ["hidden_units.png", "confusion.png", "mistakes.png"]
    assert [file.name for file in files] == ["theta.npz", "theta.mat", *pictures]
    assert names_in(tmp_path) == sorted(file.name for file in files)
    assert all((tmp_path / name).read_bytes().startswith(b"\x89PNG") for name in pictures)
    assert steps == [("training", done, 12) for done in range(13)]


THETA_FILES = ["theta.npz", "theta.mat"]


@pytest.mark.parametrize(
    ("hidden", "pixels", "files"),
    [
        ([], 16, [*THETA_FILES, "confusion.png", "mistakes.png"]),  # no hidden units to draw
        ([3], 15, THETA_FILES),  # no square images
        ([3], 16, []),  # not asked to write
    ],
)
def test_train_once_writes_the_files_that_there_can_be(hidden, pixels, files, small_digits, tmp_path):
    digits = Digits(small_digits.X[:, :pixels], small_digits.y)
    fitted, written = train_once(hidden, max_iter=0, digits=digits, out=tmp_path if files else None)
    assert [file.name for file in written] == files
    assert names_in(tmp_path) == sorted(files)
    assert (fitted.network.sizes, fitted.problem.m, fitted.problem.l2) == ((pixels, *hidden, 10), 80, 1.0)


def test_train_once_trains_with_the_source_that_is_named(small_digits):
    with pytest.raises(GateClosed) as closed:
        train_once([3], max_iter=2, digits=small_digits, source="bug:bias-times-4")
    assert closed.value.report.outliers == ("bug:bias-times-4",)
    wrongly, _ = train_once([3], max_iter=6, digits=small_digits, source="bug:bias-times-4", gate=False)
    rightly, _ = train_once([3], max_iter=6, digits=small_digits, gate=False)
    assert wrongly.training.report is None
    assert wrongly.cost != rightly.cost


# What it leaves on the disk


def test_it_writes_theta_figures_and_the_report(done):
    result, out, _ = done
    assert [path.name for path in result.files] == FILES
    assert names_in(out) == sorted(FILES)
    assert all((out / name).read_bytes().startswith(b"\x89PNG") for name in FIGURES)
    assert json.loads((out / "report.json").read_text(encoding="utf-8")) == result.to_dict()


def test_theta_comes_back_from_npz(done):
    network = Network((3, 2))
    with np.load(io.BytesIO(npz_bytes(network, network.init(0))), allow_pickle=False) as saved:
        assert saved["hidden"].tolist() == []
    result, out, _ = done
    with np.load(out / "theta.npz", allow_pickle=False) as saved:
        network = Network(saved["sizes"].tolist(), saved["hidden"].tolist(), str(saved["output"]))
        theta = saved["theta"]
    assert network.sizes == (16, 6, 10)
    assert theta.tobytes() == result.fits["network"].training.theta.tobytes()


def predict_as_the_course_does(Theta1, Theta2, X):
    """Labels 1..10, by the forward pass of the course's predict.m."""
    ones = np.ones((len(X), 1))
    H = 1.0 / (1.0 + np.exp(-np.hstack([ones, X]) @ Theta1.T))
    return np.argmax(np.hstack([ones, H]) @ Theta2.T, axis=1) + 1


def test_theta_comes_back_from_mat_in_the_courses_shapes(digits):
    network = Network((400, 25, 10))
    theta = network.init(0, epsilon=1.0)
    saved = loadmat(io.BytesIO(mat_bytes(network, theta)))
    assert (saved["Theta1"].shape, saved["Theta2"].shape) == ((25, 401), (10, 26))
    assert saved["Theta1"].dtype == saved["Theta2"].dtype == np.float64
    assert np.array_equal(network.pack([saved["Theta1"], saved["Theta2"]]), theta)
    labels = predict_as_the_course_does(saved["Theta1"], saved["Theta2"], digits.X)
    assert len(np.unique(labels)) > 3
    assert np.array_equal(labels, predict(network, theta, digits.X) + 1)  # digit 0 is label 10, the last class


@pytest.mark.parametrize("job", [run, train_once])
def test_a_directory_that_cannot_be_written_to_is_found_at_once(job, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    for step in ("check_networks", "fit"):
        monkeypatch.setattr(main_job, step, lambda *_, **__: pytest.fail("it computed first"))
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(OSError, match=f"cannot write {out} .*choose another"):
            job(out=out)


def fail(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_the_figures_show_the_digits_held_out(small_digits, tmp_path, monkeypatch):
    drawn = {}
    for name in ("confusion_matrix", "worst_mistakes"):
        draw = getattr(main_job.digit_figures, name)
        monkeypatch.setattr(
            main_job.digit_figures,
            name,
            lambda *given, name=name, draw=draw: drawn.update({name: given}) or draw(*given),
        )
    result = run(tmp_path, networks=1, digits=small_digits, plans=SMALL[:1])
    _, rows = stratified_split(small_digits.classes)
    X, y = small_digits.X[rows], small_digits.y[rows]
    fit = result.fits["network"]
    read = (predict(fit.network, fit.training.theta, X) + 1) % 10  # unit k stands for digit (k + 1) % 10
    assert not np.array_equal(y, read)
    assert np.array_equal(drawn["confusion_matrix"], [y, read])
    assert np.array_equal(drawn["worst_mistakes"][0], X)
    assert np.array_equal(drawn["worst_mistakes"][1:3], [y, read])
    assert np.all((drawn["worst_mistakes"][3] > 0.1) & (drawn["worst_mistakes"][3] < 1.0))


def test_theta_is_safe_before_the_figures_are_drawn(small_digits, tmp_path, monkeypatch):
    monkeypatch.setattr(main_job.digit_figures, "digit_grid", fail)
    with pytest.raises(OSError, match="No space left"):
        run(tmp_path, networks=1, digits=small_digits, plans=SMALL[:1])
    assert names_in(tmp_path) == ["theta.mat", "theta.npz"]
