"""A fully connected network: its sizes, activations and output layer, and the layout of its parameters in one flat θ.

An output layer pairs a unit with the loss whose derivative in the pre-activation is *prediction - target* (the
canonical link). The hand-written backprops start from that; the references see only `loss`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from reference.activations import Activation, get_activation
from reference.user_input import did_you_mean, given, listed, real_number, seed_of_generator, whole_number

LARGEST_EPSILON = 1e300  # the interval from -ε to ε has a finite length up to here, as NumPy's uniform numbers need it


@dataclass(frozen=True, eq=False)
class Output:
    """An output layer."""

    name: str
    predict: Callable[[Any, Any], Any]  # ``predict(xp, z)``: pre-activations (..., K) to predictions (..., K)
    # ``loss(xp, z, Y)``: the loss of each example, (..., K) and targets (m, K) to (..., m)
    loss: Callable[[Any, Any, Any], Any]
    # ``target_error(Y)``: the end of an error message about the targets, or None where they are right
    target_error: Callable[[np.ndarray], str | None]

    def __repr__(self) -> str:
        return f"Output({self.name!r})"


def _probability_error(Y: np.ndarray) -> str | None:
    if Y.min() < 0.0 or Y.max() > 1.0:
        return f"must lie in [0, 1], but go from {Y.min():g} to {Y.max():g}"
    return None


def _distribution_error(Y: np.ndarray) -> str | None:
    sums = Y.sum(axis=1)
    worst = int(np.argmax(np.abs(sums - 1.0)))
    if abs(sums[worst] - 1.0) > 1e-12 * Y.shape[1]:  # 1e-12: rounding of a sum of K probabilities, with room
        return f"must sum to 1 in every row, but row {worst} sums to {float(sums[worst])!r}"
    return _probability_error(Y)


OUTPUTS: dict[str, Output] = {
    output.name: output
    for output in (
        Output(
            "sigmoid",
            # σ(z) as differentiating the loss gives it: relatively accurate for z << 0, with the same rounding errors
            predict=lambda xp, z: xp.exp(z - xp.logaddexp(z, 0.0)),
            # -y log σ(z) - (1-y) log(1-σ(z)) = log(1 + e^z) - yz, without a logarithm of something that rounds to zero
            loss=lambda xp, z, Y: xp.sum(xp.logaddexp(z, 0.0) - Y * z, axis=-1),
            target_error=_probability_error,
        ),
        Output(
            "softmax",
            predict=lambda xp, z: xp.exp(z - xp.logsumexp(z)),
            # -Σ y log p with Σ y = 1
            loss=lambda xp, z, Y: xp.logsumexp(z)[..., 0] - xp.sum(Y * z, axis=-1),
            target_error=_distribution_error,
        ),
        Output(
            "linear",
            predict=lambda xp, z: z,
            loss=lambda xp, z, Y: 0.5 * xp.sum(xp.square(z - Y), axis=-1),
            target_error=lambda Y: None,
        ),
    )
}


def get_output(name: str) -> Output:
    """The output layer of that name."""
    if isinstance(name, str) and name in OUTPUTS:
        return OUTPUTS[name]
    raise ValueError(f"unknown output {given(name)}; there are {', '.join(OUTPUTS)}{did_you_mean(name, OUTPUTS)}")


@dataclass(frozen=True, eq=False)
class Network:
    """A fully connected network with a bias in every unit.

    a_0 = x,  z_l = Theta_l [1; a_{l-1}],  a_l = f_l(z_l)  for the hidden layers, and an output layer on the last z.

    Parameters
    ----------
    sizes : sequence of int
        Layer sizes, inputs first, two or more. Two sizes make logistic (or softmax, or linear) regression.
    hidden : str, Activation or a sequence of them
        One activation for every hidden layer, or one per hidden layer.
    output : str
        "sigmoid" (cross-entropy summed over the K units, the course's cost), "softmax" (categorical cross-entropy)
        or "linear" (half squared error).

    Raises
    ------
    ValueError, TypeError
        For fewer than two sizes, a size below one, an unknown name, or a wrong number of activations.
    """

    sizes: tuple[int, ...]
    hidden: tuple[Activation, ...]
    output: Output

    def __init__(
        self,
        sizes: Sequence[int],
        hidden: str | Activation | Sequence[str | Activation] = "sigmoid",
        output: str = "sigmoid",
    ):
        sizes = tuple(listed("sizes", sizes, "a sequence of integers such as (400, 25, 10)"))
        if len(sizes) < 2:
            raise ValueError(
                f"a network needs two layer sizes or more (inputs and outputs), but {given(sizes)} was given"
            )
        object.__setattr__(self, "sizes", tuple(whole_number("a layer size", size, at_least=1) for size in sizes))
        depth = len(self.sizes) - 2
        if isinstance(hidden, (str, Activation, Set, Mapping)) or not isinstance(hidden, Iterable):
            names = [get_activation(hidden)] * depth  # a wrong name is an error even where no layer uses it
        else:
            names = listed("the hidden activations", hidden, "a sequence of activations or names")
        if len(names) != depth:
            raise ValueError(
                f"sizes {self.sizes} have {depth} hidden layer{'s' * (depth != 1)}, but {len(names)} hidden "
                f"activation{'s were' if len(names) != 1 else ' was'} given; give one for each, or one name for all"
            )
        object.__setattr__(self, "hidden", tuple(get_activation(name) for name in names))
        object.__setattr__(self, "output", get_output(output))

    @cached_property
    def shapes(self) -> list[tuple[int, int]]:
        """The shape (n_out, 1 + n_in) of every Theta_l."""
        return [(n_out, 1 + n_in) for n_in, n_out in zip(self.sizes, self.sizes[1:])]

    @cached_property
    def size(self) -> int:
        """The number of parameters, biases included."""
        return sum(rows * columns for rows, columns in self.shapes)

    def init(self, seed: int | np.random.Generator, epsilon: float = 0.12) -> np.ndarray:
        """θ drawn uniformly from [-ε, ε], which breaks the symmetry between units.

        The default is the course's ε for its 400-25-10 network, √6/√(400 + 25) = 0.12.
        """
        epsilon = real_number("epsilon", epsilon, largest=LARGEST_EPSILON)
        return np.random.default_rng(seed_of_generator(seed)).uniform(-epsilon, epsilon, self.size)

    def pack(self, thetas: Sequence[Any]) -> np.ndarray:
        """θ of shape (size,) from the matrices Theta_l of shape (n_out, 1 + n_in), bias first, column-major.

        Raises
        ------
        ValueError, TypeError
            For other shapes, and for what holds no real numbers: complex, masked or text.
        """
        thetas = listed("the matrices", thetas, "a sequence of arrays")
        thetas = [
            real_array(f"the matrix Theta{layer}", Theta, (2,), "of 2 dimensions", may_be_infinite=True)
            for layer, Theta in enumerate(thetas, start=1)
        ]
        shapes = [Theta.shape for Theta in thetas]
        if shapes != self.shapes:
            raise ValueError(f"sizes {self.sizes} need matrices of shapes {self.shapes}, but {shapes} were given")
        return np.concatenate([Theta.ravel(order="F") for Theta in thetas])

    def unpack(self, theta: Any) -> list[Any]:
        """The matrices Theta_l of shape (n_out, 1 + n_in), bias first; views of θ where its type makes views.

        Works for every array type that slices, reshapes and transposes, so for NumPy, JAX and the arithmetics here.
        """
        if (shape := getattr(theta, "shape", None)) != (self.size,):
            what = given(theta) if shape is None else shape
            raise ValueError(f"sizes {self.sizes} need θ of shape ({self.size},), but {what} was given")
        return self.unpack_many(theta)

    def unpack_many(self, thetas: Any) -> list[Any]:
        """The same for every θ of an array of shape (..., size): matrices of shape (..., n_out, 1 + n_in)."""
        # column-major, as the course's code in Octave unrolls Theta(:): (columns, rows) in C order, transposed
        matrices, start, leading = [], 0, thetas.shape[:-1]
        for rows, columns in self.shapes:
            stop = start + rows * columns
            matrices.append(thetas[..., start:stop].reshape(*leading, columns, rows).mT)
            start = stop
        return matrices

    def forward(self, matrices: Sequence[Any], X: Any, activate: Callable[[Activation, Any], Any]) -> tuple[list, list]:
        """A_{l-1} and Z_l of every layer l, where ``activate(f, Z)`` returns the A of a hidden layer.

        Over any arithmetic; leading axes of the Theta_l, for many θ at once, are leading axes of the result.
        """
        As, Zs = [X], []
        for Theta, f in zip(matrices, (*self.hidden, None)):
            Zs.append(As[-1] @ Theta[..., 1:].mT + Theta[..., np.newaxis, :, 0])
            if f is not None:
                As.append(activate(f, Zs[-1]))
        return As, Zs

    def pre_activations(self, xp: Any, theta: Any, X: Any) -> Any:
        """The output layer's z of shape (m, K), by a forward pass over the array namespace `xp`."""
        return self.forward(self.unpack(theta), X, lambda f, Z: f.value(xp, Z))[1][-1]

    def losses(self, xp: Any, theta: Any, X: Any, Y: Any) -> Any:
        """The loss of each example, shape (m,), without the regulariser."""
        return self.output.loss(xp, self.pre_activations(xp, theta, X), Y)

    def squared_weights(self, xp: Any, theta: Any) -> Any:
        """Σ weights² over all layers, biases left out."""
        return sum(xp.sum(xp.square(Theta[:, 1:])) for Theta in self.unpack(theta))

    def label(self, i: int) -> str:
        """The name of coordinate i of θ: "Theta2[3, bias]" is ``unpack(theta)[1][3, 0]``, and column 7 is "[3, 7]"."""
        layer, row, column = self.locate(i)
        return f"Theta{layer + 1}[{row}, {column if column else 'bias'}]"

    def locate(self, i: int) -> tuple[int, int, int]:
        """Layer (from 0), row and column of coordinate i of θ; column 0 is the bias."""
        if not 0 <= whole_number("the coordinate", i) < self.size:
            raise IndexError(f"θ has coordinates 0 to {self.size - 1}, but {given(i)} was given")
        for layer, (rows, columns) in enumerate(self.shapes):
            if i < rows * columns:
                return layer, int(i % rows), int(i // rows)
            i -= rows * columns
        raise AssertionError("unreachable: i < size")

    def __reduce__(self) -> Any:
        return Network, (self.sizes, self.hidden, self.output.name)

    def __repr__(self) -> str:
        sizes = "-".join(map(str, self.sizes))
        return f"Network({sizes}, {', '.join(f.name for f in self.hidden) or 'no hidden layer'}, {self.output.name})"


def real_array(
    what: str,
    values: Any,
    ndim: tuple[int, ...],
    expected: str,
    *,
    may_be_infinite: bool = False,
    kinds: str = "biuf",  # NumPy's letters of the types that are taken
) -> np.ndarray:
    """`values` as a float64 array in C order, or an error that names `what` and the `expected` array."""
    if isinstance(values, np.ma.MaskedArray):
        raise TypeError(f"{what} must not be a masked array: fill in what is masked, or leave it out")
    try:
        array = np.asarray(values)
        if array.dtype.kind not in kinds:  # complex numbers would lose their imaginary part, and texts become numbers
            raise TypeError
        array = np.asarray(array, dtype=np.float64, order="C")
    except Exception:  # noqa: BLE001  a class of the user may raise anything
        kind = f"an array of {values.dtype}" if isinstance(values, np.ndarray) else type(values).__name__
        raise TypeError(f"{what} must be an array of real numbers ({expected}), not {kind}") from None
    if array.ndim not in ndim:
        raise ValueError(f"{what} must be {expected}, but has shape {array.shape}")
    if not may_be_infinite and not np.isfinite(array).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise ValueError(f"{what} must be finite, but {what}{list(where)} is {array[where]}")
    return array
