// The figures of many runs, one point a run, with the changes of the target marked.
/* global Plotly */
import { colours } from './colours.js'
import { make } from './words.js'

const CONFIG = { displayModeBar: false, responsive: true, showSendToCloud: false, plotlyServerURL: '', doubleClick: false }
const SIGNS = { held: ['teal', 'circle'], violated: ['red', 'square'], unknown: ['muted', 'circle-open'] }
const plain = (text) => String(text).replaceAll('&', '&amp;').replaceAll('<', '&lt;')

for (const root of document.querySelectorAll('[data-trend]')) {
  const data = JSON.parse(document.getElementById(root.dataset.trend).textContent)
  const drawAll = () => draw(root, data)
  drawAll()
  document.addEventListener('themechange', drawAll)
}

function place(root, name, title, subtitle) {
  const found = root.querySelector(`[data-chart=${name}] .chart`)
  if (found) return found
  const head = make('div', 'chart-head', make('h3', '', title), make('span', 'muted small', subtitle))
  const div = make('div', 'chart')
  div.setAttribute('role', 'img')
  div.setAttribute('aria-label', `${title} of each run, ${subtitle}; the table holds the figures`)
  const section = make('section', 'chart-box', head, div)
  section.dataset.chart = name
  root.append(section)
  return div
}

function draw(root, data) {
  const c = colours(['ink', 'teal', 'red', 'muted', 'blue', 'line', 'panel'])
  const compact = root.clientWidth < 560
  const x = data.run.map((_, i) => i)
  const label = data.run.map((run, i) => `run ${run}, ${data.at[i].slice(0, 10)}: ${data.verdict[i]}`)
  const sign = data.verdict.map((verdict) => SIGNS[verdict] ?? SIGNS.unknown)
  const marker = { color: sign.map(([colour]) => c[colour]), symbol: sign.map(([, symbol]) => symbol), size: x.length > 200 ? 5 : 8, line: { width: 1.5 } }
  const dots = (y, unit, error) => ({
    type: 'scatter', mode: 'markers', x, y, marker, customdata: label, hovertemplate: `%{customdata}<br>%{y:.2f} ${unit}<extra></extra>`,
    ...(error ? { error_y: { type: 'data', array: error, thickness: 1, width: 2, color: c.muted } } : {}),
  })
  const mean = (y) => ({ type: 'scatter', mode: 'lines', x, y, hoverinfo: 'skip', line: { color: c.blue, width: 1.8 } })
  const charts = [
    ['recover', 'Recovered in', 'from injected until steady again; the line: MTTR', [mean(data.mttr), dots(data.recover, 's', data.uncertainty)], { ticksuffix: ' s', rangemode: 'tozero' }],
    ['detect', 'Detected in', 'from injected to the first bad reading; the line: MTTD', [mean(data.mttd), dots(data.detect, 's')], { ticksuffix: ' s', rangemode: 'tozero' }],
    ['availability', 'Availability', 'of the whole run', [dots(data.availability.map((share) => (share === null ? null : share * 100)), '%')], { ticksuffix: ' %', range: shares(data.availability) }],
  ]
  charts.forEach(([name, title, subtitle, traces, yaxis], i) => {
    const last = i === charts.length - 1
    const div = place(root, name, title, subtitle)
    const drawn = layout(data, c, compact, yaxis, i === 0, last)
    div.style.height = `${drawn.height}px`
    Plotly.react(div, traces, drawn, CONFIG)
  })
  root.dataset.drawn = String(x.length)
}

/** From a little below the worst to 100 %, of which there is no more. */
function shares(known) {
  const least = Math.min(...known.filter((share) => share !== null), 1) * 100
  const span = Math.max(100 - least, 0.5)
  return [Math.max(least - span * 0.15, -2), 100 + span * 0.12]
}

function layout(data, c, compact, yaxis, named, last) {
  const grid = { gridcolor: c.line, zeroline: false, linecolor: c.line, tickfont: { color: c.muted, size: 11 }, fixedrange: true }
  const every = Math.ceil(data.run.length / (compact ? 4 : 10))
  const ticks = data.run.map((_, i) => i).filter((i) => i % every === 0)
  const places = new Map(data.run.map((run, i) => [run, i]))
  const marks = data.marks.slice(-30).map((mark) => ({ ...mark, x: places.get(mark.run) - 0.5 }))
  const font = { color: c.muted, size: 11 }
  return {
    height: named ? 190 : last ? 180 : 150, margin: { l: compact ? 50 : 66, r: 12, t: named && marks.length ? 22 : 8, b: last ? 30 : 8, autoexpand: false },
    paper_bgcolor: 'rgba(0,0,0,0)', plot_bgcolor: 'rgba(0,0,0,0)', showlegend: false, hovermode: 'closest',
    font: { family: 'Inter, system-ui, sans-serif', ...font }, hoverlabel: { bgcolor: c.panel, bordercolor: c.line, font: { color: c.ink, size: 12 } },
    xaxis: { ...grid, showgrid: false, range: [-0.7, data.run.length - 0.3], tickmode: 'array', tickvals: ticks, ticktext: ticks.map((i) => `run ${data.run[i]}`), showticklabels: last },
    yaxis: { ...grid, nticks: 5, ...yaxis },
    shapes: marks.map(({ x }) => ({ type: 'line', xref: 'x', yref: 'paper', x0: x, x1: x, y0: 0, y1: 1, line: { color: c.muted, width: 1, dash: 'dot' } })),
    annotations: named ? shown(marks, data.run.length, compact).map(({ x, text }) => ({ x, y: 1, xref: 'x', yref: 'paper', xanchor: 'left', yanchor: 'bottom', showarrow: false, text: plain(text), font })) : [],
  }
}

/** The names of marks that have room before the next name; the table has them all. */
function shown(marks, length, compact) {
  const room = (compact ? 45 : 130) / length
  let end = -Infinity
  return marks.filter(({ x, text }) => {
    if (x < end) return false
    end = x + (text.length * 1.05) / room
    return true
  })
}
