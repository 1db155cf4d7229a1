// The page of an audience: its rule as a form beside its text, and the parts that are counted after the page is there.
(() => {
const $ = (s, r = document) => r.querySelector(s), $$ = (s, r = document) => [...r.querySelectorAll(s)];

// ---- parts that cost a count are asked for one after the other
(async () => {
  for (const el of $$('[data-load]')) {
    const answer = await fetch(el.dataset.load, { headers: { Accept: 'text/html' } }).catch(() => null);
    if (!answer?.ok) continue; // the link in it stays
    const box = document.createElement('template'); box.innerHTML = await answer.text();
    el.replaceWith(box.content);
  }
})();

const box = $('[data-rule]'), root = $('#builder'), tried = $('#tried'); if (!box || !root) return;
const text = $('textarea', box), form = text.form, known = JSON.parse(root.dataset.builder);
const typeOf = name => known.fields.find(f => f.name === name)?.type;

// ---- what is asked of the server: the newest question only
let waiting, asking;
function later(values, own) { clearTimeout(waiting); asking?.abort(); waiting = setTimeout(() => ask(values(), own), 300); }
async function ask(values, own) {
  asking?.abort(); const mine = asking = new AbortController();
  tried.setAttribute('aria-busy', 'true');
  const body = new URLSearchParams({ csrf_token: form.elements.csrf_token.value, ...values });
  const answer = await fetch(box.dataset.rule, { method: 'POST', body, signal: mine.signal }).catch(() => null);
  const html = answer && await answer.text().catch(() => null);
  if (mine.signal.aborted || html === null) return;
  tried.removeAttribute('aria-busy');
  if (!answer.ok) { tried.textContent = 'The server does not answer as it should. Load the page again.'; return; }
  tried.innerHTML = html;
  $$('[data-place]', tried).forEach(b => b.hidden = false);
  const said = $('#tried-rule', tried).dataset;
  text.setAttribute('aria-invalid', String(!!said.wrong));
  if (own) { if (said.text) text.value = said.text; return; }
  if (said.tree) { rule = read(JSON.parse(said.tree)); draw(); return; }
  if (!said.text || said.wrong) { root.classList.add('mute'); $$('input,select,button', root).forEach(e => e.disabled = true); }
}
text.addEventListener('input', () => later(() => ({ segment_ql: text.value })));
tried.addEventListener('click', e => {
  if (!e.target.closest('[data-place]')) return;
  const { line, column } = $('#tried-rule', tried).dataset, lines = text.value.split('\n');
  const at = lines.slice(0, line - 1).reduce((n, l) => n + l.length + 1, 0) + [...lines[line - 1] || ''].slice(0, column - 1).join('').length;
  text.focus(); text.setSelectionRange(at, Math.min(at + 1, text.value.length));
});

// ---- the rule: groups {match, items} and conditions {field, op, values} or {audience, not}; rest is what the tree says beside
let rule;
const group = (match, items) => ({ match, items });
function read(tree) {
  const top = item(tree), out = top.items ? top : group('and', top.everyone ? [] : [top]);
  out.rest = { from: tree.from, alias: tree.alias };
  return out;
}
function item(n, not) {
  if (n.op === 'not') {
    if (not) return group('none', [item(n)]);
    const a = n.args[0];
    if (a.op === 'or') return group('none', a.args.map(x => item(x)));
    if (a.op === 'and' || a.op === 'match_all') return group('none', [item(a)]);
    return item(a, true);
  }
  if (n.op === 'and' || n.op === 'or') return group(n.op, n.args.map(x => item(x)));
  if (n.op === 'match_all') return { everyone: true };
  if (n.op === 'include') return { audience: n.args[0].seg, not: !!not };
  const c = { field: n.args[0].ident, op: (not ? 'not ' : '') + n.op, values: n.args.slice(1).map(a => a.val) };
  const offered = known.operators[typeOf(c.field)] || [];
  if (not && !offered.some(o => o.op === c.op)) { c.op = n.op; return group('none', [c]); }
  return c;
}
const negate = n => ({ op: 'not', args: [n] });
function write(x) {
  if (x.everyone) return { op: 'match_all' };
  if (x.audience !== undefined) { const n = { op: 'include', args: [{ seg: x.audience }] }; return x.not ? negate(n) : n; }
  if (x.items) {
    const args = x.items.map(write);
    if (!args.length) return { op: 'match_all' };
    if (x.match === 'none') return negate(args.length > 1 ? { op: 'or', args } : args[0]);
    return args.length > 1 ? { op: x.match, args } : args[0];
  }
  const op = x.op.replace(/^not /, ''), n = { op, args: [{ ident: x.field }, ...x.values.map(val => ({ val }))] };
  return op === x.op ? n : negate(n);
}
function changed() { later(() => ({ tree: JSON.stringify({ ...write(rule), ...rule.rest }) }), true); }

// A list of values in one line: commas between them, quotes around those that have one.
const listed = vs => vs.map(v => /[",]|^\s|\s$/.test(v) ? '"' + v.replaceAll('"', '""') + '"' : v).join(', ');
const unlisted = s => [...s.matchAll(/\s*(?:"((?:[^"]|"")*)"|([^,]+))\s*(?:,|$)/g)].map(m => m[1] !== undefined ? m[1].replaceAll('""', '"') : m[2].trim()).filter(v => v !== '');

// ---- the form
const make = (tag, attrs, ...inside) => { const e = document.createElement(tag); for (const [k, v] of Object.entries(attrs)) if (k in e && typeof v !== 'string') e[k] = v; else e.setAttribute(k, v); e.append(...inside); return e; };
function icon(name) { const ns = 'http://www.w3.org/2000/svg', s = document.createElementNS(ns, 'svg'), u = document.createElementNS(ns, 'use'); s.setAttribute('class', 'i'); s.setAttribute('aria-hidden', 'true'); u.setAttribute('href', root.dataset.icons + '#' + name); s.append(u); return s; }
const select = (label, options, value, fn) => {
  const s = make('select', { class: 'form-select', 'aria-label': label, style: 'width:auto;max-width:100%' }, ...options.map(o => make('option', { value: o.value }, o.text)));
  s.value = value; s.addEventListener('change', () => fn(s.value)); return s;
};
const input = (label, value, width, fn, more) => {
  const i = make('input', { class: 'form-control', 'aria-label': label, style: `width:${width}px`, autocomplete: 'off', spellcheck: 'false', ...more });
  i.value = value ?? ''; i.addEventListener('input', () => { fn(i.value); changed(); }); return i;
};
let count;
function draw(focus) {
  root.hidden = false; root.classList.remove('mute'); count = 0;
  root.replaceChildren(drawGroup(rule, null, -1), make('datalist', { id: 'rule-times' }, ...['now', 'now-1d', 'now-7d', 'now-30d', 'now-90d', 'now-1y'].map(v => make('option', { value: v }))));
  if (focus) ($$('[data-focus]', root).find(e => e.of === focus) || $('button', root))?.focus();
}
function redraw(focus) { draw(focus); changed(); }
function drawGroup(g, parent, at) {
  const name = parent ? `Group ${++count}` : 'The rule';
  const seg = make('div', { class: 'seg', role: 'group', 'aria-label': name + ' matches' }, ...[['and', 'All'], ['or', 'Any'], ['none', 'None']].map(([m, t]) => {
    const b = make('button', { type: 'button', 'aria-pressed': String(g.match === m) }, t);
    b.addEventListener('click', () => { g.match = m; draw(); $$('.seg', root)[segAt(g)]?.children[['and', 'or', 'none'].indexOf(m)]?.focus(); changed(); });
    return b;
  }));
  const add = (t, i, fn) => { const b = make('button', { type: 'button', class: 'btn btn-s btn-q', 'aria-label': `${t} in ${name.toLowerCase()}` }, icon(i), t); b.addEventListener('click', () => { const x = fn(); g.items.push(x); redraw(x); }); return b; };
  const adds = [];
  if (known.fields.length) adds.push(add('Condition', 'plus', () => fresh(known.fields[0].name)));
  if (known.audiences.length) adds.push(add('Audience', 'users-group', () => ({ audience: known.audiences[0].value, not: false })));
  if (known.fields.length) adds.push(add('Group', 'brackets-contain', () => group(g.match === 'and' ? 'or' : 'and', [fresh(known.fields[0].name)])));
  const head = make('div', { class: 'gh' }, seg, make('span', { class: 'mute' }, g.items.length ? 'of these' : parent ? 'of nothing: everyone' : 'of nothing yet: everyone is in it'));
  if (parent) head.append(remove(name, parent, at));
  const list = make('div', { class: 'rules' }, ...g.items.map((x, i) => x.items ? drawGroup(x, g, i) : drawRow(x, g, i)), make('div', { class: 'row-x wrap' }, ...adds));
  return make('div', {}, head, list);
}
function segAt(g) { let n = -1, found = -1; (function walk(x) { n++; if (x === g) found = n; x.items.forEach(i => i.items && walk(i)); })(rule); return found; }
function remove(name, parent, at) {
  const b = make('button', { type: 'button', class: 'btn btn-i btn-s btn-q push', 'aria-label': `Remove ${name.toLowerCase()}`, title: 'Remove' }, icon('x'));
  b.addEventListener('click', () => { parent.items.splice(at, 1); redraw(parent.items[Math.min(at, parent.items.length - 1)]); });
  return b;
}
// fresh is a condition on a field that is true of everybody who has a value.
const fresh = field => ({ field, op: 'exists', values: [] });
const empty = (inputs, type) => ({ one: [type === 'boolean' ? 'true' : ''], two: ['', ''], many: [''], place: ['', '10'], window: ['1', '30'] })[inputs] || [];
function drawRow(x, parent, at) {
  const rule = make('div', { class: 'rule', role: 'group', style: 'flex-wrap:nowrap;align-items:start' }), row = make('div', { class: 'row-x wrap grow', style: 'gap:6px' });
  let name;
  if (x.everyone) { name = 'everyone'; row.append(make('span', {}, 'Everyone')); } else if (x.audience !== undefined) {
    name = 'the audience ' + x.audience;
    const there = known.audiences.some(a => a.value === x.audience);
    row.append(select('Whether people are in the audience', [{ value: '', text: 'in the audience' }, { value: 'not', text: 'not in the audience' }], x.not ? 'not' : '', v => { x.not = !!v; changed(); }),
      select('Audience', [...(there ? [] : [{ value: x.audience, text: x.audience }]), ...known.audiences.map(a => ({ value: a.value, text: a.text }))], x.audience, v => { x.audience = v; changed(); }));
  } else {
    name = 'the condition on ' + x.field;
    const type = typeOf(x.field), offered = known.operators[type] || [];
    const op = offered.find(o => o.op === x.op) || { op: x.op, text: x.op, inputs: x.values.length ? 'many' : '' };
    row.append(select('Field', [...(type ? [] : [{ value: x.field, text: x.field + ' (not declared)' }]), ...known.fields.map(f => ({ value: f.name, text: f.name }))], x.field, v => {
      const keep = (known.operators[typeOf(v)] || []).some(o => o.op === x.op && typeOf(v) === type); x.field = v;
      if (!keep) Object.assign(x, fresh(v));
      redraw(x);
    }), select('Operator', [...(offered.includes(op) ? [] : [{ value: op.op, text: op.text }]), ...offered.map(o => ({ value: o.op, text: o.text }))], x.op, v => {
      const to = offered.find(o => o.op === v); x.op = v;
      if ((to?.inputs || '') !== (op.inputs || '')) x.values = to?.inputs === 'many' && op.inputs === 'one' ? x.values : to?.inputs === 'one' && op.inputs === 'many' ? x.values.slice(0, 1) : empty(to?.inputs, type);
      draw(x); const r = $$('.rule', root).find(e => e.of === x); ($('input', r) || $('select', r))?.focus(); changed();
    }), ...inputs(x, op, type));
  }
  rule.setAttribute('aria-label', name);
  rule.of = x;
  const first = $('select', row); if (first) { first.dataset.focus = ''; first.of = x; }
  rule.append(row, remove(name, parent, at));
  return rule;
}
function inputs(x, op, type) {
  const time = type === 'time' ? { list: 'rule-times', placeholder: 'now-7d' } : type === 'integer' || type === 'number' ? { inputmode: 'decimal' } : {};
  const set = i => v => { x.values[i] = v; }, word = t => make('span', { class: 'mute small' }, t);
  switch (op.inputs) {
    case 'one': return type === 'boolean' ? [select('Value of ' + x.field, [{ value: 'true', text: 'true' }, { value: 'false', text: 'false' }], x.values[0], v => { x.values[0] = v; changed(); })] : [input('Value of ' + x.field, x.values[0], 150, set(0), time)];
    case 'two': return [input('Lowest ' + x.field, x.values[0], 110, set(0), time), word('and'), input('Highest ' + x.field, x.values[1], 110, set(1), time)];
    case 'many': return [input(`Values of ${x.field}, separated by commas`, listed(x.values), 190, v => { x.values = unlisted(v); if (!x.values.length) x.values = ['']; }, { placeholder: 'one, another' })];
    case 'place': return [input('Kilometres', x.values[1], 80, set(1), { inputmode: 'decimal' }), word('km of'), input('Latitude, longitude', x.values[0], 150, set(0), { placeholder: '41.9,12.5' })];
    case 'window': return type === 'time' ? [input('Days', x.values[1], 70, set(1), { inputmode: 'numeric' }), word('days')] : [word('at least'), input('How many times', x.values[0], 70, set(0), { inputmode: 'numeric' }), word('in'), input('Days', x.values[1], 70, set(1), { inputmode: 'numeric' }), word('days')];
  }
  return [];
}

// The form begins with the rule that is there; the size says what the page already does until something changes.
const shown = tried.innerHTML;
if (!text.value.trim() || text.value.trim().toUpperCase() === 'FILTER') { rule = group('and', []); rule.rest = {}; draw(); } else if (!$('.t-bad', box)) ask({ segment_ql: text.value }).then(() => { if (!$('#tried-rule', tried)?.dataset.wrong && shown.trim()) { const keep = $('#tried-rule', tried); tried.innerHTML = shown; if (keep) tried.append(keep); } }); else ask({ segment_ql: text.value });
})();
