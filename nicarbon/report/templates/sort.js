// Makes tables with the class "sortable" sort by a click on a column's head.
for (const table of document.querySelectorAll('table.sortable')) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const key = (row, column) => row.cells[column].dataset.key ?? row.cells[column].textContent.trim();
  const compare = new Intl.Collator('en', { numeric: true }).compare;
  heads.forEach((head, column) => {
    if (!head.dataset.sort) return;
    const button = document.createElement('button');
    button.type = 'button';
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener('click', () => {
      const up = head.getAttribute('aria-sort') === 'descending' ? 1 : -1;
      heads.forEach((other) => other.removeAttribute('aria-sort'));
      head.setAttribute('aria-sort', up > 0 ? 'ascending' : 'descending');
      body.append(...[...body.rows].sort((a, b) => up * compare(key(a, column), key(b, column))));
    });
  });
}
