'use strict';
// The gallery: photos are drawn when they come into sight, with what is asked for on top.
class Gallery {
  constructor(data, thumbnails) {
    this.data = data;
    this.thumbnails = thumbnails;
    this.view = {run: 0, sort: 'errors', truth: true, found: true, fill: true, conf: data.confidence, cls: -1, text: ''};
    this.grid = document.getElementById('gallery');
    this.seen = new IntersectionObserver(entries => entries.forEach(entry =>
      entry.isIntersecting ? this.show(entry.target) : this.hide(entry.target)), {rootMargin: '400px'});
    this.controls(document.getElementById('gallery-bar'));
    this.arrange();
    this.large = document.getElementById('large');
    this.large.addEventListener('click', () => this.enlarge(null));
    document.addEventListener('keydown', event => this.key(event));
  }

  /** True and found objects of an image at the chosen confidence, and how many are wrong. */
  judge(item) {
    const all = item.pred[this.view.run];
    if (!all) return {found: [], met: new Set(item.gt.keys()), missed: 0, wrong: 0, absent: true};
    const found = all.filter(one => one.s >= this.view.conf);
    const met = new Set(found.filter(one => one.m >= 0).map(one => one.m));
    const missed = item.gt.filter((one, i) => !one.c && !met.has(i)).length;
    const wrong = found.filter(one => one.m === -1).length;
    return {found, met, missed, wrong};
  }

  controls(bar) {
    const toggle = (key, text, title) => {
      const button = make('button', {type: 'button', textContent: text, title});
      button.dataset.key = key;
      const mark = () => button.setAttribute('aria-pressed', String(this.view[key]));
      button.addEventListener('click', () => { this.view[key] = !this.view[key]; mark(); this.redraw(); });
      mark();
      return button;
    };
    const choose = (key, text, options) => {
      const select = make('select', {}, ...options.map(([value, label]) => make('option', {value, textContent: label})));
      select.value = this.view[key];
      select.dataset.key = key;
      select.addEventListener('change', () => {
        this.view[key] = key === 'sort' ? select.value : Number(select.value);
        this.arrange();
      });
      return make('label', {}, text, select);
    };
    const slider = make('input', {type: 'range', min: .05, max: .95, step: .01, value: this.view.conf});
    const value = make('span', {textContent: Number(this.view.conf).toFixed(2)});
    slider.addEventListener('input', () => { value.textContent = Number(slider.value).toFixed(2); });
    slider.addEventListener('change', () => { this.view.conf = Number(slider.value); this.arrange(); });
    const search = make('input', {type: 'search', placeholder: 'file name'});
    search.addEventListener('input', () => { this.view.text = search.value.toLowerCase(); this.arrange(); });
    this.count = make('span', {className: 'note'});
    const names = this.data.classes;
    bar.append(
      choose('sort', 'sort by', [['errors', 'most errors'], ['missed', 'missed objects'], ['wrong', 'wrong detections'],
        ['least', 'fewest errors'], ['objects', 'most objects'], ['name', 'name']]),
      names.length > 1 ? choose('cls', 'class', [[-1, 'all'], ...names.map((name, i) => [i, name])]) : null ?? '',
      this.data.runs.length > 1 ? choose('run', 'run', this.data.runs.map((name, i) => [i, name])) : '',
      toggle('truth', 'ground truth', 'g'), toggle('found', 'prediction', 'p'), toggle('fill', 'masks', 'm'),
      make('label', {}, 'confidence', slider, value), search, this.count,
      make('span', {className: 'key'}, ...[['--accent', 'true'], ['--good', 'right'], ['--bad', 'wrong'], ['--missed', 'missed']]
        .flatMap(([color, text]) => { const i = make('i'); i.style.background = `var(${color})`; return [i, text]; })));
  }

  /** Put the images in order. */
  arrange() {
    const {sort, cls, text} = this.view, judged = new Map(this.data.items.map(item => [item, this.judge(item)]));
    const errors = item => judged.get(item).missed + judged.get(item).wrong;
    const by = {
      errors: (a, b) => errors(b) - errors(a), least: (a, b) => errors(a) - errors(b),
      missed: (a, b) => judged.get(b).missed - judged.get(a).missed, wrong: (a, b) => judged.get(b).wrong - judged.get(a).wrong,
      objects: (a, b) => b.gt.length - a.gt.length, name: (a, b) => a.name.localeCompare(b.name),
    }[sort];
    this.order = this.data.items.filter(item => item.name.toLowerCase().includes(text) &&
      (cls < 0 || item.gt.some(one => one.l === cls) || judged.get(item).found.some(one => one.l === cls))).sort(by);
    this.count.textContent = `${this.order.length} images`;
    this.seen.disconnect();
    this.grid.replaceChildren(...this.order.map((item, place) => {
      const {missed, wrong, found, absent} = judged.get(item);
      const cell = make('button', {type: 'button', className: 'cell'}, make('span', {className: 'photo'}),
        make('span', {className: 'text'}, make('span', {className: 'name', textContent: item.name, title: item.name}),
          absent ? `${item.gt.length} true, not among the photos of this run`
            : `${item.gt.length} true, ${found.length} found, ${missed} missed, ${wrong} wrong`));
      cell.item = item;
      cell.addEventListener('click', () => this.enlarge(place));
      this.seen.observe(cell);
      return cell;
    }));
  }

  redraw() {
    for (const cell of this.grid.children) if (cell.asked) this.show(cell);
    if (this.place !== null && this.place !== undefined) this.enlarge(this.place);
  }

  async show(cell) {
    const asked = cell.asked = {};
    const canvas = await this.picture(cell.item, Math.min(devicePixelRatio || 1, 2));
    // meanwhile it may have left sight, or been asked for again
    if (cell.asked === asked) cell.firstChild.replaceChildren(canvas);
  }

  hide(cell) {
    cell.asked = null;
    cell.firstChild.replaceChildren();
  }

  /** Return a canvas with the photo and its objects. */
  async picture(item, zoom) {
    const canvas = make('canvas', {width: item.w * zoom, height: item.h * zoom}), pen = canvas.getContext('2d');
    canvas.setAttribute('aria-label', item.name);
    const thumbnail = this.thumbnails[item.t];
    if (thumbnail) {
      const photo = new Image();
      photo.src = 'data:image/jpeg;base64,' + thumbnail;
      await photo.decode().catch(() => null);
      pen.drawImage(photo, 0, 0, canvas.width, canvas.height);
    } else {
      pen.fillStyle = css('--line');
      pen.fillRect(0, 0, canvas.width, canvas.height);
    }
    pen.scale(zoom, zoom);
    const {found, met} = this.judge(item);
    if (this.view.truth) item.gt.forEach((one, i) => this.object(pen, one, css(met.has(i) || one.c ? '--accent' : '--missed'), [4, 3]));
    if (this.view.found) found.forEach(one => this.object(pen, one, css(one.m === -1 ? '--bad' : '--good'), [], one.s));
    return canvas;
  }

  object(pen, one, color, dash, score = null) {
    pen.strokeStyle = pen.fillStyle = color;
    pen.lineWidth = 1.3;
    pen.setLineDash(dash);
    const [x1, y1, x2, y2] = one.b;
    if (this.view.fill && one.p.length) {
      pen.beginPath();
      for (const ring of one.p) {
        for (let i = 0; i < ring.length; i += 2) i ? pen.lineTo(ring[i], ring[i + 1]) : pen.moveTo(ring[0], ring[1]);
        pen.closePath();
      }
      pen.globalAlpha = score === null ? .12 : .3;
      pen.fill('evenodd');
      pen.globalAlpha = 1;
      pen.stroke();
    }
    if (!this.view.fill || !one.p.length) pen.strokeRect(x1, y1, x2 - x1, y2 - y1);
    if (score === null) return;
    const text = `${this.data.classes[one.l] ?? one.l} ${score.toFixed(2)}`;
    pen.font = '9px system-ui, sans-serif';
    const wide = pen.measureText(text).width + 4, y = Math.max(y1, 10);
    pen.fillRect(x1, y - 10, wide, 10);
    pen.fillStyle = '#fff';
    pen.fillText(text, x1 + 2, y - 2);
  }

  async enlarge(place) {
    this.place = place;
    this.large.style.display = place === null ? 'none' : 'flex';
    if (place === null) return;
    const item = this.order[place], zoom = Math.min(innerWidth * .96 / item.w, innerHeight * .86 / item.h) * (devicePixelRatio || 1);
    const canvas = await this.picture(item, zoom), {missed, wrong, absent} = this.judge(item);
    if (this.place !== place || this.order[place] !== item) return;
    canvas.style.width = canvas.width / (devicePixelRatio || 1) + 'px';
    this.large.replaceChildren(canvas, make('p', {textContent:
      `${item.name}: ${absent ? 'not among the photos of this run' : `${missed} missed, ${wrong} wrong`} (← → for others, g p m for layers, Esc)`}));
  }

  key(event) {
    if (event.target.matches('input, select')) return;
    const open = this.place !== null && this.place !== undefined;
    if (open && event.key === 'Escape') this.enlarge(null);
    const step = {ArrowRight: 1, ArrowLeft: -1}[event.key];
    if (open && step) this.enlarge((this.place + step + this.order.length) % this.order.length);
    const toggled = {g: 'truth', p: 'found', m: 'fill'}[event.key];
    if (toggled && !event.ctrlKey && !event.metaKey) document.querySelector(`#gallery-bar button[data-key=${toggled}]`).click();
  }
}
