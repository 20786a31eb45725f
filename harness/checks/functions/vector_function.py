"""A function of several values, and what is claimed of its Jacobian: a matrix, sparse or not, an operator, products."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from harness.bounds.tolerances import MEANINGLESS
from harness.checks.functions.cost_noise import holds_float32
from harness.checks.functions.cost_probe import edge_of_domain
from harness.checks.functions.gradient_case import precision_of
from harness.checks.functions.tree_branches import take_apart
from harness.checks.functions.tree_leaves import to_numpy
from harness.checks.random_directions import ADDED_UP, random_directions
from reference.arithmetics.roundoff import UNIT_ROUNDOFF

EACH_OUTPUT = 50  # up to so many outputs are examined one by one

SHRUNK = 2.0**-4
"""A change is compared with that in this share of the step. A slope shrinks with it, and rounding does not."""

PAIRS = 3  # so many pairs of random directions show whether a matrix is symmetric

TIMES = -4.0
"""The product of so many times a vector is so many times its product. A power of two rounds alike, and a negative one
shows what takes an absolute value."""

BENT = 1e-2  # a product that is off by a smaller share may be right to a solver's tolerance

Product = Callable[[np.ndarray, np.ndarray], Any]  # ``product(theta, vector)`` -> Jᵀw or J v


class Claim(NamedTuple):
    """What is claimed of a matrix: Jᵀw, and J v where that is all that is computed."""

    pull: Product
    push: Product | None = None


class VectorFunction:
    """A function of several values at an array θ, with what is claimed of its Jacobian, which is called `name`.

    `first` are the values at θ, flat; `size` is their number, and `unit` is u of the least precise of θ and these.
    """

    def __init__(self, fun: Callable[..., Any], theta: Any, args: tuple[Any, ...], name: str, called: str = "fun"):
        if not callable(fun):
            raise TypeError(f"{called} must be callable as {called}(theta), not {type(fun).__name__}")
        self._fun, self._args, self.name, self._called = fun, args, name, called
        theta = _to_one_array(theta)
        self.theta = theta if theta.dtype.kind == "f" else theta.astype(np.float64)
        shaped = self._shaped_values(self.theta.copy())
        first = shaped.ravel()
        if not first.size:
            raise ValueError(f"{called} must answer one number at least")
        self.size, self.first, self._shape = first.size, first, shaped.shape
        self.unit = max(float(np.finfo(each.dtype).eps) / 2.0 for each in (self.theta, first) if each.dtype.kind == "f")

    def values(self, theta: np.ndarray) -> np.ndarray:
        """The values, flat."""
        return self._shaped_values(theta).ravel()

    def _shaped_values(self, theta: np.ndarray) -> np.ndarray:
        return to_numpy(self._fun(theta, *self._args), f"the values that {self._called} returns")

    def claims(self, matrix: Mapping[str, Any], push: Mapping[str, Any], pull: Mapping[str, Any]) -> dict[str, Claim]:
        """What is to be checked: functions that return the matrix, J v and Jᵀw, by their names."""
        given = {name: f for name, f in {**matrix, **push, **pull}.items() if f is not None}
        for name, f in given.items():
            if not callable(f):
                raise TypeError(f"{name} must be a function of theta, not {type(f).__name__}")
        if not given:
            raise TypeError(f"give {', '.join((*matrix, *push))} or {', '.join(pull)}, as a function of theta")
        found: dict[str, Claim] = {}
        for name, f in given.items():
            if name in push:
                found[name] = self._pushed(name, self._with_arguments(f))
            elif name in pull:
                found[name] = self._pulled(name, self._with_arguments(f))
            else:
                found |= self._claims_of_matrix(name, f)
        return found

    def _with_arguments(self, product: Callable[..., Any]) -> Product:
        return lambda theta, vector: product(theta, vector, *self._args)

    def _claims_of_matrix(self, name: str, f: Callable[..., Any]) -> dict[str, Claim]:
        """Jᵀw of a matrix; of a linear operator J v, and also Jᵀw if it has an adjoint."""

        def matrix(theta: np.ndarray) -> Any:
            return f(theta, *self._args)

        first = matrix(self.theta.copy())
        if not hasattr(first, "matvec"):
            return {name: self._pulled(name, lambda t, w: self._transposed_times(self._matrix(name, matrix(t)), w))}
        forward = {"matvec": self._pushed("matvec", lambda t, v: matrix(t).matvec(v.ravel()))}
        if not _has_adjoint(first):
            return forward
        return forward | {"rmatvec": self._pulled("rmatvec", lambda t, w: matrix(t).rmatvec(w))}

    def _pulled(self, name: str, product: Product) -> Claim:
        """Jᵀw in the shape of θ."""

        def pull(theta: np.ndarray, w: np.ndarray) -> np.ndarray:
            return _of_size(name, product(theta, w.copy()), theta.size).reshape(theta.shape)

        return Claim(pull)

    def _pushed(self, name: str, product: Product) -> Claim:
        """J v, and from as many of these as there are columns Jᵀw."""

        def push(theta: np.ndarray, v: np.ndarray) -> np.ndarray:
            return _of_size(name, product(theta.copy(), v.copy()), self.size)

        def pull(theta: np.ndarray, w: np.ndarray) -> np.ndarray:
            units = np.eye(theta.size, dtype=theta.dtype).reshape(theta.size, *theta.shape)
            return np.array([w @ push(theta, unit) for unit in units]).reshape(theta.shape)

        return Claim(pull, push)

    def _matrix(self, name: str, matrix: Any) -> Any:
        """An (m, n) matrix, dense or sparse, which may come in the shape of the values and that of θ."""
        shape = self.size, self.theta.size
        is_sparse = hasattr(matrix, "tocsr")
        found = matrix if is_sparse else to_numpy(matrix, f"what {name} returns")
        known = (shape,) if is_sparse else (shape, (*self._shape, *self.theta.shape))
        if _but_for_ones(found.shape) not in map(_but_for_ones, known):
            raise ValueError(f"{name} must answer a matrix of shape {shape}, not {found.shape}")
        return found if is_sparse else found.reshape(shape)

    def _transposed_times(self, matrix: Any, w: np.ndarray) -> np.ndarray:
        """Jᵀw, in float32 if the matrix is, or if both it and the values were computed in that, whatever their type."""
        matrix = matrix.tocoo() if hasattr(matrix, "tocoo") else matrix
        is_coarse = holds_float32(self.first) and holds_float32(matrix.data if hasattr(matrix, "tocoo") else matrix)
        product = np.ravel(matrix.T @ w)
        return product.astype(np.float32) if is_coarse or matrix.dtype == np.float32 else product

    @np.errstate(all="ignore")
    def total(self, w: np.ndarray, theta: np.ndarray) -> Any:
        """w·fun(θ), in the precision of the values."""
        values = self.values(theta)
        return values.dtype.type(w @ values)

    @np.errstate(all="ignore")
    def slopes(self) -> np.ndarray:
        """How fast each value changes along random directions: 1 where it does not, 0 where that is not known.

        Each is at most its row's length, if that row changes little in a step. What hardly shrinks with it is rounding.
        """
        # in a step of u^(1/3) a row changes little, and rounding leaves u^(2/3) of a slope
        step, found = self.unit ** (1.0 / 3.0) * np.maximum(1.0, np.abs(self.theta)), []
        for direction in random_directions(3, self.theta.size, seed=1):
            move = (step * direction.reshape(self.theta.shape)).astype(self.theta.dtype)
            with edge_of_domain():
                wide, narrow = (np.abs(self.values(self.theta + share * move) - self.first) for share in (1.0, SHRUNK))
                found.append(np.where(4.0 * SHRUNK * wide >= narrow, wide / np.linalg.norm(move), np.inf))
        largest = np.max(found, axis=0) if found else np.full(self.size, np.inf)
        return np.where(largest == 0.0, 1.0, np.where(np.isfinite(largest), largest, 0.0))

    def weights(self, slopes: np.ndarray) -> np.ndarray:
        """Random weights in which no output hides another: those of large values or slopes are smaller."""
        sizes = np.fmax(np.abs(self.first), slopes)
        largest = sizes[np.isfinite(sizes)].max(initial=0.0) or 1.0
        sizes = np.where(np.isfinite(sizes) & (slopes > 0.0), sizes, largest)
        return random_directions(1, self.size, seed=0)[0] * largest / sizes / np.sqrt(self.size)

    def is_linear(self, claim: Claim, accuracy: float) -> bool:
        """Whether products are in proportion to a random vector."""
        multiply, shape = (claim.push, self.theta.shape) if claim.push else (claim.pull, (self.size,))
        v = random_directions(1, int(np.prod(shape)), seed=PAIRS)[0].astype(self.theta.dtype).reshape(shape)
        expected = TIMES * multiply(self.theta.copy(), v)
        try:
            once = multiply(self.theta.copy(), TIMES * v)
        except Exception:  # noqa: BLE001  it may refuse a long vector, which is no wrong product
            return True
        off, size = (float(np.abs(each).max(initial=0.0)) for each in (once - expected, expected))
        return not off > max(BENT, ADDED_UP * accuracy) * size

    def asymmetry(self, claim: Claim, accuracy: float) -> tuple[float, float]:
        """By how much v·H w and w·H v differ, as a share of their size, at most along random directions; what may be.

        H_ij is compared with √(s_i s_j), of the slopes s of rows i and j, so that no large row hides others.
        """
        size, shares, slopes = self.theta.size, [0.0], self.slopes()
        scale = np.sqrt(np.where(slopes > 0.0, slopes, slopes.max() or 1.0))
        # J v takes v in the shape of θ, and Jᵀw a flat w
        multiply, shape = (claim.push, self.theta.shape) if claim.push else (claim.pull, (size,))
        for seed in range(PAIRS):
            v, w = random_directions(2, size, seed=seed)
            moves = ((u / scale).astype(self.theta.dtype).reshape(shape) for u in (v, w))
            each = [np.ravel(multiply(self.theta.copy(), move)) / scale for move in moves]
            largest = np.linalg.norm(v) * np.linalg.norm(each[1]) + np.linalg.norm(w) * np.linalg.norm(each[0])
            shares.append(abs(w @ each[0] - v @ each[1]) / largest if largest else 0.0)
        unit = UNIT_ROUNDOFF["float32"] if holds_float32(self.first) else self.unit
        # an error that is accepted beside s_i is a larger share of √(s_i s_j)
        accepted = ADDED_UP * accuracy * scale.max() / scale.min()
        return float(max(shares)), max(MEANINGLESS[precision_of(unit)], accepted)


def _to_one_array(theta: Any) -> np.ndarray:
    try:
        return to_numpy(theta, "theta")
    except TypeError:
        if branch := take_apart(theta):
            raise TypeError(
                f"theta must be one array, whose entries belong to the columns of the matrix, not a {branch.kind}; "
                "give one array, and take it apart inside of fun"
            ) from None
        raise


def _but_for_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(length for length in shape if length != 1)


def _of_size(name: str, answered: Any, size: int) -> np.ndarray:
    found = to_numpy(answered, f"what {name} returns").ravel()
    if found.size != size:
        raise ValueError(f"{name} must answer {size} numbers, not {found.size}")
    return found


def _has_adjoint(operator: Any) -> bool:
    try:
        operator.rmatvec(np.zeros(operator.shape[0]))
    except (NotImplementedError, AttributeError, TypeError):
        return False
    return True
