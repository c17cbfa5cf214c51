// What the numbered events of a run add up to. Knows nothing of the page.

import { thinned } from './series.js'

export class Ledger {
  constructor() {
    this.last = 0
    this.at = 0
    this.run = null
    this.phase = ''
    this.phases = []
    this.faults = new Map()
    this.intervals = []
    this.lanes = new Map()
    this.facts = new Map()
    this.totals = { good: 0, total: 0, ok: 0, fail: 0, info: 0 }
    this.violation = null
    this.back = null // when it was steady again, as the report tells it
    this.verdict = null
    this.over = false
    this.told = [] // all but the intervals
  }

  /** The same as it was known at a past moment. */
  until(at) {
    const past = new Ledger()
    for (const event of this.told) {
      if (event.at > at) continue
      past.last = event.n - 1
      past.take(event)
    }
    for (const interval of this.intervals) {
      if (interval.t + interval.width > at + 1e-6) break
      past.intervals.push(interval)
      past._count(interval)
    }
    Object.assign(past, { at, last: this.last })
    return past
  }

  /** Takes the next event; false where it is not the next: the caller then asks for what is missing. */
  take(event) {
    if (event.n <= this.last) return true
    if (event.n !== this.last + 1) return false
    this.last = event.n
    if (event.kind !== 'interval') {
      this.at = Math.max(this.at, event.at)
      this.told.push(event)
    }
    this[`_${event.kind}`]?.(event.data, event.at)
    return true
  }

  _run(data) {
    this.run = { ...data, plan: structuredClone(data.plan) } // an extension moves what is planned
    for (const step of data.plan?.steps ?? []) {
      this.faults.set(step.id, { ...step, state: 'planned', from: null, to: null, text: '', planned: step })
    }
    for (const node of data.nodes ?? []) this.lanes.set(node, [])
  }

  _phase(data, at) {
    const open = this.phases.at(-1)
    if (open && open.end === null) open.end = at
    this.phase = data.phase
    this.phases.push({ name: data.phase, start: at, end: null })
    if (data.phase === 'done') this.over = true
  }

  _fault(data, at) {
    const fault = this.faults.get(data.id) ?? { from: null, to: null }
    this.faults.set(data.id, fault)
    for (const key of ['id', 'fault', 'line', 'nodes', 'state', 'text', 'expires_at', 'links']) {
      if (data[key] !== undefined) fault[key] = data[key]
    }
    if (data.state !== 'planned') fault.from ??= at
    if (data.state === 'clean' || data.state === 'unverified') fault.to ??= at
  }

  _interval(data) {
    this.intervals.push(data)
    this.intervals = thinned(this.intervals)
    this.at = Math.max(this.at, data.t + data.width)
    this._count(data)
  }

  _count(data) {
    for (const probe of Object.values(data.probes ?? {})) {
      this.totals.good += probe.good
      this.totals.total += probe.total
    }
    for (const kind of ['ok', 'fail', 'info']) this.totals[kind] += data.ops?.[kind] ?? 0
  }

  _leader(data, at) {
    if (!this.lanes.has(data.node)) this.lanes.set(data.node, [])
    const lane = this.lanes.get(data.node)
    const open = lane.at(-1)
    if (open) open.end = at
    lane.push({ start: at, end: null, sees: data.sees, reachable: data.reachable !== false })
  }

  /** Somebody has made a fault, or the recovery, longer: what is planned after it moves. */
  _extension({ what, seconds }) {
    const { plan } = this.run ?? {}
    if (!plan) return
    const phase = (name) => plan.phases.find((one) => one.name === name)
    const step = plan.steps.find((one) => one.id === what)
    if (step) step.end += seconds
    const [fault, recovery] = [phase('fault'), phase('recovery')]
    const moved = step && fault ? Math.max(step.end - fault.end, 0) : 0
    if (fault) fault.end += moved
    if (recovery) Object.assign(recovery, { start: recovery.start + moved, end: recovery.end + moved + (step ? 0 : seconds) })
    plan.duration += moved + (step ? 0 : seconds)
  }

  _fact(data) {
    this.facts.set(data.name, data)
  }

  /** Only the first: the others follow from it, or are told by the verdict. */
  _violation(data, at) {
    this.violation ??= { ...data, at }
  }

  _verdict(data) {
    this.verdict = data
  }

  /** Each step as it is now: its latest time that has begun, which one that is, and of how many. */
  get steps() {
    const steps = new Map()
    for (const fault of this.faults.values()) {
      const id = String(fault.id).split('.')[0]
      steps.set(id, [...(steps.get(id) ?? []), fault])
    }
    return [...steps.values()].map((times) => {
      const begun = times.filter((fault) => fault.state !== 'planned')
      const worst = begun.find((fault) => ['stuck', 'unverified'].includes(fault.state))
      return [worst ?? begun.at(-1) ?? times[0], begun.length, times.length]
    })
  }

  /** The times in which the target was hurt, up to now. */
  get bands() {
    return [...this.faults.values()]
      .filter((fault) => fault.from !== null)
      .map((fault) => ({ from: fault.from, to: fault.to ?? this.at, open: fault.to === null, line: fault.line, id: fault.id }))
  }

  /** The leader that most of the reachable nodes see now. */
  get leader() {
    const votes = new Map()
    for (const lane of this.lanes.values()) {
      const view = lane.at(-1)
      if (view?.reachable && view.sees) votes.set(view.sees, (votes.get(view.sees) ?? 0) + 1)
    }
    return [...votes].sort((a, b) => b[1] - a[1])[0]?.[0] ?? null
  }
}
