// The map of everything: a box for each service with its nodes in it, arrows to what it depends on.
import cytoscape from '../vendor/cytoscape/cytoscape.esm.min.mjs'
import { colours } from './colours.js'
import { CLIENTS, edges, label, NAMES, node, percent, state, styles } from './map.js'

const PAD = 16 // of a box around its nodes
const HEAD = 26 // its name, above it
const GAP = { x: 84, y: 34 }
const root = document.getElementById('world')
const told = document.getElementById('world-told')
const key = (service, name) => `${service.id}\u0000${name}`

/** The nodes of a service, in rows of at most `across`; sizes in pixels, from its upper left corner. */
function box(service, across) {
  const drawn = service.nodes.map((one) => node(key(service, one.name), label(one), `${state(one)}${one.leads ? ' leads' : ''}`))
  const width = Math.max(...drawn.map((one) => one.data.width), 60)
  const height = Math.max(...drawn.map((one) => one.data.height), 40)
  const columns = Math.min(across, drawn.length)
  const step = { x: width + 18, y: height + 18 }
  drawn.forEach((one, i) => {
    one.data.parent = `service ${service.id}`
    one.data.url = service.nodes[i].url
    one.offset = { x: PAD + width / 2 + (i % columns) * step.x, y: HEAD + PAD + height / 2 + Math.floor(i / columns) * step.y }
  })
  const rows = Math.ceil(drawn.length / columns)
  return {
    service, drawn, width: columns * step.x - 18 + 2 * PAD, height: rows * step.y - 18 + 2 * PAD + HEAD,
  }
}

/** Where each box stands: columns by how far it is from those nobody needs, or rows where there is no room. */
function places(boxes, width) {
  const linked = new Set(boxes.flatMap(({ service }) => (service.needs.length ? [service.id, ...service.needs] : [])))
  const columns = []
  for (const one of boxes.filter(({ service }) => linked.has(service.id))) (columns[one.service.level] ??= []).push(one)
  const levels = columns.filter(Boolean)
  const wide = levels.reduce((sum, level) => sum + Math.max(...level.map((one) => one.width)) + GAP.x, -GAP.x) <= width
  let bottom = 8
  if (wide && levels.length) {
    const tall = Math.max(...levels.map((level) => level.reduce((sum, one) => sum + one.height + GAP.y, -GAP.y)))
    const spare = width - 16 - levels.reduce((sum, level) => sum + Math.max(...level.map((one) => one.width)), 0)
    const gap = Math.min(spare / Math.max(levels.length - 1, 1), 220)
    let x = 8 + Math.max(0, (spare - gap * (levels.length - 1)) / 2)
    for (const level of levels) {
      let y = 8 + (tall - level.reduce((sum, one) => sum + one.height + GAP.y, -GAP.y)) / 2
      for (const one of level) { Object.assign(one, { x, y }); y += one.height + GAP.y }
      x += Math.max(...level.map((one) => one.width)) + gap
    }
    bottom += tall + GAP.y
  } else for (const level of levels) bottom = flow(level, bottom, width)
  return flow(boxes.filter(({ service }) => !linked.has(service.id)), bottom, width)
}

/** Boxes one beside the other, in as many rows as it takes; returns where the next row would begin. */
function flow(boxes, top, width) {
  let [x, y, tallest] = [8, top, 0]
  for (const one of boxes) {
    if (x > 8 && x + one.width > width - 8) { x = 8; y += tallest + GAP.y; tallest = 0 }
    Object.assign(one, { x, y })
    x += one.width + 28
    tallest = Math.max(tallest, one.height)
  }
  return boxes.length ? y + tallest + GAP.y : top
}

/** What is cut, and among the nodes of a service with a leader every link. */
function links({ service }) {
  const cluster = service.nodes.some((one) => one.leads)
  return edges({ nodes: service.nodes, cuts: service.cuts, clients: false })
    .filter((edge) => cluster || edge.classes.startsWith('cut'))
    .map((edge) => ({ ...edge, data: {
      id: `${service.id} ${edge.data.id}`, source: key(service, edge.data.source), target: key(service, edge.data.target),
    } }))
}

/** An arrow to each node of what a service needs, with its share of the answers; else one to the whole of it. */
function needs(service, services) {
  return services.filter((other) => service.needs.includes(other.id)).flatMap((other) => {
    const sharing = other.nodes.filter((one) => service.answered[one.name] !== undefined)
    const arrow = (target, more) => ({ group: 'edges', classes: 'needs', data: { id: `needs ${service.id} ${target}`, source: `service ${service.id}`, target, ...more }, ...(more && { classes: 'needs shared' }) })
    return sharing.length
      ? sharing.map((one) => arrow(key(other, one.name), { share: percent(service.answered[one.name]) }))
      : [arrow(`service ${other.id}`)]
  })
}

/** A service that clients cannot reach at a node says so on that node. */
function cutOff(service, name) {
  return service.cuts.some(([from, to]) => (from === CLIENTS && to === name) || (to === CLIENTS && from === name))
}

function more(c) {
  return [
    { selector: 'node.service', style: {
      shape: 'round-rectangle', 'background-color': c.paper, 'background-opacity': 1, 'border-color': c.line, 'border-width': 1,
      padding: PAD, 'text-valign': 'top', 'text-halign': 'center', 'text-margin-y': -5, label: 'data(label)', 'font-size': 13, color: c.ink, 'compound-sizing-wrt-labels': 'exclude',
    } },
    { selector: 'node.service.bad', style: { 'border-color': c.red, 'border-style': 'dashed' } },
    { selector: 'node.service.cutting', style: { 'border-color': c.violet } },
    { selector: 'edge.needs', style: {
      'curve-style': 'bezier', width: 2, 'line-color': c.muted, 'target-arrow-color': c.muted, 'target-arrow-shape': 'triangle', 'arrow-scale': 1.2,
    } },
    { selector: 'node.over', style: { 'border-width': 3 } },
  ]
}

const cy = cytoscape({
  container: root, autoungrabify: true, autounselectify: true, boxSelectionEnabled: false, userZoomingEnabled: false, userPanningEnabled: false,
})
root.querySelectorAll('canvas').forEach((canvas) => canvas.setAttribute('aria-hidden', 'true'))
const dress = () => { const c = colours(NAMES); cy.style([...styles(c), ...more(c)]) }
let shown = ''

function draw(again = false) {
  const text = told.querySelector('[data-world]')?.dataset.world
  if (!text || (text === shown && !again)) return
  shown = text
  const { services } = JSON.parse(text)
  for (const service of services) for (const one of service.nodes) if (cutOff(service, one.name)) one.note = '✕ clients'
  const width = root.clientWidth
  const boxes = services.map((service) => box(service, width < 600 ? 2 : 3))
  const bottom = places(boxes, width)
  root.style.height = `${bottom}px`
  cy.batch(() => {
    cy.elements().remove()
    cy.add(boxes.map(({ service }) => ({ group: 'nodes', data: { id: `service ${service.id}`, label: service.name, url: service.url, width: 1, height: 1 }, classes: `service ${service.state}${service.cuts.length ? ' cutting' : ''}` })))
    for (const one of boxes) cy.add(one.drawn.map(({ offset, ...drawn }) => ({ ...drawn, position: { x: one.x + offset.x, y: one.y + offset.y } })))
    cy.add(boxes.flatMap(links))
    cy.add(services.flatMap((service) => needs(service, services)))
  })
  cy.resize()
  cy.reset()
  const extent = cy.elements().boundingBox()
  if (extent.x2 > width) cy.fit(cy.elements(), 8)
  root.dataset.drawn = String(services.length)
}

cy.on('tap', 'node', ({ target }) => { if (target.data('url')) location.assign(target.data('url')) })
cy.on('mouseover', 'node', ({ target }) => { target.addClass('over'); root.style.cursor = 'pointer' })
cy.on('mouseout', 'node', ({ target }) => { target.removeClass('over'); root.style.cursor = '' })
document.addEventListener('themechange', dress)
new MutationObserver(() => draw()).observe(told, { childList: true, subtree: true })
let across = 0
new ResizeObserver(() => {
  if (root.clientWidth === across) return
  across = root.clientWidth
  draw(true)
}).observe(root)
dress()
draw()
