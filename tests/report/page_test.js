/* Runs inside a page that flipbench wrote (the story puts it there), and leaves what it found in
 * the title: "pass N" or "fail: …". */
addEventListener('load', () => {
  let checks = 0;
  const expect = (is_true, what) => { checks++; if (!is_true) throw new Error(what); };
  try {
    expect(!window.page_problems.length, 'errors while loading: ' + window.page_problems.join(' | '));
    /* no text became a part of the page: the scripts are the watcher, the data, the page's and this */
    expect(document.scripts.length === 4 && !document.querySelector('[onclick]'), 'a text became markup');
    const table = document.querySelector('table.sortable');
    expect(table && table.tBodies[0].rows.length > 1, 'no table');

    /* sorting by the keyboard's way: a button in each head */
    const head = table.tHead.rows[0].cells[PAGE_COLUMN], button = head.querySelector('button');
    const cells = () => [...table.tBodies[0].rows].map(row => row.cells[PAGE_COLUMN]);
    const key = cell => cell.dataset.value !== undefined ? cell.dataset.value : cell.textContent;
    const values = () => cells().map(key).filter(text => text !== '').map(Number);
    const gap = () => cells().map(key).join(' ').trim() === values().join(' '); /* the missing are last */
    button.click();
    expect(head.getAttribute('aria-sort') === 'ascending', 'aria-sort was not set');
    expect(values().every((v, i, all) => !i || all[i - 1] <= v) && gap(), 'not ascending: ' + values());
    button.click();
    expect(values().every((v, i, all) => !i || all[i - 1] >= v) && gap(), 'not descending: ' + values());

    /* a long name leaves room for the numbers that are scrolled below it */
    const names = [...document.querySelectorAll('tbody th')];
    expect(names.every(name => name.offsetWidth <= Math.max(innerWidth, 800) / 2), 'a name covers the numbers');

    /* the colours for the night are no paper's */
    const of_dark = rules => [...rules].some(rule => (rule.selectorText || '').includes('dark') || (rule.media &&
      /dark/.test(rule.media.mediaText) && !/screen/.test(rule.media.mediaText)));
    expect(![...document.styleSheets].some(sheet => of_dark(sheet.cssRules)), 'printed in colours for the night');

    /* filtering */
    const filter = document.getElementById(table.id + '-filter');
    const shown = () => [...table.tBodies[0].rows].filter(row => !row.hidden).length, all = shown();
    filter.value = 'PAGE_WORD';
    filter.dispatchEvent(new Event('input'));
    expect(shown() === 1, 'the filter shows ' + shown() + ' rows');
    filter.value = 'no row has this';
    filter.dispatchEvent(new Event('input'));
    expect(shown() === 0 && !document.querySelector('.empty').hidden, 'an empty result is not told');
    filter.value = '';
    filter.dispatchEvent(new Event('input'));
    expect(shown() === all, 'rows are lost');

    /* light and dark */
    const ground = () => getComputedStyle(document.body).backgroundColor, before = ground();
    const label = document.querySelector('figure svg g[fill^="var(--"], figure svg [stroke^="var(--"]');
    const ink = () => label && getComputedStyle(label).fill + getComputedStyle(label).stroke, ink_before = ink();
    expect(label || !document.querySelector('figure svg'), 'the figures have colours of their own');
    document.getElementById('theme').click();
    expect(ground() !== before, 'the theme did not change');
    expect(!label || ink() !== ink_before, 'the figures did not change with the theme');
    document.getElementById('theme').click();
    expect(ground() === before, 'the theme did not change back');

    if (document.getElementById('charts')) {
      /* a number leads to its runs, and a run to its record */
      document.querySelector('a.number').click();
      const dialog = document.getElementById('trace');
      expect(dialog.open, 'no dialog');
      const interval = document.querySelector('a.number').parentElement.querySelector('.plus');
      expect(!interval || dialog.querySelector('dd').textContent.includes(interval.textContent), 'the dialog has no interval');
      const commit = /^[0-9a-f]{10}/.exec(dialog.querySelector('td.mono').textContent);
      expect(commit, 'the dialog names no commit: ' + dialog.textContent);
      const link = dialog.querySelector('a[href^="#run-"]'), run = document.querySelector(link.getAttribute('href'));
      link.click();
      expect(!dialog.open && run.open, 'the run was not opened');
      expect(run.textContent.includes(commit[0]) && run.textContent.includes('learning_rate'), 'the run has no record');

      /* a number of a tuning leads to the tuning's run */
      const page = JSON.parse(document.getElementById('data').textContent), numbers = page.table.rows;
      const all_series = page.curves.flatMap(curve => curve.series);
      const tuned = [...document.querySelectorAll('a.number')].find(a => numbers[a.dataset.row][a.dataset.column].run_ids);
      if (tuned) {
        tuned.click();
        const leads = [...dialog.querySelectorAll('a[href^="#run-"]')].map(a => a.textContent);
        expect(leads.length && leads.every(name => name.includes('tuning')), 'a tuned number leads to ' + leads);
        dialog.close();
      }

      /* curves: one line a row, values at the arrow keys, a row that is hidden */
      const chart = document.querySelector('.chart svg'), lines = chart.querySelectorAll('.line').length;
      expect(lines >= table.tBodies[0].rows.length, 'only ' + lines + ' lines');
      for (let i = 0; i < 20; i++) chart.dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowRight'}));
      expect(chart.querySelector('.plate') && /\d/.test(chart.lastChild.textContent), 'no values under the keys');
      const plate = chart.querySelector('.plate').getBoundingClientRect(), frame = chart.getBoundingClientRect();
      expect(plate.left >= frame.left - 1 && plate.right <= frame.right + 1 && plate.bottom <= frame.bottom + 1, 'values are cut off');
      /* what is read was measured where the head says, or says where else */
      const told = [...chart.querySelectorAll('.plate ~ text')].map(t => t.textContent), measured = page.curves[0].series.flatMap(s => s.points.map(p => p[0]));
      expect(measured.some(at => Math.abs(at - parseFloat(told[0]) * (/k$/.test(told[0]) ? 1000 : 1)) <= 0.005 * at), 'no evaluation at ' + told[0]);
      /* every chart can be read, that of losses by run */
      for (const other of document.querySelectorAll('.chart svg')) {
        for (let i = 0; i < 20; i++) other.dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowRight'}));
        expect(other.querySelector('.plate'), 'no values in ' + other.getAttribute('aria-label'));
      }
      /* rows differ by colour, or by their marks where colours repeat */
      const looks = [...document.querySelectorAll('.legend button')].map(b => b.querySelector('i').style.background + (b.querySelector('b') || {}).textContent);
      expect(new Set(looks).size === looks.length, 'two rows look alike');
      /* each tic of an axis has a number of its own */
      for (const other of document.querySelectorAll('.chart svg'))
        for (const anchor of ['end', 'middle']) {
          const tics = [...other.querySelectorAll(':scope > .tick[text-anchor=' + anchor + ']')].map(t => t.textContent);
          expect(new Set(tics).size === tics.length, 'tics of equal names: ' + tics);
        }

      /* a run that broke off is drawn as such, and named in words */
      const failed = all_series.filter(s => s.is_unfinished);
      expect(!!failed.length === !!document.querySelector('.chart .unfinished'), 'a failed run looks like a finished one');
      for (const s of failed) expect([...document.querySelectorAll('#charts p')].some(p => p.textContent.includes(s.name)), s.name + ' is not named');
      for (const line of document.querySelectorAll('.chart .unfinished')) expect(line.getAttribute('stroke-dasharray') === '1 4', 'not dotted');
      const reach = [...document.querySelector('.chart svg').querySelectorAll('.line:not(.unfinished)')]
        .flatMap(line => [...line.getAttribute('d').matchAll(/([\d.]+),/g)].map(at => +at[1]));
      expect(!reach.length || Math.max(...reach) > 500, 'finished runs end at ' + Math.max(...reach) + ' of 506');
      expect(!failed.length || document.querySelector('.chart .broken-off'), 'no end of a failed run');
      /* points without a time are drawn against samples alone */
      const drawn = () => document.querySelector('.chart svg').querySelectorAll('.line').length;
      const timeless = page.curves[0].series.filter(s => s.points.every(p => p[1] === null)).length, all_lines = drawn();
      document.querySelector('#charts .tools button').click();
      expect(drawn() === all_lines - timeless, drawn() + ' lines against time, not ' + (all_lines - timeless));
      expect(!timeless || [...document.querySelectorAll('#charts p')].some(p => p.textContent.startsWith('Not against time')), 'a missing line is not named');
      expect(![...document.querySelectorAll('.chart .line')].some(l => /NaN|null/.test(l.getAttribute('d'))), 'a point without a place');
      document.querySelector('#charts .tools button').click();
      document.querySelector('.legend button').click();
      expect(document.querySelector('.chart svg').querySelectorAll('.line').length < lines, 'the row is still drawn');
      expect(document.querySelectorAll('figure svg').length > 0, 'no figures');
    }
    const wide = document.documentElement.scrollWidth;
    expect(wide <= innerWidth, 'the page is ' + wide + ' wide in a window of ' + innerWidth);
    expect(!window.page_problems.length, 'errors: ' + window.page_problems.join(' | '));
    document.title = 'pass ' + checks;
  } catch (error) {
    document.title = 'fail: ' + error.message;
  }
});
