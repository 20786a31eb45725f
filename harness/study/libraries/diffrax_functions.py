"""Right functions of Diffrax: solvers, adjoints, step sizes, controls, noise and interpolation."""

# pyright: reportMissingImports=false

import diffrax as dfx
import jax
import jax.numpy as jnp
import numpy as np
import optimistix as optx

from harness.study.libraries import Host
from harness.study.traced_functions import Function

DECAY = np.array([1.1, 0.3])
START = np.array([1.0, 0.4])
STIFF = np.array([0.04, 3.0, 10.0])
TIMES = np.linspace(0.0, 1.0, 5)


def _linear(t, y, args):
    return -args * y


def _oscillator(t, y, args):
    return jnp.stack([y[1], args[0] * (1.0 - y[0] ** 2) * y[1] - args[1] * y[0]])


def _robertson(t, y, k):
    first, second = -k[0] * y[0] + k[1] * y[1] * y[2], k[2] * y[1] ** 2
    return jnp.stack([first, -first - second, second])


def _network(t, y, weights):
    w, b = weights
    return jnp.tanh(w @ y + b)


def _end(solution):
    return solution.ys[-1]


def _solve(field, solver, steps=0.1, *, end=1.0, **options):
    """Where a solver arrives from `START` by the end, as a function of the parameters and of the start."""

    def arrive(args, y0):
        return _end(dfx.diffeqsolve(dfx.ODETerm(field), solver, 0.0, end, steps, y0, args, **options))

    return arrive


PID = dfx.PIDController(rtol=1e-6, atol=1e-8)
COARSE_PID = dfx.PIDController(rtol=1e-3, atol=1e-4)


def _saved(saveat):
    def at_times(args, y0):
        term = dfx.ODETerm(_linear)
        return dfx.diffeqsolve(term, dfx.Tsit5(), 0.0, 1.0, 0.1, y0, args, saveat=saveat, stepsize_controller=PID).ys

    return at_times


def _noisy(solver, levy):
    def arrive(args, y0):
        path = dfx.VirtualBrownianTree(0.0, 1.0, 1e-3, (), jax.random.key(0), levy_area=levy)
        noise = dfx.ControlTerm(lambda t, y, args: 0.3 * args * y, path)
        terms = dfx.MultiTerm(dfx.ODETerm(_linear), noise)
        return _end(dfx.diffeqsolve(terms, solver, 0.0, 1.0, 0.1, y0, args))

    return arrive


def _controlled(args, points):
    path = dfx.CubicInterpolation(TIMES, dfx.backward_hermite_coefficients(TIMES, points))
    term = dfx.ControlTerm(lambda t, y, args: jnp.outer(jnp.tanh(args * y), jnp.ones(2)), path).to_ode()
    return _end(dfx.diffeqsolve(term, dfx.Tsit5(), 0.0, 1.0, 0.1, jnp.ones(2), args, stepsize_controller=PID))


def _interpolated(make):
    return lambda points, t: make(points).evaluate(t)


def _until_zero(args, y0):
    event = dfx.Event(lambda t, y, args, **_: y[0] - 0.5, optx.Newton(1e-10, 1e-10))
    term, stop = dfx.ODETerm(_linear), dfx.diffeqsolve
    return _end(stop(term, dfx.Tsit5(), 0.0, 2.0, 0.1, y0, args, event=event, stepsize_controller=PID))


def _end_time(t1, y0):
    saveat = dfx.SaveAt(ts=jnp.linspace(0.0, t1, 4))
    return dfx.diffeqsolve(dfx.ODETerm(_linear), dfx.Dopri5(), 0.0, t1, 0.1, y0, DECAY, saveat=saveat).ys


def _semi_implicit(args, y0):
    terms = dfx.ODETerm(lambda t, v, args: v), dfx.ODETerm(lambda t, x, args: -args[0] * jnp.sin(x))
    state = y0[0], y0[1]
    ends = dfx.diffeqsolve(terms, dfx.SemiImplicitEuler(), 0.0, 1.0, 0.1, state, args).ys
    return jnp.stack([end[-1] for end in ends])


WEIGHTS = (np.array([[0.3, -0.8], [0.9, 0.2]]), np.array([0.1, -0.2]))
POINTS = np.array([[0.0, 1.0], [0.5, 0.7], [0.7, 0.1], [1.1, -0.2], [1.4, 0.3]])
BACKSOLVE, DIRECT, FORWARD = dfx.BacksolveAdjoint(), dfx.DirectAdjoint(), dfx.ForwardMode()
NARROW = tuple(np.float32(x) for x in (DECAY, START))

ARGUMENTS = (DECAY, START)  # of the functions that stand alone below

FUNCTIONS: dict[str, Function | tuple[Function, tuple]] = {
    "Euler": _solve(_linear, dfx.Euler()),
    "Heun": _solve(_oscillator, dfx.Heun()),
    "Midpoint, float32": (_solve(_linear, dfx.Midpoint()), NARROW),
    "Ralston": _solve(_oscillator, dfx.Ralston()),
    "Bosh3": _solve(_oscillator, dfx.Bosh3(), stepsize_controller=PID),
    "Tsit5": _solve(_oscillator, dfx.Tsit5(), stepsize_controller=PID),
    "Tsit5, float32": (_solve(_oscillator, dfx.Tsit5(), stepsize_controller=COARSE_PID), NARROW),
    "Tsit5, direct adjoint": _solve(_linear, dfx.Tsit5(), stepsize_controller=PID, adjoint=DIRECT, max_steps=64),
    "Tsit5, constant steps, direct adjoint": _solve(_linear, dfx.Tsit5(), adjoint=DIRECT, max_steps=16),
    "Dopri5, forward mode": _solve(_linear, dfx.Dopri5(), adjoint=FORWARD),
    "Dopri5, backsolve": _solve(_linear, dfx.Dopri5(), stepsize_controller=PID, adjoint=BACKSOLVE),
    "Dopri8": _solve(_oscillator, dfx.Dopri8(), stepsize_controller=PID),
    "Kvaerno3": _solve(_linear, dfx.Kvaerno3(), stepsize_controller=PID),
    "Kvaerno5, stiff": (_solve(_robertson, dfx.Kvaerno5(), 1e-3, stepsize_controller=PID),
        (STIFF, np.array([1.0, 0.1, 0.0]))),
    "implicit Euler": _solve(_linear, dfx.ImplicitEuler(root_finder=dfx.VeryChord(1e-8, 1e-8))),
    "neural ODE": (_solve(_network, dfx.Tsit5(), stepsize_controller=PID), (WEIGHTS, START)),
    "neural ODE, float32": (_solve(_network, dfx.Heun()), (tuple(map(np.float32, WEIGHTS)), np.float32(START))),
    "semi-implicit Euler": _semi_implicit,
    "SaveAt steps": _saved(dfx.SaveAt(ts=TIMES)),
    "SaveAt subsaves": _saved(dfx.SaveAt(ts=TIMES, fn=lambda t, y, args: jnp.sum(y**2))),
    "SaveAt to the end time": (_end_time, (np.float64(0.9), START)),
    "SDE, Euler-Heun": _noisy(dfx.EulerHeun(), dfx.BrownianIncrement),
    "SDE, SEA": _noisy(dfx.ItoMilstein(), dfx.BrownianIncrement),
    "controlled, cubic": (_controlled, (DECAY, POINTS)),
    "linear interpolation": (_interpolated(lambda p: dfx.LinearInterpolation(TIMES, p)), (POINTS, np.float64(0.3))),
    "cubic interpolation": (
        _interpolated(lambda p: dfx.CubicInterpolation(TIMES, dfx.backward_hermite_coefficients(TIMES, p))),
        (POINTS, np.float64(0.6)),
    ),
    "event with a root": _until_zero,
    "vmap of a solve": lambda args, y0: jax.vmap(
        lambda k: _solve(_linear, dfx.Tsit5(), stepsize_controller=PID)(k * args, y0))(jnp.array([0.5, 1.0])),
}  # fmt: skip


HOSTS: dict[str, tuple[Host, tuple]] = {
    "in a vector field": (lambda rule: _solve(lambda t, y, args: -rule(args * y), dfx.Heun(), end=0.4), (DECAY, START))
}
