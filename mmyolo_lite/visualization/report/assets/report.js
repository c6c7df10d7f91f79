'use strict';
// The page: summary, curves, scores, gallery, config.
const data = JSON.parse(document.getElementById('data').textContent);
const by = id => document.getElementById(id);
const KINDS = {bbox: 'boxes', segm: 'masks'};
let kind = null, scored = 0, pictures = null;

function summary() {
  const names = [...new Set(data.runs.flatMap(run => Object.keys(run.best)))];
  const columns = [['name', 'run'], ['epochs', 'epochs'], ['best_epoch', 'best epoch'], ...names.map(name => [name, name.replace('coco/', '')]), ['time', 'time']];
  const rows = data.runs.map(run => ({name: run.name, epochs: run.epochs, best_epoch: run.best_epoch, time: run.time, ...run.best}));
  by('summary-body').replaceChildren(sortedTable(columns, rows, {best: names}),
    make('p', {className: 'note', textContent: data.note}));
}

function curves() {
  const body = by('curves-body');
  body.replaceChildren();
  const columns = [...new Set(data.runs.flatMap(run => Object.keys(run.rows)))].filter(name => !['epoch', 'iter'].includes(name));
  const several = data.runs.length > 1;
  const lines = names => names.flatMap(name => data.runs.filter(run => run.rows[name]).map(run => ({
    label: several ? run.name : name.replace(/^(train|coco)\//, ''), x: run.rows.epoch, values: run.rows[name]})));
  const groups = several
    ? columns.map(name => [name.replace(/^(train|coco)\//, ''), [name]])
    : [['losses', columns.filter(name => /^(train\/)?loss/.test(name))],
      ['box AP', columns.filter(name => name.startsWith('coco/bbox'))],
      ['mask AP', columns.filter(name => name.startsWith('coco/segm'))],
      ['learning rate', columns.filter(name => name.startsWith('lr'))],
      ['seconds an epoch', columns.filter(name => name === 'time')],
      ...columns.filter(name => !/^((train\/)?loss|coco\/(bbox|segm)|lr|time)/.test(name)).map(name => [name, [name]])];
  for (const [title, names] of groups) {
    const drawn = lines(names).filter(line => line.values.some(value => value !== null));
    if (drawn.length) chart(body, title, ...onOneAxis(drawn));
  }
  if (!body.children.length) body.append(make('p', {className: 'note', textContent: 'No epoch is in results.csv.'}));
}

function scores() {
  const bar = by('scores-bar'), body = by('scores-body');
  const runs = data.runs.map((run, i) => [run, i]).filter(([run]) => run.results);
  bar.replaceChildren();
  body.replaceChildren();
  if (!runs.length) {
    body.append(make('p', {className: 'note', textContent: data.missing}));
    return;
  }
  if (!data.runs[scored].results) scored = runs[0][1];
  const results = data.runs[scored].results;
  if (!results.kinds.includes(kind)) kind = results.kinds[results.kinds.length - 1];
  for (const one of results.kinds) {
    const button = make('button', {type: 'button', textContent: KINDS[one] ?? one});
    button.setAttribute('aria-pressed', String(one === kind));
    button.addEventListener('click', () => { kind = one; scores(); });
    bar.append(button);
  }
  if (runs.length > 1) {
    const select = make('select', {}, ...runs.map(([run, i]) => make('option', {value: i, textContent: run.name, selected: i === scored})));
    select.addEventListener('change', () => { scored = Number(select.value); scores(); });
    bar.append(make('label', {}, 'run', select));
  }
  bar.append(make('span', {className: 'note', textContent: `epoch ${results.epoch}`}));
  const sizes = make('div', {}, make('h3', {textContent: 'By size of object'}),
    sortedTable([['size', 'size'], ['objects', 'objects'], ['ap', 'AP'], ['recall', 'recall']], results.per_size[kind]));
  const classes = make('div', {}, make('h3', {textContent: 'By class'}), sortedTable(
    [['name', 'class'], ['images', 'images'], ['objects', 'objects'], ['precision', 'precision'], ['recall', 'recall'], ['f1', 'F1'],
      ['ap', 'AP'], ['ap50', 'AP50'], ['ap75', 'AP75'], ['ap_small', 'small'], ['ap_medium', 'medium'], ['ap_large', 'large']],
    results.per_class[kind],
    {best: ['precision', 'recall', 'f1', 'ap', 'ap50', 'ap75', 'ap_small', 'ap_medium', 'ap_large']}));
  const charts = make('div', {className: 'charts'}), matrix = make('div', {}, make('h3', {textContent: 'Confusion'}));
  body.append(classes, sizes, make('h3', {textContent: 'Precision and recall'}), charts, matrix);
  const curve = results.curves[kind].classes;
  const few = [...curve].sort((a, b) => (b.ap50 ?? -1) - (a.ap50 ?? -1)).slice(0, 12);
  const drawn = (title, xs, ys, xLabel) => {
    const lines = few.filter(one => one[xs]?.length).map(one => ({label: one.name, x: one[xs], values: one[ys]}));
    if (lines.length) chart(charts, title + (few.length < curve.length ? `, the ${few.length} best of ${curve.length} classes` : ''),
      ...onOneAxis(lines), {xLabel, range: [0, 1.02]});
  };
  drawn('precision over recall (IoU 0.5)', 'pr_recall', 'pr_precision', 'recall');
  drawn('F1 over confidence', 'confidence', 'f1', 'confidence');
  drawn('precision over confidence', 'confidence', 'precision', 'confidence');
  drawn('recall over confidence', 'confidence', 'recall', 'confidence');
  const {labels, matrix: counts, score_thr: score, iou_thr: iou} = results.confusion[kind];
  confusion(matrix, counts, labels, `detections with a score above ${score}, matched at an IoU above ${iou}; hover for counts`);
}

function about() {
  by('about-body').replaceChildren(...data.runs.flatMap(run => [['config', run.config], ['environment', run.environment]]
    .filter(([, text]) => text).map(([what, text]) => make('details', {}, make('summary', {textContent: `${run.name}: ${what}`}),
      make('pre', {textContent: text})))));
}

function draw() { summary(); curves(); scores(); }

function theme(name) {
  document.documentElement.dataset.theme = name;
  draw();
  if (pictures) pictures.redraw();
}

by('theme').addEventListener('click', () => theme(document.documentElement.dataset.theme === 'dark' ? 'light' : 'dark'));
theme(matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light');
about();
if (data.gallery.items.length) {
  pictures = new Gallery(data.gallery, JSON.parse(by('thumbnails').textContent));
} else {
  by('gallery-bar').append(make('p', {className: 'note', textContent: data.missing}));
}
