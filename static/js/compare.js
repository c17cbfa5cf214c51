// Runs over each other, on the time since the first injection of each.
/* global Plotly */
import { colours } from './colours.js'
import { make } from './words.js'

const CONFIG = { displayModeBar: false, responsive: true, showSendToCloud: false, plotlyServerURL: '', doubleClick: false }
const LOOKS = [['ink', 'solid'], ['blue', 'dash'], ['rose', 'dot'], ['brown', 'solid'], ['cyan', 'dash'], ['olive', 'dot']]
const LANE = 0.06 // of the height of the first chart, for the hurt times of one run
const runs = JSON.parse(document.getElementById('compared-data').textContent)
const root = document.getElementById('compared')
const plain = (text) => String(text).replaceAll('&', '&amp;').replaceAll('<', '&lt;')
const divs = {}

const every = (key) => runs.flatMap((run) => run[key]).filter((value) => value !== null)
const range = () => {
  const times = [...every('t'), ...runs.flatMap((run) => run.windows.flatMap(({ from, to }) => [from, to]))]
  return times.length ? [Math.min(...times), Math.max(...times)] : [0, 1]
}

function place(name, title, subtitle) {
  if (divs[name]) return divs[name]
  const head = make('div', 'chart-head', make('h3', '', title), make('span', 'muted small', subtitle))
  const div = make('div', 'chart')
  div.id = `chart-${name}`
  div.setAttribute('role', 'img')
  div.setAttribute('aria-label', `${title}, ${subtitle}, of each run since its first injection`)
  root.append(make('section', 'chart-box', head, div))
  divs[name] = div
  return div
}

/** One lane a run at the top of the chart: when it was hurt. */
function lanes(palette, top) {
  return runs.flatMap((run, i) => run.windows.map(({ from, to, line }) => {
    const high = top - i * LANE
    const low = high - LANE * 0.75
    return {
      type: 'scatter', mode: 'lines', fill: 'toself', hoverinfo: 'text', text: `${run.name}: ${plain(line)}`, yaxis: 'y', showlegend: false,
      x: [from, from, to, to, from], y: [low, high, high, low, low], line: { width: 1, color: palette[LOOKS[i % LOOKS.length][0]] },
      fillcolor: palette['violet-tint'],
      fillpattern: { shape: '/', size: 6, solidity: 0.25, fgcolor: palette.violet, bgcolor: palette['violet-tint'], fillmode: 'overlay' },
    }
  }))
}

/** The range of an axis whose data end below the lanes. */
const below = ([low, high], room) => [low, low + (high - low) / (1 - room)]

function draw(name, title, subtitle, key, yaxis, withLanes = false, last = false) {
  const palette = colours(['ink', 'blue', 'rose', 'brown', 'cyan', 'olive', 'muted', 'line', 'panel', 'violet', 'violet-tint'])
  const compact = root.clientWidth < 560
  const traces = runs.map((run, i) => ({
    type: 'scatter', mode: 'lines', yaxis: 'y2', name: run.name, x: run.t, y: run[key], connectgaps: false,
    line: { color: palette[LOOKS[i % LOOKS.length][0]], dash: LOOKS[i % LOOKS.length][1], width: 1.8, shape: 'hv' },
    hovertemplate: key === 'availability' ? '%{y:.1f} %' : '%{y:.1f} ms',
  }))
  const grid = { gridcolor: palette.line, linecolor: palette.line, tickfont: { color: palette.muted, size: 11 }, fixedrange: true }
  const room = withLanes ? runs.length * LANE + 0.02 : 0
  const height = withLanes ? 180 + runs.length * 12 : last ? 170 : 150
  const div = place(name, title, subtitle)
  div.style.height = `${height}px`
  Plotly.react(div, [...(withLanes ? lanes(palette, 1) : []), ...traces], {
    height,
    margin: { l: compact ? 50 : 66, r: 10, t: 6, b: last ? 24 : 6, autoexpand: false },
    paper_bgcolor: 'rgba(0,0,0,0)', plot_bgcolor: 'rgba(0,0,0,0)', showlegend: false,
    font: { family: 'Inter, system-ui, sans-serif', color: palette.muted, size: 11 },
    hovermode: 'x unified', hoverlabel: { bgcolor: palette.panel, bordercolor: palette.line, font: { color: palette.ink, size: 12 } },
    xaxis: { ...grid, range: range(), ticksuffix: ' s', hoverformat: '.2f', showgrid: false, zeroline: true, zerolinecolor: palette.violet, showticklabels: last, nticks: compact ? 5 : 9 },
    yaxis: { range: [0, 1], visible: false, fixedrange: true },
    yaxis2: { ...grid, zeroline: false, overlaying: 'y', side: 'left', ...yaxis, ...(yaxis.range ? { range: below(yaxis.range, room) } : {}) },
  }, CONFIG)
}

function drawAll() {
  draw('availability', 'Availability', 'share of probes answered well', 'availability', { range: [-4, 104], tickmode: 'array', tickvals: [0, 50, 100], ticktext: ['0 %', '50 %', '100 %'] }, true)
  draw('p50', 'Latency, p50', 'half of the answers were faster', 'p50', { rangemode: 'tozero', ticksuffix: ' ms', nticks: 4 })
  draw('p99', 'Latency, p99', 'one in a hundred was slower', 'p99', { rangemode: 'tozero', ticksuffix: ' ms', nticks: 4 }, false, true)
  root.dataset.drawn = String(runs.length)
}

if (runs.some((run) => run.t.length)) drawAll()
else root.closest('.card').hidden = true
document.addEventListener('themechange', drawAll)
