// What a page offers beyond reading. Without this script all of it is there to be read.
'use strict';

const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const compare = new Intl.Collator('en', { numeric: true }).compare;

// Rows that stay together: the error of a stage follows it wherever it goes.
const groups = (table) => {
  const found = [];
  for (const row of table.tBodies[0].rows) {
    if (row.classList.contains('more')) found.at(-1).push(row);
    else found.push([row]);
  }
  return found;
};

// Tables with the class "sortable" are sorted by a click on a column's head: a number from the
// largest, a text from A; then the other way round; then as they were.
const order = (column, sign) => ([a], [b]) => {
  const [x, y] = [a, b].map((row) => {
    const cell = row.cells[column];
    return cell.dataset.key ?? cell.textContent.trim();
  });
  // What is not known is neither small nor large: it comes last.
  if (x === '' || y === '') return (x === '') - (y === '');
  return sign * (x - y || compare(x, y));
};

for (const table of all('table.sortable')) {
  const heads = [...table.tHead.rows[0].cells];
  const original = groups(table);
  const sort = (head, column) => {
    const ways = ['ascending', 'descending'];
    if (head.classList.contains('num')) ways.reverse();
    const way = ways[ways.indexOf(head.getAttribute('aria-sort')) + 1];
    heads.forEach((other) => other.removeAttribute('aria-sort'));
    const sorted = [...original];
    if (way) {
      head.setAttribute('aria-sort', way);
      sorted.sort(order(column, way === 'ascending' ? 1 : -1));
    }
    table.tBodies[0].append(...sorted.flat());
  };
  heads.forEach((head, column) => {
    if (!('sort' in head.dataset)) return;
    // Not a <button>: browsers leave those out of a head that is printed again.
    const handle = document.createElement('span');
    handle.setAttribute('role', 'button');
    handle.tabIndex = 0;
    handle.append(...head.childNodes);
    head.append(handle);
    handle.addEventListener('click', () => sort(head, column));
    handle.addEventListener('keydown', (event) => {
      if (event.key !== 'Enter' && event.key !== ' ') return;
      event.preventDefault();
      sort(head, column);
    });
  });
}

// A filter shows the rows of the table after it that hold all of its words.
for (const filter of all('.filter')) {
  const rows = groups(filter.nextElementSibling.querySelector('table')).map((group) => {
    const cells = group.flatMap((row) => [...row.cells]);
    return [group, cells.map((cell) => cell.textContent).join(' ').toLowerCase()];
  });
  const [box, said] = [filter.querySelector('input'), filter.querySelector('output')];
  const narrow = () => {
    const asked = box.value.trim();
    const words = asked.toLowerCase().split(/\s+/);
    let shown = 0;
    for (const [group, text] of rows) {
      const fits = words.every((word) => text.includes(word));
      shown += fits;
      group.forEach((row) => { row.hidden = !fits; });
    }
    const count = `${shown || 'None'} of ${rows.length} ${filter.dataset.what}`;
    said.textContent = asked ? `${count} with “${asked}”` : '';
  };
  filter.hidden = rows.length < 2;
  box.addEventListener('input', narrow);
}

// Joules or grams: one choice for all figures of the page.
for (const choice of all('.choice')) {
  choice.hidden = false;
  choice.addEventListener('change', ({ target }) => {
    all('.choice input').forEach((input) => { input.checked = input.value === target.value; });
    all('figure [data-quantity]').forEach((part) => {
      part.hidden = part.dataset.quantity !== target.value;
    });
  });
}

// Browsers show the title of a mark in a figure to a mouse alone. Here a figure is one stop of
// the Tab key, arrows go from mark to mark, and what has the focus or is tapped shows its title.
const MOST_MARKS = 400; // Beyond, nobody goes from mark to mark: the tables say the same.
const tip = document.createElement('div');
tip.className = 'tip';
tip.hidden = true;
tip.setAttribute('aria-hidden', 'true'); // Titles name the marks: this would say them twice.
document.body.append(tip);

const show = (mark, more = '') => {
  tip.textContent = mark.querySelector('title').textContent + more;
  tip.hidden = false;
  const at = mark.getBoundingClientRect();
  const most = document.documentElement.clientWidth - tip.offsetWidth - 8;
  tip.style.left = `${scrollX + Math.max(8, Math.min(at.left, most))}px`;
  tip.style.top = `${scrollY + at.bottom + 8}px`;
};
const hide = () => { tip.hidden = true; };

for (const svg of all('figure svg')) {
  const titled = all('title', svg).map((title) => title.parentNode).filter((one) => one !== svg);
  const marks = titled.map((one) => one.closest('a') ?? one);
  if (!marks.length || marks.length > MOST_MARKS) continue;
  svg.setAttribute('role', 'group'); // An image holds nothing that could have the focus.
  marks.forEach((mark, index) => {
    if (mark.localName !== 'a') mark.setAttribute('role', 'img');
    mark.tabIndex = index ? -1 : 0;
  });
  // Chromium lets an <svg> that itself listens to the focus have it.
  const around = svg.parentNode;
  around.addEventListener('focusin', ({ target }) => {
    if (!marks.includes(target)) return;
    marks.forEach((mark) => { mark.tabIndex = mark === target ? 0 : -1; });
    const first = target === marks[0] && target.matches(':focus-visible') && marks[1];
    show(target, first ? ' (arrow keys: the next)' : '');
  });
  around.addEventListener('focusout', hide);
  around.addEventListener('keydown', (event) => {
    if (event.key === 'Escape') hide();
    const index = marks.indexOf(event.target);
    const next = {
      ArrowRight: index + 1, ArrowDown: index + 1, ArrowLeft: index - 1, ArrowUp: index - 1,
      Home: 0, End: marks.length - 1,
    }[event.key];
    if (!marks[next]) return;
    event.preventDefault();
    marks[next].focus();
  });
  around.addEventListener('click', ({ target }) => {
    const mark = marks.find((one) => one.contains(target));
    if (mark) show(mark);
  });
}
