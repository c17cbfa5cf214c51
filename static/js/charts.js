// The charts of a run on one time axis, zoomed and hovered together; when it was hurt is hatched in violet.
/* global Plotly */
import { colours } from './colours.js'
import { dataOf, plain, PLOTS } from './plots.js'
import { make } from './words.js'

const CONFIG = { displayModeBar: false, responsive: true, showSendToCloud: false, plotlyServerURL: '', doubleClick: false }
const TONES = ['teal', 'teal-ink', 'teal-tint', 'amber', 'red', 'violet', 'violet-ink', 'violet-tint', 'blue', 'ink', 'muted',
  'line', 'panel', 'sunk', 'edge', 'slate', 'brown', 'rose', 'olive', 'cyan']
const EVERY = 50 // ms from one drawing to the next, at least
const REST = 1.5 // of the time that a drawing took, before the next
const BUDGET = 9 // ms of a frame that are drawn in
const RIGHT = 10 // px beside the axis

export class Charts {
  /** `root` holds the charts; `ledger` says what to draw; `live`: the axis is as long as the plan. */
  constructor(root, ledger, { live = false } = {}) {
    Object.assign(this, { root, ledger, live, drawnAt: 0, timer: null, divs: {}, zoom: null, moment: null, stale: new Set(), drawing: false, again: false, cost: 0 })
    this.near = live ? new IntersectionObserver((seen) => this._seen(seen), { rootMargin: '300px 0px' }) : null
    document.addEventListener('themechange', () => { this.palette = null; this.draw() })
  }

  /** Draws soon, a few charts a frame, however often it is asked. */
  request() {
    this.again = this.drawing
    this.timer ??= setTimeout(() => this._start(), Math.max(0, this.drawnAt + Math.max(EVERY, this.cost * REST) - performance.now()))
  }

  _start() {
    this.drawing = true
    this.cost = 0
    this._round(this._begin())
  }

  /** Draws all of it now. */
  draw() {
    clearTimeout(this.timer)
    for (const plot of this._begin()) this._chart(plot)
    this._end()
  }

  _begin() {
    this.palette ??= colours(TONES)
    this.compact = this.root.clientWidth < 560
    this.data = dataOf(this.ledger)
    this.upTo = this.ledger.last
    const shown = PLOTS.filter((plot) => plot.has(this.data))
    this.lowest = shown.at(-1).name
    return shown
  }

  _round(waiting) {
    const begun = performance.now()
    while (waiting.length && performance.now() - begun < BUDGET) {
      const plot = waiting.shift()
      if (this.divs[plot.name]?.away) this.stale.add(plot)
      else this._chart(plot)
    }
    this.cost += performance.now() - begun
    if (waiting.length) requestAnimationFrame(() => this._round(waiting))
    else this._end()
  }

  _end() {
    this.timer = null
    this.drawing = false
    this.drawnAt = performance.now()
    if (this.again) this.request() // more has come meanwhile
    this.mark(this.moment)
    this.root.dataset.drawn = String(this.upTo)
  }

  /** What is far from the window is drawn when it comes near. */
  _seen(entries) {
    for (const { target, isIntersecting } of entries) target.away = !isIntersecting
    const due = [...this.stale].filter((plot) => !this.divs[plot.name].away)
    for (const plot of due) {
      this.stale.delete(plot)
      this._chart(plot)
    }
    this.mark(this.moment)
  }

  _chart(plot) {
    const traces = plot.traces(this.data, this.palette, this)
    const height = plot.height?.(this.data) ?? 0
    const div = this._div(plot, height)
    this._key(div, traces.filter((trace) => trace.key))
    Plotly.react(div, [...this._bands(), ...traces.map(({ key, ...trace }) => trace)], this._layout(plot, height), CONFIG)
    if (!div.listens) this._listen(div)
    div.dataset.points = String(Math.max(0, ...traces.map((trace) => trace.x?.length ?? 0)))
  }

  _div({ name, title, subtitle }, height) {
    if (this.divs[name]) return this.divs[name]
    const head = make('div', 'chart-head', make('h3', '', title), make('span', 'muted small', subtitle), make('span', 'chart-key small'))
    const div = make('div', 'chart')
    div.id = `chart-${name}`
    div.setAttribute('role', 'img')
    div.setAttribute('aria-label', `${title}, ${subtitle}, over the time of the run`)
    if (height) div.style.height = `${height}px`
    const section = make('section', 'chart-box', head, make('div', 'chart-frame', div, ...['later', 'now'].map((sign) => Object.assign(make('i', sign), { hidden: true }))))
    section.dataset.chart = name
    this._place(section, name)
    this.divs[name] = div
    this.near?.observe(div)
    return div
  }

  /** In the order of the plots, whichever comes to have something to show first. */
  _place(section, name) {
    const order = PLOTS.map((plot) => plot.name)
    const next = [...this.root.children].find((other) => order.indexOf(other.dataset.chart) > order.indexOf(name))
    this.root.insertBefore(section, next ?? null)
  }

  /** A zoom or a hover in one chart is one in all of them; two clicks show everything again. */
  _listen(div) {
    div.listens = true
    div.on('plotly_relayout', (change) => {
      const [from, to] = [change['xaxis.range[0]'], change['xaxis.range[1]']]
      if (from !== undefined) this._look([Math.max(from, 0), Math.min(to, this.end)])
    })
    div.on('plotly_doubleclick', () => this._look(null))
    div.on('plotly_hover', ({ points, event }) => { if (event) this._hover(div, points[0].xaxis.p2d(event.offsetX - points[0].xaxis._offset)) })
    div.on('plotly_unhover', () => this._hover(div, null))
  }

  _look(zoom) {
    this.zoom = zoom
    this.draw()
  }

  _hover(from, at) {
    for (const div of Object.values(this.divs)) {
      if (div === from || div.away || !div._fullLayout) continue
      if (at === null) Plotly.Fx.unhover(div)
      else Plotly.Fx.hover(div, { xval: at }, ['xy2'])
    }
  }

  _key(div, traces) {
    const told = JSON.stringify(traces.map((trace) => [trace.key, trace.line]))
    if (div.key === told) return
    div.key = told
    div.closest('.chart-box').querySelector('.chart-key').replaceChildren(...traces.map((trace) => {
      const sign = make('i', trace.line?.dash ? 'dashed' : '')
      sign.style.borderTopColor = trace.line?.color ?? 'currentColor'
      return make('span', '', sign, trace.key)
    }))
  }

  get end() {
    const { plan } = this.ledger.run ?? {}
    if (this.ledger.over || !this.live) return Math.max(this.ledger.at, 1)
    return Math.max(plan?.duration ?? 0, this.ledger.at, 1)
  }

  get range() {
    return this.zoom ?? [0, this.end]
  }

  get left() {
    return this.compact ? 50 : 66
  }

  /** How wide so many seconds are. */
  pixels(seconds) {
    const [from, to] = this.range
    return (seconds / (to - from)) * (this.root.clientWidth - this.left - RIGHT)
  }

  /** A line at the moment that the page shows; what came later is pale. */
  mark(moment) {
    this.moment = moment
    if (!this.live) return
    const [from, to] = this.range
    const at = moment ?? this.ledger.at
    const inside = at >= from && at <= to && at > 0
    const place = this.left + this.pixels(at - from)
    for (const div of Object.values(this.divs)) {
      const [later, now] = [div.nextElementSibling, div.nextElementSibling.nextElementSibling]
      now.hidden = !inside || (moment === null && this.ledger.over)
      now.style.transform = `translateX(${place}px)`
      later.hidden = moment === null || at >= to
      later.style.left = `${Math.max(place, this.left)}px`
    }
  }

  _layout({ name, yaxis, labels = false, hovermode = 'x unified' }, height) {
    const { palette: c, compact } = this
    const lowest = name === this.lowest
    const grid = { gridcolor: c.line, zeroline: false, linecolor: c.line, tickfont: { color: c.muted, size: 11 } }
    return {
      height: height || undefined,
      margin: { l: this.left, r: RIGHT, t: labels ? 20 : 6, b: lowest ? 22 : 6, autoexpand: false },
      paper_bgcolor: 'rgba(0,0,0,0)', plot_bgcolor: 'rgba(0,0,0,0)', showlegend: false, bargap: 0.3,
      font: { family: 'Inter, system-ui, sans-serif', color: c.muted, size: 11 }, dragmode: this.live ? 'zoom' : false,
      hovermode, hoverlabel: { bgcolor: c.panel, bordercolor: c.line, font: { color: c.ink, size: 12 } },
      xaxis: { ...grid, range: [...this.range], fixedrange: !this.live, ticks: '', ticksuffix: ' s', hoverformat: '.2f', showgrid: false, showticklabels: lowest, nticks: compact ? 5 : 9, anchor: 'y' },
      // the bands lie under the data: they are drawn on the first pair of axes, from 0 to 1
      yaxis: { range: [0, 1], visible: false, fixedrange: true },
      yaxis2: { ...grid, fixedrange: true, overlaying: 'y', side: 'left', ...(typeof yaxis === 'function' ? yaxis(this.data) : yaxis) },
      shapes: [...this._phases(), ...this._found()],
      annotations: labels ? [...this._labels(), ...this._named()] : [],
    }
  }

  /** The time in which nothing was hurt yet, and that in which it recovered, are shaded. */
  _phases() {
    return this.ledger.phases.filter(({ name }) => ['baseline', 'recovery'].includes(name)).map(({ start, end }) => ({
      type: 'rect', layer: 'below', xref: 'x', yref: 'paper', x0: start, x1: end ?? this.ledger.at, y0: 0, y1: 1,
      fillcolor: this.palette.sunk, opacity: 0.6, line: { width: 0 },
    }))
  }

  /** What has a line of its own: the first violation of the data, and when it was steady again. */
  get _moments() {
    const { violation, back } = this.ledger
    return [
      ...(violation ? [{ at: violation.at, text: 'the data is wrong', tone: 'red', line: { width: 2, dash: 'dash' }, y: 0.16 }] : []),
      ...(back ? [{ at: back.at, text: back.text, tone: 'teal-ink', line: { width: 1.4, dash: 'dot' }, y: 0 }] : []),
    ]
  }

  _found() {
    return this._moments.map(({ at, tone, line }) => (
      { type: 'line', xref: 'x', yref: 'paper', x0: at, x1: at, y0: 0, y1: 1, line: { ...line, color: this.palette[tone] } }
    ))
  }

  _named() {
    return this._moments.map(({ at, text, tone, y }) => {
      const late = at > this.range[0] + (this.range[1] - this.range[0]) * 0.7
      const font = { color: this.palette[tone], size: 11, weight: 600 }
      return { x: at, y, xref: 'x', yref: 'paper', xanchor: late ? 'right' : 'left', yanchor: 'bottom', xshift: late ? -4 : 4, showarrow: false, text, font }
    })
  }

  _bands() {
    const c = this.palette
    return this.ledger.bands.map(({ from, to, line }) => ({
      type: 'scatter', mode: 'lines', hoverinfo: 'skip', fill: 'toself', name: line,
      x: [from, from, to, to, from], y: [0, 1, 1, 0, 0],
      line: { width: 1, color: c.violet, dash: 'dot' }, fillcolor: c['violet-tint'],
      fillpattern: { shape: '/', size: 7, solidity: 0.14, fgcolor: c.violet, bgcolor: c['violet-tint'], fillmode: 'overlay' },
    }))
  }

  /** What was done, in words above its band; where two would overlap the later one is cut short. */
  _labels() {
    const [first, last] = this.range
    // what hurts again and again is named at its first time
    const named = new Set()
    const fresh = ({ id }) => { const step = String(id).split('.')[0]; return !named.has(step) && named.add(step) }
    const inside = ({ from, to }) => to > first && from < last
    const bands = this.ledger.bands.filter(inside).toSorted((a, b) => a.from - b.from).filter(fresh)
    return bands.map(({ from, line }, i) => {
      const begin = Math.max(from, first)
      const next = bands.slice(i + 1).find((band) => band.from > begin)
      const room = Math.floor(this.pixels((next ? next.from : last) - begin) / 6.3)
      const text = line.length > room ? `${line.slice(0, Math.max(room - 1, 3))}…` : line
      const font = { color: this.palette['violet-ink'], size: 11, weight: 600 }
      return { x: begin, y: 1, xref: 'x', yref: 'paper', xanchor: 'left', yanchor: 'bottom', yshift: 1, showarrow: false, text: plain(text), font }
    })
  }
}
