'use strict';
// Charts and the confusion matrix. Colours: Okabe and Ito, distinguishable to the colour-blind.
const COLORS = ['#0072b2', '#e69f00', '#009e73', '#cc79a7', '#d55e00', '#56b4e9', '#8c6bb1', '#7f7f7f'];
const ON_DARK = ['#56b4e9', '#e69f00', '#2bc99b', '#e6a3c8', '#ff8a4c', '#9ad0f5', '#b79ae0', '#a9a9a9'];
const css = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const shown = (value, digits = 3) => value === null || value === undefined || Number.isNaN(value) ? '–'
  : Number.isInteger(value) ? String(value) : Math.abs(value) >= 1e-3 ? value.toFixed(digits) : value.toExponential(1);
/** Ticks of an axis, with as many digits as tell them apart. */
const ticks = (_, values) => values.map(value => Math.abs(value) >= 1e5 || (value && Math.abs(value) < 1e-3)
  ? value.toExponential(1) : String(Number(value.toPrecision(5))));
const make = (tag, options = {}, ...children) => {
  const node = Object.assign(document.createElement(tag), options);
  node.append(...children.filter(child => child !== null));
  return node;
};

/** Draw lines over a common axis. `lines`: [{label, values}], each as long as `x`. */
function chart(parent, title, x, lines, {xLabel = 'epoch', range = null} = {}) {
  const box = make('div', {className: 'chart'}, make('h3', {textContent: title}));
  parent.append(box);
  const width = Math.max(box.clientWidth - 18, 260);
  const palette = document.documentElement.dataset.theme === 'dark' ? ON_DARK : COLORS;
  const axis = {values: ticks, stroke: css('--faint'), grid: {stroke: css('--line'), width: 1}, ticks: {stroke: css('--line')}};
  const series = lines.map((line, i) => ({
    label: line.label, stroke: palette[i % palette.length], width: 1.6, spanGaps: true,
    dash: i >= palette.length ? [5, 4] : undefined, points: {show: x.length < 40, size: 4},
    value: (_, value) => shown(value, 4),
  }));
  const options = {
    width, height: 230, scales: {x: {time: false}, y: range ? {range: () => range} : {}},
    axes: [{...axis, label: xLabel, labelSize: 18, size: 34}, {...axis, size: 58}],
    series: [{label: xLabel, value: (_, value) => shown(value)}, ...series],
    cursor: {points: {size: 7}}, legend: {live: true},
  };
  const plot = new uPlot(options, [x, ...lines.map(line => line.values)], box);
  new ResizeObserver(() => {
    const wide = Math.max(box.clientWidth - 18, 260);
    if (Math.abs(wide - plot.width) > 4) plot.setSize({width: wide, height: 230});
  }).observe(box);
}

/** Put lines that have axes of their own on one: [{label, x, values}] -> [axis, lines]. */
function onOneAxis(lines) {
  const axis = [...new Set(lines.flatMap(line => line.x))].sort((a, b) => a - b);
  const place = new Map(axis.map((value, index) => [value, index]));
  return [axis, lines.map(line => {
    const values = new Array(axis.length).fill(null);
    line.x.forEach((value, i) => { values[place.get(value)] = line.values[i]; });
    return {label: line.label, values};
  })];
}

/** A table whose columns sort on a click. `columns`: [[key, title]], `rows`: objects, `best`: keys of scores. */
function sortedTable(columns, rows, {sort = null, best = []} = {}) {
  const head = make('tr'), body = make('tbody');
  let by = sort, down = true;
  const tops = rows.length > 1 ? Object.fromEntries(best.map(key =>
    [key, rows.reduce((most, row) => typeof row[key] === 'number' ? Math.max(most, row[key]) : most, -Infinity)])) : {};
  const fill = () => {
    const order = by === null ? rows : [...rows].sort((a, b) => {
      const [p, q] = [a[by], b[by]];
      if (typeof p === 'string' || typeof q === 'string') return (down ? -1 : 1) * String(q).localeCompare(String(p)) * -1;
      return ((p ?? -Infinity) - (q ?? -Infinity)) * (down ? -1 : 1);
    });
    body.replaceChildren(...order.map(row => make('tr', {}, ...columns.map(([key]) => make('td', {
      textContent: typeof row[key] === 'string' ? row[key] : shown(row[key]),
      className: key in tops && row[key] === tops[key] ? 'best' : '',
    })))));
    for (const cell of head.children) {
      cell.setAttribute('aria-sort', cell.dataset.key === by ? (down ? 'descending' : 'ascending') : 'none');
    }
  };
  for (const [key, title] of columns) {
    const cell = make('th', {textContent: title, className: 'sortable', tabIndex: 0});
    cell.dataset.key = key;
    const turn = () => { down = by === key ? !down : true; by = key; fill(); };
    cell.addEventListener('click', turn);
    cell.addEventListener('keydown', event => { if (event.key === 'Enter') turn(); });
    head.append(cell);
  }
  fill();
  return make('div', {className: 'scroll'}, make('table', {}, make('thead', {}, head), body));
}

/** Draw a confusion matrix; hovering says what a cell counts. */
function confusion(parent, matrix, labels, note) {
  let normalized = true;
  const canvas = make('canvas'), size = labels.length;
  const cell = Math.max(Math.min(Math.floor(620 / size), 64), 9), margin = 110;
  const toggle = make('button', {type: 'button', textContent: 'counts'});
  toggle.setAttribute('aria-pressed', 'false');
  const sums = labels.map((_, column) => matrix.reduce((sum, row) => sum + row[column], 0));
  const draw = () => {
    const ratio = window.devicePixelRatio || 1, side = margin + cell * size + 4;
    canvas.width = canvas.height = side * ratio;
    canvas.style.width = canvas.style.height = side + 'px';
    const pen = canvas.getContext('2d');
    pen.scale(ratio, ratio);
    pen.font = `${Math.min(12, cell)}px system-ui, sans-serif`;
    const top = matrix.reduce((most, row) => row.reduce((a, b) => Math.max(a, b), most), 1);
    matrix.forEach((row, r) => row.forEach((count, c) => {
      const share = normalized ? (sums[c] ? count / sums[c] : 0) : count / top;
      pen.fillStyle = `rgba(${css('--heat')}, ${share})`;
      pen.fillRect(margin + c * cell, margin + r * cell, cell - 1, cell - 1);
      if (cell >= 26 && count) {
        pen.fillStyle = share > .55 ? '#fff' : css('--ink');
        pen.textAlign = 'center';
        pen.fillText(normalized ? share.toFixed(2) : count, margin + (c + .5) * cell, margin + (r + .5) * cell + 4);
      }
    }));
    pen.fillStyle = css('--ink');
    const step = Math.ceil(11 / cell);
    labels.forEach((label, i) => {
      if (i % step) return;
      const text = label.length > 15 ? label.slice(0, 14) + '…' : label;
      pen.textAlign = 'right';
      pen.fillText(text, margin - 6, margin + (i + .5) * cell + 4);
      pen.save();
      pen.translate(margin + (i + .5) * cell + 4, margin - 6);
      pen.rotate(-Math.PI / 2);
      pen.textAlign = 'left';
      pen.fillText(text, 0, 0);
      pen.restore();
    });
    pen.fillStyle = css('--faint');
    pen.textAlign = 'left';
    pen.fillText('predicted ↓ true →', 4, 14);
  };
  toggle.addEventListener('click', () => {
    normalized = !normalized;
    toggle.setAttribute('aria-pressed', String(!normalized));
    draw();
  });
  canvas.addEventListener('mousemove', event => {
    const c = Math.floor((event.offsetX - margin) / cell), r = Math.floor((event.offsetY - margin) / cell);
    const inside = r >= 0 && c >= 0 && r < size && c < size;
    tip(inside ? `predicted ${labels[r]}, true ${labels[c]}: ${matrix[r][c]}` : '', event);
  });
  canvas.addEventListener('mouseleave', () => tip(''));
  parent.append(make('div', {className: 'bar'}, toggle, make('span', {className: 'note', textContent: note})),
    make('div', {className: 'matrix'}, canvas));
  draw();
}

function tip(text, event) {
  const node = document.getElementById('tip');
  node.style.display = text ? 'block' : 'none';
  if (!text) return;
  node.textContent = text;
  node.style.left = Math.min(event.clientX + 14, innerWidth - 260) + 'px';
  node.style.top = event.clientY + 14 + 'px';
}
