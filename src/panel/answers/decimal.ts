/** Exact decimals and fractions with one way to write each value, so that equal numbers are equal strings. Nothing passes through a double. */
export interface Decimal {
  readonly negative: boolean;
  /** Digits without leading or trailing zeros; empty is zero. */
  readonly digits: string;
  /** The value is digits * 10^exponent. */
  readonly exponent: number;
}

/** Beyond this many places a number is written with an exponent, and a fraction is left as it stands: no work grows with a number somebody made up. */
const PLACES = 40;

const ZERO = 48;

/** The decimal of a run of digits: `whole` before the decimal mark, `part` after it. */
export function toDecimal(negative: boolean, whole: string, part: string): Decimal {
  const all = whole + part;
  let end = all.length;
  while (end > 0 && all.charCodeAt(end - 1) === ZERO) end -= 1;
  let start = 0;
  while (start < end && all.charCodeAt(start) === ZERO) start += 1;
  const digits = all.slice(start, end);
  if (digits === "") return { negative: false, digits, exponent: 0 };
  return { negative, digits, exponent: all.length - end - part.length };
}

/** The decimal times 10^power. */
export function shifted(value: Decimal, power: number): Decimal {
  return value.digits === "" ? value : { ...value, exponent: value.exponent + power };
}

/** The one way to write a decimal: 1200, 0.75, -3; far from 1 as 12e99. */
export function writeDecimal(value: Decimal): string {
  const { digits, exponent } = value;
  if (digits === "") return "0";
  const sign = value.negative ? "-" : "";
  const places = digits.length + exponent;
  if (exponent > PLACES || places < -PLACES || digits.length > PLACES) return `${sign}${digits}e${exponent}`;
  if (exponent >= 0) return `${sign}${digits}${"0".repeat(exponent)}`;
  if (places <= 0) return `${sign}0.${"0".repeat(-places)}${digits}`;
  return `${sign}${digits.slice(0, places)}.${digits.slice(places)}`;
}

function isSmall(value: Decimal): boolean {
  return value.digits.length <= PLACES && Math.abs(value.exponent) <= PLACES;
}

function toInteger(value: Decimal, exponent: number): bigint {
  const size = BigInt(value.digits === "" ? 0 : value.digits) * 10n ** BigInt(value.exponent - exponent);
  return value.negative ? -size : size;
}

/** The value over 10^places. */
function fromInteger(value: bigint, places: number): Decimal {
  const negative = value < 0n;
  return shifted(toDecimal(negative, (negative ? -value : value).toString(), ""), -places);
}

function commonDivisor(a: bigint, b: bigint): bigint {
  let [x, y] = [a < 0n ? -a : a, b];
  while (y > 0n) [x, y] = [y, x % y];
  return x;
}

/** How often `prime` divides `value`, and what is left. */
function divideOut(value: bigint, prime: bigint): [number, bigint] {
  let left = value;
  let times = 0;
  while (left % prime === 0n) {
    left /= prime;
    times += 1;
  }
  return [times, left];
}

/** The one way to write `plus` + top/bottom: as a decimal where it ends (3/4 is 0.75), else reduced (2/6 is 1/3). Undefined over zero. */
export function writeFraction(top: Decimal, bottom: Decimal, plus: Decimal): string | undefined {
  if (bottom.digits === "") return undefined;
  if (![top, bottom, plus].every(isSmall)) return `${writeDecimal(plus)}+${writeDecimal(top)}/${writeDecimal(bottom)}`;
  const exponent = Math.min(0, top.exponent, bottom.exponent, plus.exponent);
  const under = toInteger(bottom, exponent);
  // plus may have decimals of its own, so everything is scaled by the same power of ten twice over.
  const scale = 10n ** BigInt(-exponent);
  let over = toInteger(top, exponent) * scale + toInteger(plus, exponent) * under;
  let base = under * scale;
  if (base < 0n) [over, base] = [-over, -base];
  const divisor = commonDivisor(over, base);
  over /= divisor;
  base /= divisor;
  const [twos, odd] = divideOut(base, 2n);
  const [fives, left] = divideOut(odd, 5n);
  if (left !== 1n) return `${over}/${base}`;
  const places = Math.max(twos, fives);
  return writeDecimal(fromInteger((over * 10n ** BigInt(places)) / base, places));
}

/** `base` to the power of a small whole number, exactly; undefined where the result would not be small. */
export function powerOf(base: Decimal, power: number): Decimal | undefined {
  if (power < 0 || power > 400 || base.exponent < 0 || (base.digits.length + base.exponent) * power > 400) return undefined;
  return fromInteger(toInteger(base, 0) ** BigInt(power), 0);
}
