// The home page: how long services took to recover, run by run. Plotly is fetched when the rest is there.
/* global Plotly */
import { colours } from './colours.js'
import { seconds } from './words.js'

const root = document.getElementById('trend')
const empty = document.getElementById('no-trend')
const TONES = ['teal', 'blue', 'slate', 'brown', 'rose', 'olive', 'cyan']
const SYMBOLS = ['circle', 'square', 'diamond', 'triangle-up', 'cross', 'star', 'x']
const CONFIG = { displayModeBar: false, responsive: true, showSendToCloud: false, plotlyServerURL: '', doubleClick: false }
const plain = (text) => String(text).replaceAll('&', '&amp;').replaceAll('<', '&lt;')

let shown = ''

const stored = () => document.querySelector('[data-trend]')?.dataset.trend ?? '[]'

function load(address) {
  return new Promise((resolve, reject) => {
    const script = document.createElement('script')
    script.src = address
    script.addEventListener('load', resolve)
    script.addEventListener('error', reject)
    document.head.append(script)
  })
}

function trace(line, i, c) {
  const tone = c[TONES[i % TONES.length]]
  return {
    type: 'scatter', mode: 'lines+markers', name: plain(line.name), x: line.x, y: line.y, customdata: line.runs.map((run, j) => [run, seconds(line.y[j])]),
    line: { color: tone, width: 1.8 }, marker: { color: tone, size: 6, symbol: SYMBOLS[i % SYMBOLS.length] },
    hovertemplate: '%{customdata[1]}, run %{customdata[0]}',
  }
}

const LEAST = 3_600_000 // ms that the time axis spans: of one run alone it would show single seconds

function span(lines) {
  const times = lines.flatMap(({ x }) => x.map((at) => Date.parse(at)))
  const [first, last] = [Math.min(...times), Math.max(...times)]
  const pad = Math.max((last - first) * 0.03, (LEAST - (last - first)) / 2)
  return [first - pad, last + pad].map((at) => new Date(at).toISOString())
}

function draw() {
  const text = stored()
  shown = text
  const lines = JSON.parse(text)
  root.hidden = !lines.length
  empty.hidden = Boolean(lines.length)
  if (!lines.length) return
  const c = colours([...TONES, 'muted', 'line', 'panel', 'ink'])
  const font = { family: 'Inter, system-ui, sans-serif', size: 12, color: c.muted }
  Plotly.react(root, lines.map((line, i) => trace(line, i, c)), {
    margin: { l: 44, r: 10, t: 4, b: 28 }, height: 220, paper_bgcolor: 'transparent', plot_bgcolor: 'transparent', font,
    showlegend: true, legend: { orientation: 'h', y: -0.22, font }, hovermode: 'x unified', hoverlabel: { bgcolor: c.panel, bordercolor: c.line, font: { color: c.ink } },
    xaxis: { type: 'date', range: span(lines), gridcolor: 'transparent', linecolor: c.line, fixedrange: true, tickformatstops: [{ dtickrange: [null, 59_000], value: '%H:%M:%S' }, { dtickrange: [59_000, 86_000_000], value: '%H:%M' }, { dtickrange: [86_000_000, null], value: '%e %b' }], nticks: root.clientWidth < 500 ? 4 : 8 },
    yaxis: { range: [0, 1.15 * Math.max(...lines.flatMap((line) => line.y))], gridcolor: c.line, ticksuffix: ' s', nticks: 5, fixedrange: true, zeroline: false },
  }, CONFIG)
  root.dataset.points = String(lines.reduce((sum, line) => sum + line.x.length, 0))
}

async function begin() {
  if (stored() === '[]') return
  if (!window.Plotly) await load(root.dataset.plotly)
  draw()
}

document.addEventListener('themechange', () => { if (window.Plotly) draw() })
document.addEventListener('refreshed', () => { if (stored() !== shown) begin() })
if (document.readyState === 'complete') begin()
else window.addEventListener('load', begin)
