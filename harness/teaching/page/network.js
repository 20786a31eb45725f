// The network of two inputs, two hidden units and one output; θ is unrolled column by column, as everywhere here.
const sigmoid = (z) => 1 / (1 + Math.exp(-z));
const softplus = (z) => Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z)));

function pass(theta) {
  const [b1, b2, w11, w21, w12, w22, b, v1, v2] = theta, [x1, x2] = data.hand.x, y = data.hand.y;
  const z = [b1 + w11 * x1 + w12 * x2, b2 + w21 * x1 + w22 * x2];
  const a = z.map(sigmoid);
  const out = b + v1 * a[0] + v2 * a[1], answer = sigmoid(out);
  const cost = softplus(out) - y * out;
  const delta = answer - y;
  const deltas = [v1 * delta * a[0] * (1 - a[0]), v2 * delta * a[1] * (1 - a[1])];
  const gradient = [...deltas, deltas[0] * x1, deltas[1] * x1, deltas[0] * x2, deltas[1] * x2, delta, delta * a[0], delta * a[1]];
  return { z, a, out, answer, cost, delta, deltas, gradient };
}

function moved(theta, i, value) {
  const copy = theta.slice();
  copy[i] = value;
  return copy;
}

// -- five ways to the derivative of f, the cost along one weight plus a constant -------------------------------------------

const central = (f, w, h) => (f(w + h) - f(w - h)) / (2 * h);

const METHODS = {
  forward: (f, w, h) => (f(w + h) - f(w)) / h,
  central,
  Richardson: (f, w, h) => (4 * central(f, w, h) - central(f, w, 2 * h)) / 3,
  "complex step": (f, w, h) => complexStep(h),
  increments: (f, w, h) => (increment(h) - increment(-h)) / (2 * h),
};

// Complex numbers are pairs [re, im].
const times = ([a, b], [c, d]) => [a * c - b * d, a * d + b * c];
function over([a, b], [c, d]) {
  const size = c * c + d * d;
  return [(a * c + b * d) / size, (b * c - a * d) / size];
}
const exp = ([a, b]) => [Math.exp(a) * Math.cos(b), Math.exp(a) * Math.sin(b)];

function complexStep(h) { // Im J(w + ih)/h
  const { theta, moved: i, x } = data.hand, plain = pass(theta);
  const z = [plain.z[0], h * x[0]]; // the moved weight leads from the first input to the first unit
  const e = exp([-z[0], -z[1]]);
  const a = over([1, 0], [1 + e[0], e[1]]);
  const out = [plain.out, theta[7] * a[1]];
  out[0] = theta[6] + theta[7] * a[0] + theta[8] * plain.a[1];
  const grown = exp(out);
  const log = [0, Math.atan2(grown[1], 1 + grown[0])]; // of 1 + e^out; only its imaginary part is asked for
  return (log[1] - data.hand.y * out[1]) / h;
}

function increment(h) { // J(w + h) - J(w) with nothing subtracted
  const { theta, x, y } = data.hand, { a, answer } = pass(theta);
  const grown = Math.expm1(h * x[0]); // e^z grows by this factor
  const change = (a[0] * (1 - a[0]) * grown) / (1 + a[0] * grown);
  const out = theta[7] * change;
  return Math.log1p(answer * Math.expm1(out)) - y * out;
}
