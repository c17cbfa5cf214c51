// The charts of a report, by the same hand as the live page's.
import { Charts } from './charts.js'
import { Ledger } from './ledger.js'

const { duration, faults, events, back } = JSON.parse(document.getElementById('report-data').textContent)
const ledger = new Ledger()

// A report may hold only some of the events: they are taken in order, and numbered anew.
events.toSorted((a, b) => a.n - b.n).forEach((event, i) => ledger.take({ ...event, n: i + 1 }))
ledger.over = true
ledger.back = back
ledger.at = Math.max(ledger.at, duration ?? 0)

/** What was judged goes before what was streamed. */
for (const fault of faults) {
  if (fault.injected_at === null || fault.injected_at === undefined) continue
  ledger.faults.set(fault.id, { ...fault, from: fault.injected_at, to: fault.healed_at ?? null })
}

const root = document.getElementById('charts')
if (ledger.intervals.length) new Charts(root, ledger).draw()
else root.closest('.card').hidden = true
document.body.dataset.lastEvent = String(events.at(-1)?.n ?? 0)
