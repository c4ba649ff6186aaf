// The two drawings of the last ten minutes, made of SVG by hand: latency as lines, requests as lanes of bars.

import { el, say, svg } from "./dom.js";
import { count, duration, minuteOf, seconds } from "./format.js";

const SPAN_S = 600;
const STEP_S = 5;
const HEIGHT = 260;
const EDGE = { left: 78, right: 16, top: 14, bottom: 34 };
const GRID = 4;
// One lane below the other, so that no colour is needed to tell them apart: what it shows, top, height, name.
const LANES = [
  ["answered", 24, 88, "answered"], ["throttled", 142, 28, "throttled (429)"], ["failed", 198, 28, "failed"],
];

/** Draw p50 and p95 of the steps into `figure`. */
export function drawLatency(figure, steps, nowS) {
  const answered = steps.filter((step) => step.p50_ms !== null);
  const frame = newFrame(figure, nowS);
  const highest = Math.max(100, ...answered.map((step) => step.p95_ms));
  const y = axis(frame, EDGE.top, HEIGHT - EDGE.top - EDGE.bottom, highest, GRID, seconds);
  frame.root.append(line(frame, y, answered, "p95_ms"), line(frame, y, answered, "p50_ms"));
  const last = answered.at(-1);
  finish(figure, frame, "Latency of answered requests (simulated)", last
    ? `Latest: p50 ${duration(last.p50_ms)}, p95 ${duration(last.p95_ms)}` : "No request was answered in this time",
  [["p50", "p50: half are faster"], ["p95", "p95: 19 of 20 are faster"]]);
}

/** Draw how many requests of each step ended in which way into `figure`. */
export function drawRate(figure, steps, nowS) {
  const frame = newFrame(figure, nowS);
  for (const [kind, top, height, name] of LANES) {
    const y = axis(frame, top, height, Math.max(0, ...steps.map((step) => step[kind])), 1, count);
    frame.root.append(svg("text", { class: "lane", x: EDGE.left + 6, y: top - 4 }, name),
      ...steps.filter((step) => step[kind]).map((step) => bar(frame, y, step, kind)));
  }
  const sums = LANES.map(([kind]) => steps.reduce((sum, step) => sum + step[kind], 0));
  finish(figure, frame, `Requests in each ${STEP_S} seconds`,
    `In 10 minutes: ${count(sums[0])} answered, ${count(sums[1])} throttled, ${count(sums[2])} failed`);
}

/** An empty drawing with the time below; `x` says where a second lies. */
function newFrame(figure, nowS) {
  const width = Math.max(300, Math.floor(figure.clientWidth) || 600);
  const x = (second) => EDGE.left + ((second - nowS + SPAN_S) / SPAN_S) * (width - EDGE.left - EDGE.right);
  const root = svg("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, role: "img" });
  const ticks = width < 500 ? [600, 300, 0] : [600, 480, 360, 240, 120, 0];
  root.append(...ticks.map((ago) => tick(x(nowS - ago), ago, nowS)));
  return { root, x, width };
}

/** Grid lines from 0 to a round number above `highest`, with their values; the answer says where a value lies. */
function axis(frame, top, height, highest, lines, write) {
  const upper = nice(highest);
  const y = (value) => top + height * (1 - Math.min(value, upper) / upper);
  for (let index = 0; index <= lines; index++) {
    const value = (upper * index) / lines;
    frame.root.append(
      svg("line", { class: "grid", x1: EDGE.left, x2: frame.width - EDGE.right, y1: y(value), y2: y(value) }),
      svg("text", { class: "axis", x: EDGE.left - 8, y: y(value) + 5, "text-anchor": "end" }, write(value)));
  }
  return y;
}

function tick(x, ago, nowS) {
  const anchor = ago === 0 ? "end" : ago === SPAN_S ? "start" : "middle";
  return svg("text", { class: "axis", x, y: HEIGHT - 10, "text-anchor": anchor }, ago ? minuteOf(nowS - ago) : "now");
}

function line(frame, y, steps, kind) {
  let path = "";
  let before = -Infinity;
  for (const step of steps) {
    // A gap of more than half a minute is a gap: no line is drawn over time in which nothing was measured.
    const joined = step.start_s - before <= 30;
    path += `${joined ? "L" : "M"}${frame.x(step.start_s + STEP_S / 2).toFixed(1)} ${y(step[kind]).toFixed(1)}`;
    if (!joined) path += "h0.01"; // so that a lone point shows, as a dot of the line's width
    before = step.start_s;
  }
  return svg("path", { class: `line ${kind.slice(0, 3)}`, d: path || "M0 0" });
}

function bar(frame, y, step, kind) {
  const x = frame.x(step.start_s);
  const width = Math.max(1.5, frame.x(step.start_s + STEP_S) - x - 1);
  return svg("rect", { class: `bar ${kind}`, x, y: y(step[kind]), width, height: y(0) - y(step[kind]) });
}

/** Put the drawing into the figure, with its title, its latest values in words, and its legend. */
function finish(figure, frame, title, words, legend = []) {
  if (!figure.firstElementChild) {
    figure.append(
      el("figcaption", {}, el("h3", {}, title), el("p", {})),
      el("div", { className: "drawing" }),
      el("ul", { className: "legend" }, ...legend.map(([kind, text]) =>
        el("li", {}, el("span", { className: `key ${kind}`, "aria-hidden": "true" }), text))));
  }
  frame.root.setAttribute("aria-label", `${title}. ${words}.`);
  say(figure.querySelector("figcaption p"), words);
  figure.querySelector(".drawing").replaceChildren(frame.root);
}

/** The next round number from `value` on that four grid lines divide well. */
function nice(value) {
  if (value <= 4) return 4;
  const size = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 4, 8, 10].map((factor) => factor * size).find((round) => round >= value);
}
