/** From numbers to words. */

/** A number to read, and to paste: four digits. */
export function say(value, digits = 4) {
  if (Number.isNaN(value)) return "no value";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e5 || size < 1e-3) return value.toExponential(digits - 1).replace(/\.?0*e/, "e").replace("e+", "e");
  return String(Number(value.toPrecision(digits)));
}
