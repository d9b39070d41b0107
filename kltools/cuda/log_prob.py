"""Monte Carlo from log-densities on a device: a block of threads for a chunk of draws."""

import functools
import math
from typing import Any

import numpy as np

from .._arrays import host_array
from .._device import is_on_gpu
from .._formula import Formula
from .._log_prob_validation import LARGEST_LOG_DENSITY
from ..estimate import DivergenceEstimate
from ..estimators.log_prob import concluded
from ..estimators.terms import USING_RATIO, PairMoments, Tally, chunk_size, ratio_less_one, term
from ..preprocessing import Notes
from ._blocks import sum_of_block
from ._compat import THREADS, Kernel, cuda, device, types
from .formulas import ITSELF, fill
from .interop import Place, View
from .memory import telling_shortage, workspace

float64 = types.float64
_MOMENTS = 9
_BYTES = 40  # of an entry: both log-densities, their copies of float64, and the difference

_term, _ratio_less_one = device(term), device(ratio_less_one)


def estimate_kl_from_log_prob(log_p: Any, log_q: Any, estimator: str, unit: str) -> DivergenceEstimate | None:
    """The estimate from single draws, or from rows of them; None where some are for the CPU to count, or to refuse."""
    notes, given = Notes(), ((log_p, "log_p"), (log_q, "log_q"))
    with telling_shortage(), Place(log_p, log_q) as place:
        p, q = (place.view(x) if is_on_gpu(x) else host_array(x, name, notes.add) for x, name in given)
        shape = p.shape
        if q.shape != shape or len(shape) not in (1, 2) or 0 in shape:
            return None
        size, n = chunk_size(shape[0]), math.prod(shape)
        at_once = (
            shape[0] if isinstance(p, View) and isinstance(q, View) else rows_at_once(_BYTES * n // shape[0], size)
        )
        tally = DeviceTally(estimator, n)
        for start in range(0, shape[0], at_once):
            parts = tuple(place.view_rows(x, start, min(start + at_once, shape[0])) for x in (p, q))
            if sum_of(_IS_EXTREME, parts, place):
                return None
            own, other = (_contiguous(part, place) for part in parts)
            tally.add_views(own, other, size, place)
    return concluded(tally, unit, n, shape[0], 0, {"n_masked": 0}, notes, stacklevel=3)


def rows_at_once(n_bytes: int, size: int) -> int:
    """Rows of so many bytes that fit into the workspace, in whole chunks, so that sums do not depend on it."""
    return max(1, workspace() // (n_bytes * size)) * size


class DeviceTally(Tally):
    """Counts draws whose log-densities are on a device, by the same chunks."""

    def add_views(self, log_p: View, log_q: View, size: int, place: Place) -> None:
        """Count entries that are contiguous and finite; rows of them are groups, so many of which are a chunk."""
        n_groups, *rest = log_p.shape
        each = math.prod(rest)
        n_chunks = -(-n_groups // size)
        rows = place.scratch(n_chunks, _MOMENTS)
        power = 1 if self.estimator == "cv" else int(self.estimator[1])
        arguments = (log_p.flat, log_q.flat, n_groups, each, size, power, rows)
        _moments()(n_chunks, THREADS, place.stream, *arguments)
        self.parts += [PairMoments.of_row(row) for row in place.receive(rows)]
        if self.estimator in USING_RATIO:
            self.keep_largest(place.receive(_mapped(_LOG_RATIO, (log_p, log_q), place).flat))


def sum_of(formula: Formula, views: tuple[View, ...], place: Place) -> float:
    """The sum of a formula over all entries of some views."""
    out = place.scratch(1)
    fill(formula, views, views[0].shape, len(views[0].shape), out, place)
    return float(place.receive(out)[0])


def _mapped(formula: Formula, views: tuple[View, ...], place: Place) -> View:
    shape = views[0].shape
    out = place.scratch(int(np.prod(shape)))
    fill(formula, views, shape, 0, out, place)
    return View.of_contiguous(out, shape)


def _contiguous(view: View, place: Place) -> View:
    is_contiguous = view.first == 0 and view.strides == View.of_contiguous(None, view.shape).strides
    if view.flat.dtype == np.float64 and is_contiguous:
        return view
    return _mapped(ITSELF, (view,), place)


@functools.cache
def _moments() -> Kernel:
    """Weights, means and products of deviations of the terms and of r - 1, as `PairMoments` has them."""

    def moments(log_p, log_q, n_groups, each, size, power, rows):
        kept = cuda.shared.array(THREADS, float64)
        chunk, thread = cuda.blockIdx.x, cuda.threadIdx.x
        first = chunk * size
        last = min(first + size, n_groups)
        sum_a, sum_b = 0.0, 0.0
        for group in range(first + thread, last, THREADS):
            for i in range(group * each, (group + 1) * each):
                log_r = log_q[i] - log_p[i]
                sum_a += _term(log_r, power)
                sum_b += _ratio_less_one(log_r)
        weight = float64((last - first) * each)
        mean_a = sum_of_block(sum_a, kept) / weight
        mean_b = sum_of_block(sum_b, kept) / weight
        sum_a, sum_b, aa, ab, bb = 0.0, 0.0, 0.0, 0.0, 0.0
        for group in range(first + thread, last, THREADS):
            a, b = 0.0, 0.0
            for i in range(group * each, (group + 1) * each):
                log_r = log_q[i] - log_p[i]
                a += _term(log_r, power)
                b += _ratio_less_one(log_r)
            a -= each * mean_a
            b -= each * mean_b
            sum_a += a
            sum_b += b
            aa += a * a
            ab += a * b
            bb += b * b
        sum_a = sum_of_block(sum_a, kept) * each
        sum_b = sum_of_block(sum_b, kept) * each
        aa = sum_of_block(aa, kept)
        ab = sum_of_block(ab, kept)
        bb = sum_of_block(bb, kept)
        if thread == 0:
            rows[chunk, 0], rows[chunk, 1], rows[chunk, 2] = weight, mean_a, mean_b
            rows[chunk, 3], rows[chunk, 4], rows[chunk, 5] = weight * each, sum_a, sum_b
            rows[chunk, 6], rows[chunk, 7], rows[chunk, 8] = aa, ab, bb

    return Kernel(moments)


def _is_extreme(log_p, log_q):
    return 0.0 if abs(log_p) < LARGEST_LOG_DENSITY and abs(log_q) < LARGEST_LOG_DENSITY else 1.0


def _log_ratio(log_p, log_q):
    return log_q - log_p


_IS_EXTREME, _LOG_RATIO = Formula(_is_extreme), Formula(_log_ratio)
