/** Small charts of bars and of lines, drawn as SVG so that they take the page's colours by themselves. */

const SVG = "http://www.w3.org/2000/svg";

/** @returns {SVGElement} */
function drawn(tag, attributes) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  return element;
}

/** A drawing that fills its place: so many bars across, and so high in their own measure. */
function stretched(name, across, high) {
  return drawn("svg", { viewBox: `0 0 ${across} ${high}`, preserveAspectRatio: "none", class: name });
}

/** Signed bars about a line at zero, each from its low to its high. @param {number} limit the largest magnitude */
export function signedBars(lows, highs, limit) {
  const chart = stretched("cnnviz-bars", lows.length, 2);
  const up = limit || 1;
  lows.forEach((low, i) => {
    const high = highs[i];
    const bar = (name, y, height) => chart.append(drawn("rect", { class: name, x: i, width: 0.9, y, height }));
    if (high > 0) bar("cnnviz-plus", 1 - high / up, high / up);
    if (low < 0) bar("cnnviz-minus", 1, -low / up);
  });
  chart.append(drawn("line", { x1: 0, x2: lows.length, y1: 1, y2: 1, "vector-effect": "non-scaling-stroke" }));
  return chart;
}

/** How often values fall into each of some equal bins; the bin `mark` stands out. */
export function histogram(counts, mark) {
  const chart = stretched("cnnviz-histogram", counts.length, 1);
  const most = Math.max(...counts, 1);
  counts.forEach((count, i) => {
    // A single one among thousands is still to be seen.
    const height = count && Math.max(0.06, count / most);
    const name = i === mark ? "cnnviz-own" : "cnnviz-other";
    chart.append(drawn("rect", { class: name, x: i + 0.05, width: 0.9, y: 1 - height, height }));
  });
  return chart;
}

/**
 * Lines of values from the left, in a frame that is `across` steps wide and goes from lo to hi.
 * @param {ArrayLike<number>[]} rows the last one is drawn on top @param {number} each steps from one value to the next
 */
export function curves(rows, each, across, lo, hi) {
  const chart = stretched("cnnviz-curves", 1, 1);
  const share = (value) => 1 - (value - lo) / (hi - lo || 1);
  for (const row of rows) {
    const points = Array.from(row, (value, i) => `${(i * each) / (across || 1)},${share(value)}`).join(" ");
    chart.append(drawn("polyline", { points, "vector-effect": "non-scaling-stroke" }));
  }
  return chart;
}
