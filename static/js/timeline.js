// The plan as blocks on a line, with a marker where the run is.
import { make, moment } from './words.js'

/** A planned time: as round as it was written. */
const seconds = (value) => `${Number(value.toFixed(1))} s`

const PHASES = { preflight: 'preflight', baseline: 'baseline', fault: 'faults', recovery: 'recovery' }

/** Steps that overlap go into lanes of their own. */
function lanes(steps) {
  const rows = []
  for (const step of [...steps].sort((a, b) => a.start - b.start)) {
    const row = rows.find((other) => other.at(-1).end <= step.start)
    if (row) row.push(step)
    else rows.push([step])
  }
  return rows
}

export class Timeline {
  /** `moved(seconds)` hears of the marker being dragged, or moved by its keys. */
  constructor(root, ledger, moved) {
    Object.assign(this, { root, ledger, moved, drawn: '', marker: make('i', 'marker') })
    for (const [name, value] of Object.entries({ role: 'slider', tabindex: '0', 'aria-label': 'The moment that the page shows', 'aria-valuemin': '0' })) this.marker.setAttribute(name, value)
    this.marker.addEventListener('keydown', (event) => this._key(event))
    root.addEventListener('pointerdown', (event) => this._drag(event))
    root.addEventListener('pointermove', (event) => { if (root.hasPointerCapture(event.pointerId)) this._to(event) })
  }

  _drag(event) {
    if (event.button !== 0 || !this.ledger.at) return
    this.root.setPointerCapture(event.pointerId)
    this.marker.focus({ preventScroll: true })
    this._to(event)
    event.preventDefault()
  }

  _to({ clientX }) {
    const place = this.root.querySelector('.lane').getBoundingClientRect()
    this.moved(((clientX - place.left) / place.width) * this.end)
  }

  _key(event) {
    const step = event.shiftKey ? 10 : 1
    const to = { ArrowLeft: this.at - step, ArrowRight: this.at + step, PageDown: this.at - 10, PageUp: this.at + 10, Home: 0, End: Infinity }[event.key]
    if (to === undefined) return
    event.preventDefault()
    this.moved(to)
  }

  draw() {
    const { run } = this.ledger
    if (!run?.plan) return
    const signature = [...this.ledger.faults.values()].map((f) => `${f.state}${f.line}`).join() + this.ledger.phase + this.ledger.over + run.plan.duration
    if (signature !== this.drawn) {
      this.drawn = signature
      this._blocks(run)
    }
    this.mark(this.ledger.at)
  }

  _blocks({ plan, workload }) {
    this.end = Math.max(plan.duration, 1)
    const rows = [this._row('phases', plan.phases.map((phase) => this._phase(phase)))]
    if (workload) rows.push(this._row('load', [this._block('load', 0, this.end, `load: ${workload.line || workload.name}`)]))
    for (const lane of lanes(plan.steps)) rows.push(this._row('faults', lane.map((step) => this._step(step))))
    this.root.replaceChildren(...rows, this._scale(), this.marker)
  }

  _row(name, blocks) {
    return make('div', `lane ${name}`, ...blocks)
  }

  _phase({ name, start, end }) {
    const text = name === 'recovery' ? `recovery, at most ${seconds(end - start)}` : PHASES[name] ?? name
    const block = this._block('phase', start, end, text)
    if (name === this.ledger.phase) block.classList.add('now')
    return block
  }

  _step(step) {
    const fault = this.ledger.faults.get(step.id) ?? step
    const block = this._block(`step ${fault.state ?? 'planned'}`, step.start, step.end, `${fault.line} · ${seconds(step.end - step.start)}`)
    block.dataset.fault = step.id
    return block
  }

  _block(kind, start, end, text) {
    const block = make('div', `block ${kind}`, make('span', '', text))
    block.title = `${text}, ${seconds(start)} to ${seconds(end)}`
    block.style.left = `${(start / this.end) * 100}%`
    block.style.width = `${(Math.max(end - start, 0) / this.end) * 100}%`
    return block
  }

  _scale() {
    const step = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600].find((size) => this.end / size <= 8) ?? this.end
    const scale = make('div', 'scale')
    for (let at = 0; at <= this.end; at += step) {
      const tick = make('span', at > this.end * 0.97 ? 'num end' : 'num', `${at} s`)
      tick.style.left = `${(at / this.end) * 100}%`
      scale.append(tick)
    }
    return scale
  }

  mark(at) {
    this.at = at
    this.marker.hidden = !at && !this.ledger.at
    this.marker.setAttribute('aria-valuenow', at.toFixed(1))
    this.marker.setAttribute('aria-valuetext', moment(at))
    this.marker.style.left = `${Math.min(at / this.end, 1) * 100}%`
  }
}
