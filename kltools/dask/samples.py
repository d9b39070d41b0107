"""KL from samples in Dask arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _validation
from .._blocks import STEP, Rows, read_rows
from ..distribution import Distribution
from ..errors import InvalidTypeError, KLToolsWarning, ShapeMismatchError
from ..estimate import DivergenceEstimate
from ..estimators import IN_BLOCKS, check_options, estimate_samples
from ..estimators.blocks import check_same_width
from ..preprocessing import Notes
from .tasks import Tasks, as_array, later, pieces_of

if TYPE_CHECKING:
    from dask.delayed import Delayed

_BLOCK_ROWS, _BLOCK_NUMBERS = 2**17, 2**24
_MAX_ROWS = 100_000


def estimate_kl(
    X: Any,
    Y: Any,
    *,
    method: str = "auto",
    n_neighbors: Any = None,
    unit: str = "nats",
    nan_policy: str = "raise",
    random_state: Any = None,
    max_rows: int = _MAX_ROWS,
    block_rows: int | None = None,
    compute: bool = True,
    **options: Any,
) -> DivergenceEstimate | Delayed:
    r"""Estimate KL(P || Q) in nats from Dask arrays: samples X of P and Y of Q, as `kltools.estimate_kl` does.

    .. math:: \mathrm{KL}(P \,\|\, Q) = \mathbb{E}_{x \sim P} \log \frac{p(x)}{q(x)}

    The methods "knn" and "knn_weighted" use all rows: the nearest neighbours of the rows of each block of X are
    sought in every block of X and of Y, which is a task of its own, and the nearest of these are the nearest of all.
    The workers together hold the rows, the caller 54 bytes for each row of X with three numbers of neighbours.
    All other methods, "auto" among them, are estimated in the calling process, from all rows or from `max_rows` of
    either sample that are drawn at random, which is told.

    ``standard_error`` starts a second computation when it is first asked for.

    Parameters
    ----------
    X : dask.array.Array of shape (n, d) or (n,), or dask.dataframe.DataFrame
        Rows drawn from P, in chunks of any, also of unknown, length. Columns in several chunks are put into one. An
        array in memory serves as well.
    Y : the same, of shape (m, d) or (m,)
        Rows drawn from Q, the reference.
    method, n_neighbors, unit, nan_policy
        As in `kltools.estimate_kl`.
    random_state : None, int, numpy.random.Generator or numpy.random.RandomState
        For the rows drawn, and as there.
    max_rows : int
        Rows of either sample that methods which need them in one place take.
    block_rows : int, optional
        Rows of the blocks that are searched, rounded up to a multiple of 4096; by default 131072, or fewer where that
        is more than 128 MiB. It makes no difference to the result.
    compute : bool
        False gives a `dask.delayed.Delayed` of the estimate, with its standard error.
    **options
        Options of the method.

    Returns
    -------
    DivergenceEstimate
        Where distances tie, its standard error takes twenty estimates of nineteen twentieths of the rows, one after
        the other; without ties it takes one search.

    Raises
    ------
    InvalidParameterError, InvalidTypeError, ShapeMismatchError, NotEnoughSamplesError
        As there; also where columns look linearly dependent, for "knn" and "knn_weighted".
    MissingDependencyError
        Without Dask.

    Warns
    -----
    KLToolsWarning
        Where columns were in several chunks, and where not all rows were used.
    TiesWarning, SmallSampleWarning, PoorOverlapWarning, UnreliableEstimateWarning, InfiniteDivergenceWarning
        As there.

    References
    ----------
    Q. Wang, S. R. Kulkarni, S. Verdu (2009), Divergence estimation for multidimensional densities via
    k-nearest-neighbor distances, eq. 5 and 17.

    Examples
    --------
    >>> import dask.array as da, kltools as kl, kltools.dask
    >>> rng = da.random.default_rng(0)
    >>> X, Y = rng.normal(0, 1, 20_000, chunks=6_000), rng.normal(1, 1, 20_000, chunks=7_000)
    >>> estimate = kltools.dask.estimate_kl(X, Y, method="knn", random_state=0)
    >>> estimate.value == kl.estimate_kl(X.compute(), Y.compute(), method="knn", random_state=0).value
    True
    """
    if n_neighbors is not None:
        options["n_neighbors"] = n_neighbors
    check_options(method, options)
    _validation.unit_factor(unit)
    _validation.choice(nan_policy, "nan_policy", _validation.NAN_POLICIES)
    max_rows = _validation.integer(max_rows, "max_rows", minimum=2)
    block_rows = None if block_rows is None else _validation.integer(block_rows, "block_rows", minimum=1)
    circumstances = {"method": method, "unit": unit, "nan_policy": nan_policy, "random_state": random_state}
    if not compute:
        return later(estimate_kl, X, Y, **circumstances, max_rows=max_rows, block_rows=block_rows, **options)
    notes, rng = Notes(), _validation.generator(random_state)
    if isinstance(Y, Distribution):
        raise InvalidTypeError(f"Y is a {type(Y).__name__}; kltools.dask compares two samples: pass one of Q.")
    _validation.check_same_columns(X, Y)
    first, second = (_rows(sample, name, block_rows, nan_policy, notes) for sample, name in ((X, "X"), (Y, "Y")))
    n_dropped = check_same_width(first, second)
    samples: tuple[Any, Any] = first, second
    if method not in IN_BLOCKS:
        samples = _some(first, "X", max_rows, method, rng, notes), _some(second, "Y", max_rows, method, rng, notes)
    return estimate_samples(
        *samples,
        method=method,
        options=options,
        unit=unit,
        n_jobs=1 if method in IN_BLOCKS else None,
        random_state=rng,
        n_dropped=n_dropped,
        notes=notes,
        stacklevel=2,
    )


def _rows(x: Any, name: str, block_rows: int | None, nan_policy: str, notes: Notes) -> Rows:
    x = as_array(x, name)
    if x.ndim not in (1, 2):
        raise ShapeMismatchError(f"expected 2-D {name} of shape (rows, features), got {x.ndim}-D {x.shape}.")
    if x.ndim == 2 and x.numblocks[1] > 1:
        notes.add(
            KLToolsWarning,
            f"the columns of {name} are in {x.numblocks[1]} chunks, and are put into one; {name}.rechunk({{1: -1}}) "
            "does it beforehand.",
        )
        x = x.rechunk({1: -1})
    d = 1 if x.ndim == 1 else max(x.shape[1], 1)
    wanted = min(_BLOCK_ROWS, _BLOCK_NUMBERS // d) if block_rows is None else block_rows
    return read_rows(Tasks(x), pieces_of(x), name, max(1, -(-wanted // STEP)) * STEP, nan_policy, notes.add)


def _some(rows: Rows, name: str, at_most: int, method: str, rng: np.random.Generator, notes: Notes) -> np.ndarray:
    """All rows, or some that are drawn at random, in memory."""
    if len(rows) <= at_most:
        return rows.take(np.arange(len(rows)))
    notes.add(
        KLToolsWarning,
        f"method={method!r} needs all rows in one place: {at_most} of {len(rows)} rows of {name} were drawn at random; "
        "raise max_rows, or use method='knn' on all of them.",
    )
    return rows.take(np.sort(rng.choice(len(rows), at_most, replace=False)))
