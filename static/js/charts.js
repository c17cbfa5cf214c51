// The four charts of a run on one time axis, with the times it was hurt hatched in violet.
/* global Plotly */
import { colours } from './colours.js'
import { availability, latency, LIMIT, operations, probesOf } from './series.js'
import { make } from './words.js'

const CONFIG = { displayModeBar: false, responsive: true, showSendToCloud: false, plotlyServerURL: '', doubleClick: false }
const LEADERS = ['blue', 'teal', 'slate', 'brown', 'rose', 'olive', 'cyan']

export class Charts {
  /** `root` holds the charts; `ledger` says what to draw; `ended` is the end of the axis where it is known. */
  constructor(root, ledger, { live = false } = {}) {
    this.root = root
    this.ledger = ledger
    this.live = live
    this.drawnAt = 0
    this.timer = null
    this.divs = {}
    document.addEventListener('themechange', () => this.draw())
  }

  /** Draws soon: at most five times a second, however often it is asked. */
  request() {
    this.timer ??= setTimeout(() => this.draw(), Math.max(0, this.drawnAt + 150 - performance.now()))
  }

  draw() {
    clearTimeout(this.timer)
    this.timer = null
    this.drawnAt = performance.now()
    this.palette = colours(['teal', 'amber', 'red', 'violet', 'violet-ink', 'violet-tint', 'blue', 'ink', 'muted',
      'line', 'panel', 'edge', 'slate', 'brown', 'rose', 'olive', 'cyan'])
    this.compact = this.root.clientWidth < 560
    const { intervals } = this.ledger
    const probes = probesOf(intervals)
    const hasOperations = intervals.some((interval) => interval.ops)
    const hasLeader = [...this.ledger.lanes.values()].some((lane) => lane.length)
    this.lowest = hasLeader ? 'leader' : hasOperations ? 'operations' : 'latency'
    this._chart('availability', 'Availability', 'share of probes answered well', availabilityTraces(this, intervals, probes), {
      range: [-4, 104], tickmode: 'array', tickvals: [0, 50, 100], ticktext: ['0 %', '50 %', '100 %'],
    }, { labels: true })
    this._chart('latency', 'Latency', 'from the scheduled time of each look', latencyTraces(this, intervals, probes), {
      rangemode: 'tozero', ticksuffix: ' ms', nticks: 5, tickmode: 'auto',
    })
    if (hasOperations) {
      this._chart('operations', 'Operations', 'a second', operationTraces(this, intervals), { rangemode: 'tozero', nticks: 5, tickmode: 'auto' })
    }
    if (hasLeader) this._leader()
    this.root.dataset.drawn = String(this.ledger.last)
  }

  _chart(name, title, subtitle, traces, yaxis, options = {}) {
    const div = this._div(name, title, subtitle, options.height)
    const keys = traces.filter((trace) => trace.key)
    this._key(name, keys)
    const layout = this._layout(yaxis, { ...options, lowest: name === this.lowest })
    const points = Math.max(0, ...traces.map((trace) => trace.x?.length ?? 0))
    Plotly.react(div, [...this._bands(), ...traces.map(({ key, ...trace }) => trace)], layout, CONFIG)
    div.dataset.points = String(points)
  }

  _div(name, title, subtitle, height = 0) {
    if (this.divs[name]) return this.divs[name]
    const head = make('div', 'chart-head', make('h3', '', title), make('span', 'muted small', subtitle), make('span', 'chart-key small'))
    const div = make('div', 'chart')
    div.id = `chart-${name}`
    div.setAttribute('role', 'img')
    div.setAttribute('aria-label', `${title}, ${subtitle}, over the time of the run`)
    if (height) div.style.height = `${height}px`
    const section = make('section', 'chart-box', head, div)
    section.dataset.chart = name
    this.root.append(section)
    this.divs[name] = div
    return div
  }

  _key(name, traces) {
    const place = this.divs[name].previousElementSibling.querySelector('.chart-key')
    place.replaceChildren(...traces.map((trace) => {
      const sign = make('i', trace.line?.dash ? 'dashed' : '')
      sign.style.borderTopColor = trace.line?.color ?? trace.marker?.color ?? 'currentColor'
      return make('span', '', sign, trace.key)
    }))
  }

  get end() {
    const { plan } = this.ledger.run ?? {}
    if (this.ledger.over || !this.live) return Math.max(this.ledger.at, 1)
    return Math.max(plan?.duration ?? 0, this.ledger.at, 1)
  }

  _layout(yaxis, { labels = false, height = 0, lowest = false, hovermode = 'x unified' } = {}) {
    const { palette: c, compact } = this
    const grid = { gridcolor: c.line, zeroline: false, linecolor: c.line, tickfont: { color: c.muted, size: 11 }, fixedrange: true }
    return {
      height: height || undefined,
      margin: { l: compact ? 50 : 66, r: 10, t: labels ? 20 : 6, b: lowest ? 22 : 6, autoexpand: false },
      paper_bgcolor: 'rgba(0,0,0,0)', plot_bgcolor: 'rgba(0,0,0,0)', showlegend: false, bargap: 0.3,
      font: { family: 'Inter, system-ui, sans-serif', color: c.muted, size: 11 },
      hovermode, hoverlabel: { bgcolor: c.panel, bordercolor: c.line, font: { color: c.ink, size: 12 } },
      xaxis: { ...grid, range: [0, this.end], ticksuffix: ' s', hoverformat: '.2f', showgrid: false, showticklabels: lowest, nticks: compact ? 5 : 9, anchor: 'y' },
      // the bands lie under the data: they are drawn on the first pair of axes, from 0 to 1
      yaxis: { range: [0, 1], visible: false, fixedrange: true },
      yaxis2: { ...grid, overlaying: 'y', side: 'left', ...yaxis },
      shapes: this._now(),
      annotations: labels ? this._labels() : [],
    }
  }

  _now() {
    if (!this.live || this.ledger.over || !this.ledger.at) return []
    const line = { color: this.palette.blue, width: 1.5 }
    return [{ type: 'line', xref: 'x', yref: 'paper', x0: this.ledger.at, x1: this.ledger.at, y0: 0, y1: 1, line }]
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
    const width = this.root.clientWidth - (this.compact ? 60 : 76)
    const place = (time) => (time / this.end) * width
    // what hurts again and again is named at its first time
    const named = new Set()
    const first = ({ id }) => { const step = String(id).split('.')[0]; return !named.has(step) && named.add(step) }
    const bands = this.ledger.bands.toSorted((a, b) => a.from - b.from).filter(first)
    return bands.map(({ from, line }, i) => {
      const next = bands.slice(i + 1).find((band) => band.from > from)
      const room = Math.floor(((next ? place(next.from) : width) - place(from)) / 6.3)
      const text = line.length > room ? `${line.slice(0, Math.max(room - 1, 3))}…` : line
      const font = { color: this.palette['violet-ink'], size: 11, weight: 600 }
      return { x: from, y: 1, xref: 'x', yref: 'paper', xanchor: 'left', yanchor: 'bottom', yshift: 1, showarrow: false, text: plain(text), font }
    })
  }

  /** One lane a node: who it takes for the leader, when it took nobody, when it did not answer. */
  _leader() {
    const { lanes, at } = this.ledger
    const nodes = [...lanes.keys()]
    const views = nodes.flatMap((node) => lanes.get(node).map((view) => ({ ...view, node }))).slice(-LIMIT)
    const bar = {
      type: 'bar', orientation: 'h', yaxis: 'y2', base: views.map((view) => view.start),
      x: views.map((view) => Math.max((view.end ?? at) - view.start, 0)), y: views.map((view) => view.node),
      text: views.map((view) => (view.reachable ? plain(view.sees ?? '') : '')),
      textposition: 'inside', insidetextanchor: 'start', textangle: 0, constraintext: 'none', cliponaxis: true,
      insidetextfont: { color: this.palette.panel, size: 11, weight: 600 },
      customdata: views.map((view) => viewInWords(view)), hovertemplate: '%{customdata}<extra></extra>',
      marker: {
        color: views.map((view) => this._leaderColour(view, nodes)),
        pattern: { shape: views.map((view) => (view.reachable && !view.sees ? 'x' : '')), size: 5, solidity: 0.3, fgcolor: this.palette.panel },
      },
    }
    // a name that does not fit into its bar is left out; the hover says it
    const width = this.root.clientWidth - 70
    bar.text = bar.text.map((text, i) => ((bar.x[i] / this.end) * width > text.length * 7 + 8 ? text : ''))
    const yaxis = { autorange: 'reversed', type: 'category', categoryorder: 'array', categoryarray: nodes, showgrid: false, tickmode: 'auto' }
    const height = nodes.length * 26 + 30
    this._chart('leader', 'Leader', 'as each node sees it; red: none, grey: no answer', [bar], yaxis, { height, hovermode: 'closest' })
  }

  _leaderColour(view, nodes) {
    if (!view.reachable) return this.palette.line
    if (!view.sees) return this.palette.red
    const place = nodes.indexOf(view.sees)
    return this.palette[LEADERS[(place < 0 ? nodes.length : place) % LEADERS.length]]
  }
}

function viewInWords({ node, sees, reachable, start, end }) {
  const what = !reachable ? 'does not answer' : sees ? `sees ${plain(sees)} as the leader` : 'sees no leader'
  return `${plain(node)} ${what}<br>${start.toFixed(2)} s to ${end === null ? 'now' : `${end.toFixed(2)} s`}`
}

/** Plotly reads a few tags in texts; a name is only a name. */
const plain = (text) => String(text).replaceAll('&', '&amp;').replaceAll('<', '&lt;')

const line = (color, dash) => ({ color, width: 1.8, shape: 'hv', ...(dash ? { dash } : {}) })
const base = { type: 'scatter', mode: 'lines', yaxis: 'y2', connectgaps: false }

function availabilityTraces({ palette: c }, intervals, probes) {
  const tones = [c.teal, c.blue, c.slate, c.brown]
  return probes.map((probe, i) => ({
    ...base, ...availability(intervals, probe), name: plain(probe), key: probes.length > 1 ? probe : '',
    line: line(tones[i % tones.length]), hovertemplate: '%{y:.1f} %',
  }))
}

function latencyTraces({ palette: c }, intervals, probes) {
  const tones = [c.amber, c.blue, c.slate, c.brown]
  return probes.flatMap((probe, i) => {
    const many = probes.length > 1
    const name = (quantile) => (many ? `${probe} ${quantile}` : quantile)
    const template = { hovertemplate: '%{y:.1f} ms' }
    return [
      { ...base, ...latency(intervals, probe, 'p50'), ...template, name: plain(name('p50')), key: name('p50'), line: line(many ? tones[i % 4] : c.blue, many ? 'dot' : '') },
      { ...base, ...latency(intervals, probe, 'p99'), ...template, name: plain(name('p99')), key: name('p99'), line: line(tones[i % 4]) },
    ]
  })
}

function operationTraces({ palette: c }, intervals) {
  const kinds = [['ok', 'ok', c.teal, ''], ['fail', 'failed', c.red, ''], ['info', 'unknown', c.muted, 'dot']]
  return kinds.map(([kind, name, colour, dash]) => ({
    ...base, ...operations(intervals, kind), name, key: name, line: line(colour, dash), hovertemplate: '%{y:.0f} a second',
  }))
}
