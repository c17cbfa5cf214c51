// Each chart of a run: what it is called, whether there is anything to show, and what is drawn.
import { answered, asked, availability, errors, heat, lags, latency, LIMIT, operations, probesOf, shares } from './series.js'

const IDENTITIES = ['blue', 'teal', 'slate', 'brown', 'rose', 'olive', 'cyan']
const TROUBLES = ['red', 'amber', 'brown', 'rose', 'olive', 'slate']

/** Plotly reads a few tags in texts; a name is only a name. */
export const plain = (text) => String(text).replaceAll('&', '&amp;').replaceAll('<', '&lt;')

const line = (color, dash) => ({ color, width: 1.8, shape: 'hv', ...(dash ? { dash } : {}) })
const base = { type: 'scatter', mode: 'lines', yaxis: 'y2', connectgaps: false }

function availabilityTraces({ intervals, probes }, c) {
  const tones = [c.teal, c.blue, c.slate, c.brown]
  return probes.map((probe, i) => ({
    ...base, ...availability(intervals, probe), name: plain(probe), key: probes.length > 1 ? probe : '',
    line: line(tones[i % tones.length]), hovertemplate: '%{y:.1f} %',
  }))
}

function latencyTraces({ intervals, probes }, c) {
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

function operationTraces({ intervals }, c) {
  const kinds = [['ok', 'ok', c.teal, ''], ['fail', 'failed', c.red, ''], ['info', 'unknown', c.muted, 'dot']]
  return kinds.map(([kind, name, colour, dash]) => ({
    ...base, ...operations(intervals, kind), name, key: name, line: line(colour, dash), hovertemplate: '%{y:.0f} a second',
  }))
}

function heatTraces({ intervals }, c) {
  const { x, y, z, n } = heat(intervals)
  // without a gap Plotly would scale an image by an inline style, which the policy of the board forbids
  return [{
    type: 'heatmap', yaxis: 'y2', ygap: 0.5, x, y, customdata: n, zmin: 0, zmax: 1, showscale: false, hoverongaps: false,
    z: z.map((row) => row.map((share) => (share === null ? null : Math.sqrt(share)))),
    colorscale: [[0, c['teal-tint']], [1, c['teal-ink']]],
    hovertemplate: '%{customdata} answers<extra></extra>',
  }]
}

/** Areas on top of one another, each with the name of what it counts. */
function stacked(named, tones, template) {
  return named.map(([name, points], i) => ({
    ...base, ...points, name: plain(name), key: name, stackgroup: 'all', hovertemplate: template,
    line: { ...line(tones[i % tones.length]), width: 1 },
  }))
}

function lagTraces({ intervals, nodes }, c) {
  return lags(intervals).map(([name, points]) => ({
    ...base, ...points, name: plain(name), key: name, line: line(identity(c, nodes, name)), hovertemplate: '%{y:.3~s} B',
  }))
}

function shareTraces({ intervals, nodes }, c, counts) {
  const named = shares(intervals, counts)
  return stacked(named, named.map(([name], i) => (nodes.includes(name) ? identity(c, nodes, name) : c[IDENTITIES[i % IDENTITIES.length]])), '%{y:.0f} %')
}

function identity(c, nodes, name) {
  const place = nodes.indexOf(name)
  return c[IDENTITIES[(place < 0 ? nodes.length : place) % IDENTITIES.length]]
}

/** One lane a node: who it takes for the leader, when it took nobody, when it did not answer. */
function leaderTraces({ lanes, at, nodes }, c, chart) {
  const views = nodes.flatMap((node) => lanes.get(node).map((view) => ({ ...view, node }))).slice(-LIMIT)
  const bar = {
    type: 'bar', orientation: 'h', yaxis: 'y2', base: views.map((view) => view.start),
    x: views.map((view) => Math.max((view.end ?? at) - view.start, 0)), y: views.map((view) => view.node),
    textposition: 'inside', insidetextanchor: 'start', textangle: 0, constraintext: 'none', cliponaxis: true,
    insidetextfont: { color: c.panel, size: 11, weight: 600 },
    customdata: views.map((view) => viewInWords(view)), hovertemplate: '%{customdata}<extra></extra>',
    marker: {
      color: views.map((view) => (!view.reachable ? c.line : view.sees ? identity(c, nodes, view.sees) : c.red)),
      pattern: { shape: views.map((view) => (view.reachable && !view.sees ? 'x' : '')), size: 5, solidity: 0.3, fgcolor: c.panel },
    },
  }
  // a name that does not fit into its bar is left out; the hover says it
  const text = views.map((view) => (view.reachable ? plain(view.sees ?? '') : ''))
  bar.text = text.map((name, i) => (chart.pixels(bar.x[i]) > name.length * 7 + 8 ? name : ''))
  return [bar]
}

function viewInWords({ node, sees, reachable, start, end }) {
  const what = !reachable ? 'does not answer' : sees ? `sees ${plain(sees)} as the leader` : 'sees no leader'
  return `${plain(node)} ${what}<br>${start.toFixed(2)} s to ${end === null ? 'now' : `${end.toFixed(2)} s`}`
}

const rising = { rangemode: 'tozero', nticks: 5, tickmode: 'auto' }
const share = { range: [-4, 104], tickmode: 'array', tickvals: [0, 50, 100], ticktext: ['0 %', '50 %', '100 %'] }
const MAGNITUDES = { tickmode: 'array', ticks: '', tickvals: [0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22], ticktext: ['0.1 ms', '0.3 ms', '1 ms', '3 ms', '10 ms', '30 ms', '100 ms', '0.3 s', '1 s', '3 s', '10 s', '30 s'] }

export const PLOTS = [
  { name: 'availability', title: 'Availability', subtitle: 'share of probes answered well', has: () => true, traces: availabilityTraces, yaxis: share, labels: true },
  { name: 'latency', title: 'Latency', subtitle: 'from the scheduled time of each look', has: () => true, traces: latencyTraces, yaxis: { ...rising, ticksuffix: ' ms' } },
  { name: 'heat', title: 'Latency, every answer', subtitle: 'the stronger, the more of the answers of that moment', has: ({ intervals }) => intervals.some((i) => i.heat), traces: heatTraces, yaxis: MAGNITUDES, hovermode: 'closest' },
  { name: 'operations', title: 'Throughput', subtitle: 'operations a second', has: ({ intervals }) => intervals.some((i) => i.ops), traces: operationTraces, yaxis: { ...rising, ticksuffix: '/s' } },
  { name: 'errors', title: 'Errors', subtitle: 'a second, by name', has: ({ intervals }) => intervals.some((i) => i.errors), traces: ({ intervals }, c) => stacked(errors(intervals), TROUBLES.map((name) => c[name]), '%{y:.0f} a second'), yaxis: { ...rising, ticksuffix: '/s' } },
  { name: 'shares', title: 'Who is asked', subtitle: 'share of the operations', has: ({ intervals }) => intervals.some((i) => i.ops?.shares), traces: (data, c) => shareTraces(data, c, asked), yaxis: share },
  { name: 'answered', title: 'Who answered', subtitle: 'share of the looks, as the answers through the balancer tell', has: ({ intervals }) => intervals.some((i) => i.answered), traces: (data, c) => shareTraces(data, c, answered), yaxis: share },
  { name: 'lag', title: 'Replica lag', subtitle: 'bytes behind the leader, at least', has: ({ intervals }) => intervals.some((i) => i.lag), traces: lagTraces, yaxis: ({ intervals }) => ({ ...rising, tickformat: '~s', ticksuffix: ' B', ...(intervals.some(({ lag }) => Math.max(...Object.values(lag ?? {})) > 10) ? {} : { range: [0, 10] }) }) },
  {
    name: 'leader', title: 'Leader', subtitle: 'as each node sees it; red: none, grey: no answer', has: ({ lanes }) => [...lanes.values()].some((lane) => lane.length),
    traces: leaderTraces, hovermode: 'closest', height: ({ nodes }) => nodes.length * 26 + 30,
    yaxis: ({ nodes }) => ({ autorange: 'reversed', type: 'category', categoryorder: 'array', categoryarray: nodes, showgrid: false, tickmode: 'auto' }),
  },
]

/** What the charts are drawn from, looked up once for all of them. */
export function dataOf({ intervals, lanes, at }) {
  return { intervals, lanes, at, probes: probesOf(intervals), nodes: [...lanes.keys()] }
}
