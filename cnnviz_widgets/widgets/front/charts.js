/** Small charts of bars, drawn as SVG so that they take the page's colours by themselves. */

const SVG = "http://www.w3.org/2000/svg";

/** @returns {SVGElement} */
function drawn(tag, attributes) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  return element;
}

/** Signed bars about a line at zero, each from its low to its high. @param {number} limit the largest magnitude */
export function signedBars(lows, highs, limit) {
  const chart = drawn("svg", { viewBox: `0 0 ${lows.length} 2`, preserveAspectRatio: "none", class: "cnnviz-bars" });
  const up = limit || 1;
  lows.forEach((low, i) => {
    const high = highs[i];
    if (high > 0) chart.append(drawn("rect", { class: "cnnviz-plus", x: i, width: 0.9, y: 1 - high / up, height: high / up }));
    if (low < 0) chart.append(drawn("rect", { class: "cnnviz-minus", x: i, width: 0.9, y: 1, height: -low / up }));
  });
  chart.append(drawn("line", { x1: 0, x2: lows.length, y1: 1, y2: 1, "vector-effect": "non-scaling-stroke" }));
  return chart;
}

/** How often values fall into each of some equal bins; the bin `mark` stands out. */
export function histogram(counts, mark) {
  const chart = drawn("svg", { viewBox: `0 0 ${counts.length} 1`, preserveAspectRatio: "none", class: "cnnviz-histogram" });
  const most = Math.max(...counts, 1);
  counts.forEach((count, i) => {
    // A single one among thousands is still to be seen.
    const height = count && Math.max(0.06, count / most);
    const name = i === mark ? "cnnviz-own" : "cnnviz-other";
    chart.append(drawn("rect", { class: name, x: i + 0.05, width: 0.9, y: 1 - height, height }));
  });
  return chart;
}
