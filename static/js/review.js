// The list of runs: ticking all of a page, and how many are ticked.
const form = document.getElementById('runs')
const boxes = [...(form?.querySelectorAll('input[name=run]') ?? [])]
const all = form?.querySelector('[data-tick-all]')
const every = form?.querySelector('input[name=all]')

function tell() {
  const ticked = boxes.filter((box) => box.checked).length
  form.querySelector('[data-ticked]').textContent = ticked ? `${ticked} ticked` : 'none ticked'
  all.checked = ticked > 0 && ticked === boxes.length
  all.indeterminate = ticked > 0 && ticked < boxes.length
}

if (all) {
  all.addEventListener('change', () => {
    for (const box of boxes) box.checked = all.checked
    tell()
  })
  form.addEventListener('change', (event) => {
    if (event.target.name === 'run') tell()
    if (event.target === every) for (const box of [...boxes, all]) box.disabled = every.checked
  })
  tell()
}
