// Timelines of operations, and the way to an operation. While a history is being judged, its page asks again
// until there is a verdict.
import { Lanes } from './lanes.js'

const EVERY = 1000

/** The row of an operation, also where it is folded away. */
function open() {
  const row = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)))
  if (!row) return
  const folded = row.closest('details')
  if (folded) folded.open = true
  row.scrollIntoView({ block: 'center' })
  if (row.matches('tr')) row.focus({ preventScroll: true })
}

async function ask() {
  const answer = await fetch(location.href, { headers: { Accept: 'text/html' } })
  if (!answer.ok || answer.redirected) return
  const page = new DOMParser().parseFromString(await answer.text(), 'text/html')
  const fresh = page.getElementById('busy')
  if (!fresh) location.reload()
  else document.querySelector('#busy p').textContent = fresh.querySelector('p').textContent
}

document.querySelectorAll('.lanes').forEach((figure) => new Lanes(figure))
addEventListener('hashchange', open)
open()
if (document.querySelector('[data-busy]')) setInterval(() => ask().catch(() => {}), EVERY)
