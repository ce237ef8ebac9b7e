/* Renders a page from its data (a JSON object; harness/report says what is in it) and lets the
 * reader sort, filter, see where a number comes from and read along a curve. The texts of numbers
 * come with the data; the script writes none but those of the curves' axes. */
'use strict';
(() => {
  const data = JSON.parse(document.getElementById('data').textContent);
  const make = (name, attributes, ...children) => {
    const element = document.createElement(name);
    for (const key in attributes || {}) element.setAttribute(key, attributes[key]);
    element.append(...children);
    return element;
  };
  const draw = (name, attributes, text) => {
    const element = document.createElementNS('http://www.w3.org/2000/svg', name);
    for (const key in attributes) element.setAttribute(key, attributes[key]);
    if (text !== undefined) element.textContent = text;
    return element;
  };

  /* A sign or a bracket after a name that is read from right to left belongs to the sentence. */
  const left_to_right = content =>
    content.replace(/[\p{Script=Hebrew}\p{Script=Arabic}]+(\s+[\p{Script=Hebrew}\p{Script=Arabic}]+)*/gu, '$&\u200e');
  /* An element with a class and a text; null when there is no text. fill() leaves nulls out. */
  const text = (name, style, content) => content
    ? make(name, style ? {class: style} : null, name === 'p' ? left_to_right(content) : content) : null;
  const fill = (parent, ...children) => { parent.append(...children.flat().filter(child => child !== null)); return parent; };

  /* ---- light and dark: as the system has it, until a reader chooses ---- */
  const root = document.documentElement, toggle = document.getElementById('theme');
  const is_dark = () => root.dataset.theme
    ? root.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
  const name_toggle = () => { toggle.textContent = is_dark() ? 'Light' : 'Dark'; };
  try { root.dataset.theme = root.dataset.theme || localStorage.getItem('flipbench-theme') || ''; } catch (e) { /* from a file, some browsers keep nothing */ }
  toggle.hidden = false;
  toggle.addEventListener('click', () => {
    root.dataset.theme = is_dark() ? 'light' : 'dark';
    try { localStorage.setItem('flipbench-theme', root.dataset.theme); } catch (e) { /* as above */ }
    name_toggle();
  });
  name_toggle();

  /* ---- tables ---- */
  const key_of = cell => cell.dataset.value !== undefined ? cell.dataset.value : cell.textContent.trim();
  function sort(table, column, direction) {
    const body = table.tBodies[0], rows = [...body.rows];
    const numeric = rows.every(r => key_of(r.cells[column]) === '' || !isNaN(key_of(r.cells[column])));
    rows.sort((a, b) => {
      const x = key_of(a.cells[column]), y = key_of(b.cells[column]);
      if (x === '' || y === '') return (x === '') - (y === ''); /* what is missing comes last */
      return direction * (numeric ? x - y : x.localeCompare(y, 'en', {numeric: true}));
    });
    body.append(...rows);
    [...table.tHead.rows[0].cells].forEach((cell, i) => {
      if (i === column) cell.setAttribute('aria-sort', direction > 0 ? 'ascending' : 'descending');
      else cell.removeAttribute('aria-sort');
    });
  }

  function head_of(column) {
    const label = make('button', {type: 'button'}, column.heading, make('span', {class: 'arrow', 'aria-hidden': 'true'}));
    if (column.unit) label.append(make('small', null, column.unit));
    const cell = make('th', {scope: 'col'}, label);
    if (column.kind !== 'number') cell.className = column.kind;
    if (column.help) cell.title = column.help;
    return cell;
  }
  /* A column of tunings has runs of its own. */
  const run_ids_of = (cell, row) => cell.run_ids || data.table.made_from[row].runs;
  function label_of(cell, row, column) {
    if (cell.runs) {
      const first = run_ids_of(cell, row).find(id => id) || 0;
      return make('a', {class: 'number', href: '#run-' + first, 'data-row': row, 'data-column': column}, cell.text);
    }
    if (cell.href) return make('a', {href: cell.href}, cell.text);
    if (cell.is_state) return make('span', {class: 'chip ' + cell.style, title: cell.help || ''}, cell.text);
    return cell.text || '';
  }
  function cell_of(cell, column, r, c) {
    const element = column.kind === 'key' ? make('th', {scope: 'row'}) : make('td');
    if (column.kind === 'text') element.classList.add('text');
    if (cell.style && !cell.is_state) element.classList.add(cell.style);
    if (cell.sort !== undefined) element.dataset.value = cell.sort === null ? '' : cell.sort;
    if (cell.help && !cell.is_state) element.title = cell.help;
    element.append(column.kind === 'key' ? make('div', null, label_of(cell, r, c)) : label_of(cell, r, c));
    if (cell.plus) element.append(make('span', {class: 'plus'}, cell.plus));
    if (cell.published) element.append(' ', make('span', {class: 'ref'}, `(${cell.published})`));
    if (cell.small) element.append(make('br'), make('small', null, cell.small));
    return element;
  }
  function filter_of(table, spec) {
    const filter = make('input', {type: 'search', id: spec.id + '-filter', placeholder: 'Filter ( / )', 'aria-label': spec.filter});
    const empty = make('p', {class: 'empty', hidden: ''}, 'No row contains these words.');
    table.after(empty);
    filter.addEventListener('input', () => {
      const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const row of table.tBodies[0].rows) {
        const content = row.textContent.toLowerCase();
        row.hidden = !words.every(word => content.includes(word));
        shown += !row.hidden;
      }
      empty.hidden = shown > 0;
    });
    return make('div', {class: 'tools'}, filter);
  }
  function table_of(spec) {
    const table = make('table', {id: spec.id, class: 'sortable'},
      make('thead', null, make('tr', null, ...spec.columns.map(head_of))),
      make('tbody', null, ...spec.rows.map((row, r) =>
        make('tr', null, ...row.map((cell, c) => cell_of(cell, spec.columns[c], r, c))))));
    [...table.tHead.rows[0].cells].forEach((cell, i) => cell.firstChild.addEventListener('click', () =>
      sort(table, i, cell.getAttribute('aria-sort') === 'ascending' ? -1 : 1)));
    const wide = make('div', {class: 'wide', tabindex: -1}, table);
    const notes = (spec.notes || []).map(note => text('p', note.is_warning ? 'warning' : 'faint', note.text));
    return [filter_of(table, spec), wide, ...notes];
  }
  addEventListener('keydown', event => {
    const filter = document.querySelector('input[type=search]');
    if (event.key !== '/' || !filter || event.target.closest('input, select, textarea, dialog')) return;
    event.preventDefault();
    filter.focus();
  });

  /* ---- where a number comes from ---- */
  const dialog = document.getElementById('trace');
  const runs = new Map((data.runs || []).map(run => [run.id, run]));
  function show_run(id) {
    const run = document.getElementById('run-' + id);
    if (!run) return;
    document.querySelectorAll('details.marked').forEach(other => other.classList.remove('marked'));
    run.open = true;
    run.classList.add('marked');
    run.scrollIntoView({block: 'start'});
    run.querySelector('summary').focus({preventScroll: true});
  }
  const pairs_of = pairs => make('dl', null, ...pairs.flatMap(([name, value]) => [make('dt', null, name), make('dd', null, value)]));
  function trace(link) {
    const row = data.table.made_from[link.dataset.row], column = data.table.columns[link.dataset.column];
    const cell = data.table.rows[link.dataset.row][link.dataset.column];
    const body = make('tbody'), list = make('table', null,
      make('thead', null, make('tr', null, ...['run', 'value', 'commit', 'machine', 'ended'].map((name, i) =>
        make('th', {class: i === 1 ? '' : 'text'}, make('span', null, name))))), body);
    run_ids_of(cell, link.dataset.row).forEach((id, i) => {
      const run = runs.get(id) || null;
      const go = make('a', {href: '#run-' + id}, run ? `${id}: ${run.label}` : row.labels[i]);
      if (run) go.addEventListener('click', event => { event.preventDefault(); dialog.close(); history.replaceState(null, '', '#run-' + id); show_run(id); });
      body.append(make('tr', null, make('td', {class: 'text'}, run ? go : row.labels[i]), make('td', null, cell.runs[i]),
        make('td', {class: 'text mono'}, run ? run.commit : '–'), make('td', {class: 'text'}, run ? run.machine : '–'),
        make('td', {class: 'text'}, run ? run.ended : '–')));
    });
    const facts = [['shown', link.textContent + (cell.plus || '') + (column.unit ? ' ' + column.unit : '')], ['what it is', column.help],
      ['interval', cell.interval], ['published', cell.reference]].filter(fact => fact[1]);
    const close = make('button', {type: 'button', class: 'close', 'aria-label': 'close'}, '×');
    close.addEventListener('click', () => dialog.close());
    dialog.replaceChildren(close, make('h2', null, `${column.heading}, ${row.name}`), pairs_of(facts),
      make('div', {class: 'wide'}, list),
      make('p', {class: 'faint'}, 'Select a run to see its settings, command line, libraries and log.'));
    dialog.showModal();
  }
  document.addEventListener('click', event => {
    const link = event.target.closest('a.number');
    if (link) { event.preventDefault(); trace(link); }
    else if (event.target === dialog) dialog.close();
  });

  function run_of(run) {
    const summary = make('summary', null, run.label, make('span', {class: 'chip ' + run.status}, run.status));
    if (!run.id) return fill(make('details', null, summary), text('p', 'warning', run.message));
    const inside = make('div', {class: 'inside'});
    fill(inside, run.warnings.map(warning => text('p', 'warning', warning)), pairs_of(run.facts));
    for (const attempt of run.attempts)
      fill(inside, text('h3', '', attempt.heading), text('p', 'warning', attempt.message), text('pre', '', attempt.command),
        text('pre', '', attempt.log), text('p', 'faint mono', attempt.conditions));
    inside.append(make('div', {class: 'columns'}, ...run.lists.filter(list => list.pairs.length).map(list =>
      make('div', null, make('h3', null, list.heading), pairs_of(list.pairs)))));
    return make('details', {id: 'run-' + run.id}, summary, inside);
  }

  /* ---- curves ---- */
  const nice_step = span => {
    const power = 10 ** Math.floor(Math.log10(span)), share = span / power;
    return power * (share < 1.5 ? 0.25 : share < 3 ? 0.5 : share < 7 ? 1 : 2);
  };
  /* A number at a tic, with as many decimals as tell it from the next tic. */
  const decimals = (value, step) => +value.toFixed(Math.min(100, Math.max(0, 1 + Math.ceil(-Math.log10(step)))));
  const short = (value, step) => {
    const size = Math.abs(value);
    for (const [least, name] of [[1e9, 'B'], [1e6, 'M'], [1e3, 'k']])
      if (size >= least) return (step ? decimals(value / least, step / least) : +(value / least).toPrecision(3)) + name;
    return String(step ? decimals(value, step) : +value.toPrecision(3));
  };
  const unit_of_time = seconds => seconds < 120 ? [1, ' s'] : seconds < 7200 ? [60, ' min'] : [3600, ' h'];
  const as_time = (seconds, [unit, name] = unit_of_time(seconds)) => +(seconds / unit).toPrecision(3) + name;
  /* Beyond eight rows colours repeat: each line then has the marks that it has in the figures
   * (shape_of in plots/theme.gp), other ones from the 25th on. */
  const COLOURS = 8, has_marks = data.table && data.table.made_from && data.table.made_from.length > COLOURS;
  const mark_of = row => {
    const round = Math.floor(row / COLOURS);
    return '●■▲◆▼⬟'[(row % COLOURS + 2 * round + Math.floor(round / 3)) % 6];
  };
  const colour_of = row => `var(--c${row % COLOURS})`;
  const dot_at = (x, y, row, style) => has_marks
    ? draw('text', {class: style, x, y, style: 'fill:' + colour_of(row), 'text-anchor': 'middle', 'dominant-baseline': 'central', 'aria-hidden': 'true'}, mark_of(row))
    : draw('circle', {r: 4, cx: x, cy: y, fill: colour_of(row)});
  const WIDTH = 520, HEIGHT = 300, LEFT = 46, RIGHT = 14, TOP = 12, BOTTOM = 40;

  /* A run without a steady pace has no times: its points are null on that axis. */
  function chart(place, curve, state, number) {
    const x_of = point => state.time ? point[1] : point[0];
    const series = curve.series.filter(s => !state.hidden.has(s.row))
      .map(s => state.time ? {...s, points: s.points.filter(p => p[1] !== null)} : s).filter(s => s.points.length);
    const svg = draw('svg', {viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: 'img', tabindex: 0,
      'aria-label': `${curve.name} against ${state.time ? 'training time' : 'samples'}; arrow keys read the values`});
    /* a run that broke off does not stretch the axes of those that finished */
    const finished = series.filter(s => !s.is_unfinished);
    const points = (finished.length ? finished : series).flatMap(s => s.points);
    if (!points.length) { place.replaceChildren(make('p', {class: 'empty'}, 'Nothing to draw.')); return; }
    /* not Math.max(...): a call takes fewer arguments than many runs have points */
    let x_most = -Infinity, low = Infinity, high = -Infinity;
    for (const point of points) {
      x_most = Math.max(x_most, x_of(point));
      low = Math.min(low, point[2]);
      high = Math.max(high, point[2]);
    }
    x_most = x_most || 1;
    if (curve.zero) low = 0;
    const pad = (high - low || 1) * 0.06;
    high += pad;
    if (!curve.zero) low -= pad;
    const X = value => LEFT + (WIDTH - LEFT - RIGHT) * value / x_most;
    const Y = value => HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (value - low) / (high - low);
    const [unit, unit_name] = state.time ? unit_of_time(x_most) : [1, ''];
    const step = nice_step((high - low)), x_step = unit * nice_step(x_most / unit);
    for (let y = Math.ceil(low / step) * step; y <= high; y += step) {
      svg.append(draw('line', {class: 'grid', x1: LEFT, x2: WIDTH - RIGHT, y1: Y(y), y2: Y(y)}));
      svg.append(draw('text', {class: 'tick', x: LEFT - 6, y: Y(y) + 4, 'text-anchor': 'end'}, short(y, step)));
    }
    for (let x = 0; x <= x_most * 1.001; x += x_step) {
      const name = state.time ? decimals(x / unit, x_step / unit) + unit_name : short(x, x_step);
      const anchor = !x ? 'start' : X(x) + 3.5 * name.length > WIDTH ? 'end' : 'middle';
      svg.append(draw('text', {class: 'tick', x: X(x), y: HEIGHT - BOTTOM + 17, 'text-anchor': anchor}, name));
    }
    svg.append(draw('text', {class: 'tick', x: WIDTH - RIGHT, y: HEIGHT - 5, 'text-anchor': 'end'},
      state.time ? 'training time, steady pace' : 'samples seen'));
    const clip = draw('clipPath', {id: 'plot-' + number});
    clip.append(draw('rect', {x: LEFT, y: 0, width: WIDTH - LEFT, height: HEIGHT - BOTTOM}));
    const plot = draw('g', {'clip-path': `url(#plot-${number})`});
    svg.append(clip, plot);
    for (const s of series) {
      const end = s.points.at(-1);
      plot.append(draw('path', {class: 'line' + (s.is_unfinished ? ' unfinished' : s.is_mean ? '' : s.has_mean ? ' thin' : ''),
        stroke: colour_of(s.row), 'stroke-dasharray': s.is_unfinished ? '1 4' : s.tuning ? '5 4' : 'none',
        d: 'M' + s.points.map(p => `${X(x_of(p)).toFixed(1)},${Y(p[2]).toFixed(1)}`).join('L')}));
      const apart = Math.ceil(s.points.length / 10);
      if (has_marks && !(s.has_mean && !s.is_mean))
        for (const p of s.points.filter((_, i) => (i + s.row) % apart === 0 || s.points.length < 12))
          plot.append(dot_at(X(x_of(p)).toFixed(1), Y(p[2]).toFixed(1), s.row, 'mark'));
      if (s.is_unfinished)
        plot.append(draw('text', {class: 'broken-off', x: X(x_of(end)), y: Y(end[2]) + 4, 'text-anchor': 'middle', 'aria-hidden': 'true'}, '×'));
    }
    hover(svg, curve, series.filter(s => s.is_mean || !s.has_mean), state, x_of, x_most, X, Y);
    place.replaceChildren(svg);
  }

  /* A line at the evaluation next to the reader's finger, mouse or arrow keys, and what each curve
   * says there; of many curves, the ones next to the pointer. Values that were measured elsewhere
   * on the axis say where. */
  const MOST_READ = 13, LONGEST_NAME = 44;
  const cut = name => [...name].length > LONGEST_NAME ? [...name].slice(0, LONGEST_NAME - 1).join('') + '…' : name;
  function plate_of(lines, head, line) {
    const plate = draw('g', {}), box = draw('rect', {class: 'plate', x: 0, y: TOP, height: 18 * lines.length + 26, rx: 6});
    plate.append(box, draw('text', {class: 'tick', x: 10, y: TOP + 17}, head));
    lines.forEach(({row, words}, i) => {
      if (row !== undefined) plate.append(dot_at(13, TOP + 31 + 18 * i, row, 'read'));
      plate.append(draw('text', {x: 23, y: TOP + 35 + 18 * i}, words));
    });
    return [plate, () => { /* once it is drawn, and has a width */
      const width = Math.max(...[...plate.querySelectorAll('text')].map(t => t.getComputedTextLength())) + 36;
      const scale = Math.min(1, WIDTH / width), right = line + 10;
      const left = right + width > WIDTH ? Math.max(0, line - width - 10) : right;
      box.setAttribute('width', width);
      plate.setAttribute('transform', `translate(${left} ${TOP * (1 - scale)}) scale(${scale})`);
    }];
  }
  function hover(svg, curve, series, state, x_of, x_most, X, Y) {
    const layer = draw('g', {}), place_name = x => state.time ? as_time(x) : short(Math.round(x));
    svg.append(layer);
    const at = (x, y) => {
      const closest = points => points.reduce((a, b) => Math.abs(x_of(b) - x) < Math.abs(x_of(a) - x) ? b : a);
      let near = series.map(s => ({s, p: closest(s.points)}))
        .filter(n => x <= x_of(n.s.points.at(-1)) + x_most * 0.06 && x >= x_of(n.s.points[0]) - x_most * 0.06);
      layer.replaceChildren();
      if (!near.length) return;
      const where = x_of(closest(near.map(n => n.p))), line = X(Math.min(where, x_most)), head = place_name(where);
      const count = near.length;
      if (y !== undefined) near.sort((a, b) => Math.abs(Y(a.p[2]) - y) - Math.abs(Y(b.p[2]) - y));
      else near.sort((a, b) => b.p[2] - a.p[2]);
      near = near.slice(0, count > MOST_READ + 1 ? MOST_READ : count).sort((a, b) => b.p[2] - a.p[2]);
      const lines = near.map(n => {
        const elsewhere = place_name(x_of(n.p));
        return {row: n.s.row, words: `${left_to_right(cut(n.s.name))}  ${+n.p[2].toPrecision(4)}${curve.unit}${elsewhere === head ? '' : ` at ${elsewhere}`}`};
      });
      if (count > near.length) lines.push({words: `and ${count - near.length} more`});
      const [plate, fit] = plate_of(lines, head, line);
      layer.append(draw('line', {class: 'cross', x1: line, x2: line, y1: TOP, y2: HEIGHT - BOTTOM}));
      near.filter(n => X(x_of(n.p)) <= WIDTH && Y(n.p[2]) >= 0 && Y(n.p[2]) <= HEIGHT - BOTTOM)
        .forEach(n => layer.append(dot_at(X(x_of(n.p)), Y(n.p[2]), n.s.row, 'read')));
      layer.append(plate);
      fit();
    };
    const from_event = event => {
      const box = svg.getBoundingClientRect();
      const x = ((event.clientX - box.left) / box.width * WIDTH - LEFT) / (WIDTH - LEFT - RIGHT) * x_most;
      return [Math.min(x_most, Math.max(0, x)), (event.clientY - box.top) / box.height * HEIGHT];
    };
    let place = 0;
    svg.addEventListener('pointermove', event => at(...from_event(event)));
    svg.addEventListener('pointerleave', () => layer.replaceChildren());
    svg.addEventListener('blur', () => layer.replaceChildren());
    svg.addEventListener('keydown', event => {
      const move = {ArrowLeft: -1, ArrowRight: 1}[event.key];
      if (!move) return;
      event.preventDefault();
      place = Math.min(x_most, Math.max(0, place + move * x_most / 40));
      at(place);
    });
  }

  /* Which lines of all charts are no finished run's, and which have no place on the axis of time. */
  const names_of = (curves, is_meant) => [...new Set(curves.flatMap(curve => curve.series.filter(is_meant)).map(s => s.name))];
  function words_on_lines(curves, state) {
    const unfinished = names_of(curves, s => s.is_unfinished);
    const timeless = state.time ? names_of(curves, s => s.points.some(p => p[1] === null)) : [];
    return [text('p', 'faint', unfinished.length && 'Dotted to ×, no part of a mean: ' + unfinished.join('; ') + '.'),
      text('p', 'faint', timeless.length && 'Not against time, or not to the end, as there is no single steady pace: ' + timeless.join('; ') + '.')];
  }

  /* All charts, with the legend that hides rows in each of them. */
  function curves() {
    const state = {time: false, hidden: new Set()}, places = [];
    const legend = make('div', {class: 'legend'});
    const axis = make('button', {type: 'button'}), words = make('div');
    const redraw = () => {
      axis.textContent = state.time ? 'Show against samples seen' : 'Show against training time';
      words.replaceChildren(...words_on_lines(data.curves, state).filter(Boolean));
      data.curves.forEach((curve, i) => chart(places[i], curve, state, i));
    };
    axis.addEventListener('click', () => { state.time = !state.time; redraw(); });
    data.table.made_from.forEach((row, i) => {
      const button = make('button', {type: 'button', 'aria-pressed': 'true'}, make('i', {style: `background:${colour_of(i)}`}),
        has_marks ? make('b', {style: `color:${colour_of(i)}`, 'aria-hidden': 'true'}, mark_of(i)) : '', row.name);
      button.addEventListener('click', () => {
        if (!state.hidden.delete(i)) state.hidden.add(i);
        button.setAttribute('aria-pressed', String(!state.hidden.has(i)));
        redraw();
      });
      legend.append(button);
    });
    const grid = make('div', {class: 'charts'});
    for (const curve of data.curves) {
      const place = make('div');
      places.push(place);
      grid.append(make('div', {class: 'chart'}, make('h3', null, curve.name + (curve.unit ? ` (${curve.unit.trim()})` : '')), place));
    }
    redraw();
    return [make('div', {id: 'charts'}, make('div', {class: 'tools'}, axis), legend, words, grid)];
  }

  /* ---- what the experiment's file claims, and whether its numbers say so ---- */
  function claims() {
    if (!data.claims) return [];
    const style = {'holds': 'finished', 'does not hold': 'failed'};
    return [text('p', 'faint', data.claim_counts), ...data.claims.map(claim => fill(make('div', {class: 'claim'}),
      fill(make('p'), text('span', 'chip ' + (style[claim.verdict] || ''), claim.verdict), ' ', claim.claim,
        text('small', '', claim.from && ` (${claim.from})`)),
      text('p', 'faint', (claim.quantity && claim.value != null ? claim.quantity + ': ' : '') + claim.evidence)))];
  }

  /* ---- the page: the sections of each kind, in order; one that has nothing to show is left out.
   * [id, name in the bar, heading, what renders it: a list of nodes] ---- */
  const drawings = document.getElementById('drawings');
  const sections = {
    experiment: [
      ['results', 'Results', 'Results', () => table_of(data.table)],
      ['claims', 'Claims', 'Claims', claims],
      ['curves', 'Curves', 'Curves', curves],
      ['figures', 'Figures', 'Figures', () => drawings.children.length ? [drawings] : []],
      ['runs', 'Runs', 'Runs: where each number comes from', () => data.runs.map(run_of)],
      ['file', 'File', 'Experiment file', () => [make('details', null, make('summary', null, data.file.path),
        make('div', {class: 'inside'}, make('pre', null, data.file.text)))]],
    ],
    paper: [
      ['claims', 'Claims', 'Claims', () => table_of(data.claims)],
      ['tables', 'Tables', 'Tables and their runs', () => table_of(data.tables)],
    ],
    index: [
      ['all', 'Experiments', 'Experiments', () => table_of(data.experiments)],
      ['runs', 'Cells', 'Cells', () => table_of(data.cells)],
    ],
    history: [
      ['history', 'History', 'History', () => [
        make('p', null, 'A point is the median of a commit’s samples, its bar their range; a line is the mean of a level ' +
          'with its 95 % interval. Samples of another command, compiler, flags or machine have figures of their own.'),
        ...data.groups.flatMap(group => [text('p', 'finding', group.title), text('p', 'faint mono', group.name),
          document.getElementById('drawing-' + group.drawing),
          ...group.series.map(series => make('details', null, make('summary', null, series.name), make('div', {class: 'inside'}, ...table_of(series.table))))])]],
      ['failures', 'Failures', 'Commits that could not be measured', () => data.failures.flatMap(failure =>
        [text('h3', '', failure.heading), text('pre', '', failure.message)])],
    ],
  };

  /* Sentences on many rows are folded, so that the table is near the top. */
  const MOST_SENTENCES = 6;
  const tell = (finding, i) => {
    const count = finding.split('\n').length;
    if (count <= MOST_SENTENCES) return text('p', 'finding', finding);
    return make('details', null, make('summary', null, `${count} ${(data.finding_names || [])[i] || 'comparisons'} in words`), text('p', 'finding', finding));
  };

  const main = document.querySelector('main'), bar = [];
  if (data.up) bar.push(make('a', {href: data.up.href}, '← ' + data.up.name));
  fill(main, text('p', 'faint', data.source));
  fill(main, text('p', 'faint', data.recorded));
  if (data.states)
    main.append(fill(make('ul', {class: 'chips'}), data.states.map(state => text('li', 'chip ' + state.style, state.text)),
      text('li', 'chip', data.provenance)));
  fill(main, (data.warnings || []).map(warning => text('p', 'warning', warning)),
    (data.findings || []).map(tell));
  for (const [id, name, heading, render] of sections[data.kind]) {
    const nodes = render();
    if (!nodes.length) continue;
    bar.push(make('a', {href: '#' + id}, name));
    main.append(make('h2', {id}, heading), ...nodes);
  }
  document.querySelector('nav').prepend(...bar);
  if (!drawings.children.length) drawings.remove();
  if (location.hash.startsWith('#run-')) show_run(location.hash.slice(5));
})();
