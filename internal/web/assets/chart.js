// The chart of a job: drawn from the table beside it, which is all there is without JavaScript.
(() => {
const box = document.querySelector('.chart[data-chart]'); if (!box || !window.uPlot) return;
const from = document.getElementById(box.dataset.chart), root = document.documentElement;
const colour = name => { const i = document.createElement('i'); i.style.color = `var(${name})`; document.body.append(i); const c = getComputedStyle(i).color; i.remove(); return c; };
const short = n => n >= 1e6 ? +(n / 1e6).toFixed(1) + 'M' : n >= 1e4 ? Math.round(n / 1e3) + 'k' : n >= 1e3 ? +(n / 1e3).toFixed(1) + 'k' : String(n);
function hatch(c) { const k = document.createElement('canvas'); k.width = k.height = 6; const x = k.getContext('2d'); x.strokeStyle = c; x.lineWidth = 1.6; x.beginPath(); x.moveTo(-1, 7); x.lineTo(7, -1); x.stroke(); return x.createPattern(k, 'repeat'); }

// read returns the times, and of each column how it is drawn and its values.
function read() {
  const rows = [...from.querySelectorAll('tr[data-t]')];
  const columns = [...from.querySelectorAll('th[data-style]')].map((th, i) => ({ name: th.textContent, style: th.dataset.style, values: rows.map(r => +r.cells[i + 1].dataset.v) }));
  return { t: rows.map(r => +r.dataset.t), columns };
}
// What is stacked comes before what it stands on, so that the lower bar is drawn over it.
const order = ['more', 'up', 'down', 'other', 'line'];
const drawn = d => order.flatMap(s => d.columns.filter(c => c.style === s));
function data(d) {
  const up = d.columns.find(c => c.style === 'up');
  return [d.t, ...drawn(d).map(c => c.style === 'down' ? c.values.map(v => -v) : c.style === 'more' && up ? c.values.map((v, i) => v + up.values[i]) : c.values)];
}
const colours = { up: '--run-fill', down: '--wait-fill', more: '--off-fill', line: '--bad-fill', other: '--ok-fill' };
let u, d, shape;
const layout = d => d.columns.map(c => c.name + c.style).join() + (d.t[1] - d.t[0]);
function draw() {
  u?.destroy(); d = read(); shape = layout(d);
  const step = d.t.length > 1 ? d.t[1] - d.t[0] : 3600, daily = step >= 86400, long = d.t.length * step > 172800;
  box.hidden = false;
  const font = '12px Inter, sans-serif', ink = colour('--ink-2'), line = colour('--line');
  const bars = uPlot.paths.bars({ size: [0.62, 22], radius: 0.12 });
  const series = drawn(d).map(c => {
    const k = colour(colours[c.style]);
    if (c.style === 'line' || c.style === 'other') return { label: c.name, stroke: k, width: 1.75, points: { show: false } };
    return { label: c.name, fill: c.style === 'more' ? hatch(k) : k, stroke: 'transparent', width: 0, paths: bars, points: { show: false } };
  });
  const when = t => { const x = new Date(t * 1000); return daily || long ? x.toLocaleDateString('en-GB', { day: 'numeric', month: 'short', timeZone: 'UTC' }) : x.toISOString().slice(11, 16); };
  const axis = { stroke: ink, font, ticks: { show: false } };
  u = new uPlot({
    width: box.clientWidth, height: box.clientHeight, legend: { show: false }, series: [{}, ...series],
    tzDate: t => uPlot.tzDate(new Date(t * 1e3), 'Etc/UTC'),
    cursor: { y: false, points: { show: false }, drag: { x: false, y: false } },
    scales: { x: { time: true, range: () => [d.t[0] - step * .7, d.t.at(-1) + step * .7] }, y: { range: (u, lo, hi) => lo === 0 && hi === 0 ? [0, 10] : uPlot.rangeNum(Math.min(lo, 0), Math.max(hi, 0), { min: { pad: .1, soft: 0, mode: 1 }, max: { pad: .1, soft: 0, mode: 1 } }) } },
    axes: [{ ...axis, grid: { show: false }, gap: 8, size: 28, space: 70, values: (u, v) => v.map(when) }, { ...axis, grid: { stroke: line, width: 1 }, size: 46, gap: 6, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5, 5e5, 1e6, 2e6, 5e6, 1e7, 1e8], values: (u, v) => v.map(n => short(Math.abs(n))) }],
    hooks: { setCursor: [told] },
  }, data(d), box);
}
// The legend says the numbers under the pointer, and the sums otherwise.
function told(u) {
  const i = u.cursor.idx, over = i != null && u.cursor.left >= 0;
  const tip = document.getElementById('chart-tip') || box.appendChild(Object.assign(document.createElement('div'), { id: 'chart-tip', className: 'chart-tip num' }));
  tip.hidden = !over; if (!over) return;
  const row = from.querySelectorAll('tr[data-t]')[i]; if (!row) return;
  tip.textContent = row.cells[0].textContent + ' · ' + d.columns.map(c => `${c.name.toLowerCase()} ${c.values[i].toLocaleString('en')}`).join(' · ');
}
document.fonts.ready.then(draw);
// What the stream brings is put into the chart that is there: nothing moves but the new bar.
document.addEventListener('htmx:sse:after:message', () => { if (!u) return; const now = read(); if (layout(now) !== shape) return draw(); if (JSON.stringify(now) === JSON.stringify(d)) return; d = now; u.setData(data(d)); });
new MutationObserver(() => u && draw()).observe(root, { attributes: true, attributeFilter: ['data-bs-theme'] });
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => u && draw());
let wait; addEventListener('resize', () => { clearTimeout(wait); wait = setTimeout(() => u?.setSize({ width: box.clientWidth, height: box.clientHeight }), 120); });
})();
