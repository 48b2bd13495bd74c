// Makes tables with the class "sortable" sort by a click on a column's head.
for (const table of document.querySelectorAll('table.sortable')) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const key = (row, column) => row.cells[column].dataset.key ?? row.cells[column].textContent.trim();
  const compare = new Intl.Collator('en', { numeric: true }).compare;
  const order = (column) => (a, b) => {
    const [x, y] = [key(a, column), key(b, column)];
    return x - y || compare(x, y);
  };
  const sort = (head, column) => {
    const up = head.getAttribute('aria-sort') === 'descending' ? 1 : -1;
    heads.forEach((other) => other.removeAttribute('aria-sort'));
    head.setAttribute('aria-sort', up > 0 ? 'ascending' : 'descending');
    body.append(...[...body.rows].sort((a, b) => up * order(column)(a, b)));
  };
  heads.forEach((head, column) => {
    if (!head.dataset.sort) return;
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
