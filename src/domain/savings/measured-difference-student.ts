/** Enough for 12 digits at every number of degrees of freedom. */
const FRACTION_TERMS_MAX = 400;
const HALVINGS = 100;
const TINY = 1e-300;
/** Lanczos, g = 5 (Numerical Recipes, section 6.1): 10 digits of the gamma function's logarithm. */
const LANCZOS = [
  76.18009172947146, -86.5053203294168, 24.01409824083091, -1.231739572450155, 0.001208650973866179,
  -0.000005395239384953,
] as const;

/**
 * The quantile of Student's t: the value that a share `probability` of the distribution stays below. Degrees of
 * freedom need not be whole (Welch and Satterthwaite's are not).
 */
export function studentQuantile(probability: number, degreesOfFreedom: number): number {
  if (!(probability > 0 && probability < 1)) throw new RangeError('a probability between 0 and 1');
  if (!(degreesOfFreedom > 0)) throw new RangeError('degrees of freedom must be positive');
  if (probability < 0.5) return -studentQuantile(1 - probability, degreesOfFreedom);
  let low = 0;
  let high = 1;
  while (studentBelow(high, degreesOfFreedom) < probability && high < 1e12) high *= 2;
  for (let i = 0; i < HALVINGS && high - low > 1e-12 * high; i += 1) {
    const middle = (low + high) / 2;
    if (studentBelow(middle, degreesOfFreedom) < probability) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/** The share of Student's t below a value that is not negative. */
function studentBelow(value: number, degreesOfFreedom: number): number {
  const x = degreesOfFreedom / (degreesOfFreedom + value * value);
  return 1 - 0.5 * incompleteBeta(degreesOfFreedom / 2, 0.5, x);
}

/** Regularized, by its continued fraction (Numerical Recipes, section 6.4). */
function incompleteBeta(a: number, b: number, x: number): number {
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  const front = Math.exp(
    logGamma(a + b) - logGamma(a) - logGamma(b) + a * Math.log(x) + b * Math.log1p(-x),
  );
  return x < (a + 1) / (a + b + 2)
    ? (front * betaFraction(a, b, x)) / a
    : 1 - (front * betaFraction(b, a, 1 - x)) / b;
}

function betaFraction(a: number, b: number, x: number): number {
  const kept = (value: number): number => (Math.abs(value) < TINY ? TINY : value);
  let c = 1;
  let d = 1 / kept(1 - ((a + b) * x) / (a + 1));
  let fraction = d;
  for (let m = 1; m <= FRACTION_TERMS_MAX; m += 1) {
    const even = (m * (b - m) * x) / ((a - 1 + 2 * m) * (a + 2 * m));
    d = 1 / kept(1 + even * d);
    c = kept(1 + even / c);
    fraction *= d * c;
    const odd = (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 1 + 2 * m));
    d = 1 / kept(1 + odd * d);
    c = kept(1 + odd / c);
    fraction *= d * c;
    if (Math.abs(d * c - 1) < 1e-14) break;
  }
  return fraction;
}

function logGamma(x: number): number {
  const shifted = x + 5.5 - (x + 0.5) * Math.log(x + 5.5);
  let series = 1.000000000190015;
  for (const [i, term] of LANCZOS.entries()) series += term / (x + 1 + i);
  return -shifted + Math.log((2.5066282746310002 * series) / x);
}
