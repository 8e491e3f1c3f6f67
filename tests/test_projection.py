"""Maps, regions, lines and centres, as arrays."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from classifier.analysis import projection
from classifier.analysis.projection import (
    centroids,
    extremes,
    in_polygon,
    in_rectangle,
    line_positions,
    pca,
    place_by_nearest,
    project,
    sample_by_label,
)
from classifier.analysis.tsne import tsne

SQUARE = [(0.0, 0.0), (2.0, 0.0), (2.0, 2.0), (0.0, 2.0)]
NUMBERS = st.floats(-100, 100, allow_nan=False, width=32)


def unit_rows(n_rows: int, n_dims: int = 12, seed: int = 0) -> NDArray[np.float32]:
    """Return random rows of unit length."""
    rows = np.random.default_rng(seed).normal(size=(n_rows, n_dims)) + 1.0
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def test_axes_are_those_of_a_singular_value_decomposition() -> None:
    """Directions up to their sign, variances, coordinates."""
    rows = unit_rows(300)
    axes = pca(rows, 3)
    centred = rows - rows.mean(axis=0)
    _, values, vectors = np.linalg.svd(centred, full_matrices=False)
    assert np.abs((axes.components * vectors[:3]).sum(axis=1)) == pytest.approx(np.ones(3), abs=1e-3)
    assert axes.explained == pytest.approx(values[:3] ** 2 / (values**2).sum(), abs=1e-4)
    assert axes.mean == pytest.approx(rows.mean(axis=0), abs=1e-5)
    assert project(rows, axes) == pytest.approx(centred @ axes.components.T, abs=1e-5)


def test_axes_do_not_flip() -> None:
    """The largest component of each axis is positive, whatever the order of the rows."""
    rows = unit_rows(200)
    axes, again = pca(rows), pca(rows[::-1].copy())
    largest = np.take_along_axis(axes.components, np.abs(axes.components).argmax(axis=1)[:, None], axis=1)
    assert (largest > 0).all()
    assert again.components == pytest.approx(axes.components, abs=1e-4)


def test_blocks_and_samples_change_little(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading block by block gives the same; axes by every other row are nearly the same."""
    rows = unit_rows(1000)
    rows[:, 0] *= 4
    whole = pca(rows)
    monkeypatch.setattr(projection, "_BLOCK_ROWS", 70)
    assert pca(rows).components == pytest.approx(whole.components, abs=1e-4)
    assert project(rows, whole) == pytest.approx((rows - whole.mean) @ whole.components.T, abs=1e-5)
    monkeypatch.setattr(projection, "MOST_FITTED", 500)
    assert abs(float(pca(rows).components[0] @ whole.components[0])) > 0.99


@pytest.mark.parametrize("shape", [(0, 4), (1, 4), (5, 1), (3, 2)])
def test_few_rows_and_few_numbers_have_a_map(shape: tuple[int, int]) -> None:
    """Coordinates are always finite, and two."""
    rows = np.ones(shape, dtype=np.float32)
    found = project(rows, pca(rows))
    assert found.shape == (shape[0], 2)
    assert np.isfinite(found).all()


def test_equal_rows_explain_nothing() -> None:
    """No difference, no share of it."""
    assert pca(np.ones((9, 3), dtype=np.float32)).explained == pytest.approx([0, 0], abs=1e-6)


@given(st.lists(st.integers(-1, 6), min_size=1, max_size=300), st.integers(1, 50))
def test_a_sample_keeps_every_label_and_its_share(codes: list[int], size: int) -> None:
    """Rows rise, none twice; no label is lost, and none has more than its share, but for one row."""
    array = np.array(codes)
    rows = sample_by_label(array, size)
    assert (np.diff(rows) > 0).all()
    assert set(array[rows]) == set(codes)
    if len(codes) > size:
        for code in set(codes):
            assert (array[rows] == code).sum() <= max(1, (array == code).sum() * size / len(codes))
    else:
        assert len(rows) == len(codes)
    assert (sample_by_label(array, size) == rows).all()


def test_polygon_with_a_dent() -> None:
    """What lies in the dent is outside; so is everything beyond the box around it."""
    dented = [(0, 0), (4, 0), (4, 4), (2, 1), (0, 4)]
    points = np.array([(0.5, 0.5), (3.5, 0.5), (2, 3), (2, 0.5), (5, 2), (-1, 2)])
    assert in_polygon(points, dented).tolist() == [True, True, False, True, False, False]
    assert in_polygon(points, dented[::-1]).tolist() == [True, True, False, True, False, False]


@pytest.mark.parametrize("corners", [[], [(0, 0)], [(0, 0), (9, 9)]])
def test_less_than_a_triangle_holds_nothing(corners: list[tuple[float, float]]) -> None:
    """A stroke encloses no point."""
    assert not in_polygon(np.ones((3, 2)), corners).any()


@settings(deadline=None)
@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=60), NUMBERS, NUMBERS, NUMBERS, NUMBERS)
def test_a_box_is_a_polygon_of_four_corners(
    points: list[tuple[float, float]], x0: float, x1: float, y0: float, y1: float
) -> None:
    """Both agree on every point that is not on the edge."""
    array = np.array(points)
    corners = [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
    on_edge = np.isin(array[:, 0], (x0, x1)) | np.isin(array[:, 1], (y0, y1))
    box = in_rectangle(array, (x0, x1), (y0, y1))
    assert (in_polygon(array, corners) == box)[~on_edge].all()


def test_positions_on_a_line() -> None:
    """The ends are at 0 and 1; what lies beyond is not clipped; distances are those to the line."""
    rows = np.array([(0, 0), (2, 0), (1, 3), (-2, 1), (5, 0)], dtype=np.float32)
    positions, distances = line_positions(rows, np.array([0.0, 0.0]), np.array([2.0, 0.0]))
    assert positions.tolist() == [0, 1, 0.5, -1, 2.5]
    assert distances.tolist() == [0, 0, 3, 1, 0]


@given(st.integers(0, 1000))
def test_the_way_back_is_one_minus_the_way(seed: int) -> None:
    """Exchanging the ends turns positions round, and leaves distances as they are."""
    rows = unit_rows(40, seed=seed)
    start, end = rows[0].astype(np.float64), rows[1].astype(np.float64)
    there, back = line_positions(rows, start, end), line_positions(rows, end, start)
    assert there[0] == pytest.approx(1 - back[0], abs=1e-9)
    assert there[1] == pytest.approx(back[1], abs=1e-9)
    assert there[0][:2] == pytest.approx([0, 1], abs=1e-9)


def test_no_line_between_equal_ends() -> None:
    """There is no direction."""
    with pytest.raises(ValueError, match="equal vectors"):
        line_positions(unit_rows(3), np.ones(12), np.ones(12))


def test_centres_are_means_and_compactness_is_mean_similarity() -> None:
    """A row with two labels counts for both; an empty label is at the origin."""
    rows = unit_rows(50)
    members = [np.arange(20), np.arange(15, 50), np.arange(0)]
    found = centroids(rows, members)
    for code in (0, 1):
        mean = rows[members[code]].mean(axis=0, dtype=np.float64)
        assert found.means[code] == pytest.approx(mean, abs=1e-6)
        cosines = rows[members[code]] @ (mean / np.linalg.norm(mean))
        assert found.compactness[code] == pytest.approx(cosines.mean(), abs=1e-6)
    assert found.compactness[2] == 0
    assert found.nearest_other(0) == 1
    assert centroids(rows, members[:1]).nearest_other(0) is None


def test_extremes_are_the_first_and_the_last_by_similarity() -> None:
    """All others lie between them."""
    rows = unit_rows(60)
    some = np.arange(5, 55)
    nearest, farthest, similarities = extremes(rows, some, rows[7], 4)
    order = some[np.argsort(-similarities, kind="stable")]
    assert nearest.tolist() == order[:4].tolist()
    assert nearest[0] == 7
    assert set(farthest) == set(order[-4:])
    assert similarities == pytest.approx(rows[some] @ rows[7], abs=1e-5)


def test_rows_without_a_place_go_to_their_own_group() -> None:
    """Known rows stay; each other one lands amid those of its group."""
    codes = np.repeat([0, 1], 40)
    rows = (np.eye(2, 6)[codes] + 0.05 * np.random.default_rng(0).normal(size=(80, 6))).astype(np.float32)
    known = np.arange(0, 80, 4)
    places = np.where(codes[known, None] == 0, -10.0, 10.0) * np.ones((1, 2))
    found = place_by_nearest(rows, known, places.astype(np.float32))
    assert found[known] == pytest.approx(places)
    assert found == pytest.approx(np.where(codes[:, None] == 0, -10.0, 10.0) * np.ones((1, 2)), abs=1e-3)


def test_tsne_keeps_neighbours_and_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three groups stay apart, also where most rows are placed afterwards; the steps are counted."""
    codes = np.arange(90) % 3
    rows = (np.eye(3, 20)[codes] + 0.05 * np.random.default_rng(0).normal(size=(90, 20))).astype(np.float32)
    steps: list[int] = []
    found, n_arranged = tsne(rows, codes, report=steps.append)
    assert (found.shape, n_arranged, sum(steps)) == ((90, 2), 90, 750)
    monkeypatch.setattr("classifier.analysis.tsne.MOST_ARRANGED", 45)
    for places in (found, tsne(rows, codes)[0]):
        centres = np.array([places[codes == code].mean(axis=0) for code in range(3)])
        nearest = np.linalg.norm(places[:, None] - centres, axis=2).argmin(axis=1)
        assert (nearest == codes).mean() > 0.95
