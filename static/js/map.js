// The map of a service: its nodes, the links between them, and which of them are cut.
import cytoscape from '../vendor/cytoscape/cytoscape.esm.min.mjs'
import { colours } from './colours.js'

export const CLIENTS = 'clients'
export const NAMES = ['ink', 'muted', 'panel', 'paper', 'line', 'edge', 'violet', 'violet-ink', 'violet-tint', 'teal',
  'teal-ink', 'teal-tint', 'amber', 'amber-ink', 'amber-tint', 'red', 'red-ink', 'red-tint', 'grey-tint', 'blue']

const key = (from, to) => `${from}\u0000${to}`

/** The links among `nodes` and with the clients, where these are asked for. */
export function edges({ nodes, cuts = [], clients = true, asked = null }) {
  const cut = new Set(cuts.map(([from, to]) => key(from, to)))
  const names = [...(clients ? [CLIENTS] : []), ...nodes.map((node) => node.name)]
  const found = []
  const add = (source, target, classes) => {
    const share = source === CLIENTS && asked ? percent(asked[target] ?? 0) : ''
    found.push({ group: 'edges', classes: `${classes}${share ? ' shared' : ''}`, data: { id: `${classes} ${key(source, target)}`, source, target, share } })
  }
  names.forEach((one, i) => names.slice(i + 1).forEach((other) => {
    const side = one === CLIENTS ? ' client' : ''
    const there = cut.has(key(one, other))
    const back = cut.has(key(other, one))
    if (there && back) add(one, other, `cut${side}`)
    else if (!there && !back) add(one, other, `whole${side}`)
    else {
      const [from, to] = there ? [one, other] : [other, one]
      add(from, to, `cut way${side}`)
      add(to, from, `whole way${side}`)
    }
  }))
  return found
}

/** Servers behind a balancer, each with its share of the answers on the arrow to it. */
export function behind({ nodes, answered = null }) {
  const names = Object.keys(answered ?? {}).sort()
  const through = nodes.length === 1 ? nodes[0].name : CLIENTS
  const known = new Set(nodes.map(({ name }) => name))
  return names.filter((name) => !known.has(name)).flatMap((name) => [
    node(`behind ${name}`, name, 'behind'),
    { group: 'edges', classes: 'shared', data: { id: `share ${name}`, source: through, target: `behind ${name}`, share: percent(answered[name]) } },
  ])
}

/** Whole percents: the arrows tell how it is shared out, the chart how exactly. */
export const percent = (share) => `${Math.round(share * 100)} %`

/** `up`: true, false, or null where nobody looked; `failing`: it answers, but not well. */
export function state(node) {
  if (node.hurt) return 'hurt'
  if (node.up === true) return 'up'
  if (node.failing) return 'failing'
  return node.up === false ? 'down' : 'unseen'
}

const WORDS = { hurt: 'hurt', up: '', failing: 'answers badly', down: 'down', unseen: 'not seen' }

export function label(node) {
  return [node.name, node.leads ? '★ leads' : '', WORDS[state(node)], node.note ?? ''].filter(Boolean).join('\n')
}

const pen = document.createElement('canvas').getContext('2d')

export function node(name, text, classes) {
  pen.font = '600 13px Inter, system-ui, sans-serif'
  const lines = text.split('\n')
  const width = Math.max(...lines.map((line) => pen.measureText(line).width)) + 22
  return { group: 'nodes', data: { id: name, label: text, width: Math.max(width, 44), height: lines.length * 16 + 16 }, classes }
}

/** Clients, the balancer, and what is behind it, one after the other. */
function line(nodes, servers, width, height) {
  const wide = width > height * 1.15
  const found = new Map()
  const put = (names, along) => names.forEach((name, i) => {
    const across = (i + 1) / (names.length + 1)
    found.set(name, wide ? { x: width * along, y: height * across } : { x: width * across, y: height * along })
  })
  put([CLIENTS], 0.12)
  put(nodes.map(({ name }) => name), wide ? 0.45 : 0.46)
  put(servers, wide ? 0.86 : 0.88)
  return found
}

/** Nodes on a ring, the first at the top; the clients outside of it, where there is more room. */
function places(nodes, width, height) {
  const wide = width > height * 1.15
  const middle = wide ? [width * 0.58, height / 2] : [width / 2, height * 0.58]
  const radius = Math.max(Math.min(wide ? width * 0.32 : width * 0.36, wide ? height * 0.37 : height * 0.33), 40)
  const turn = wide ? 0 : nodes.length % 2 ? Math.PI : 0
  const found = new Map([[CLIENTS, wide ? { x: Math.max(middle[0] - radius * 2.1, 60), y: middle[1] } : { x: middle[0], y: 36 }]])
  nodes.forEach((node, i) => {
    const angle = (i / nodes.length) * 2 * Math.PI - Math.PI / 2 + turn
    const stretch = wide ? 1.25 : 1
    found.set(node.name, { x: middle[0] + radius * stretch * Math.cos(angle), y: middle[1] + radius * Math.sin(angle) })
  })
  if (nodes.length === 1) found.set(nodes[0].name, { x: middle[0], y: middle[1] })
  return found
}

export function styles(c) {
  return [
    { selector: 'node', style: {
      shape: 'round-rectangle', width: 'data(width)', height: 'data(height)', label: 'data(label)', 'text-wrap': 'wrap',
      'text-valign': 'center', 'text-halign': 'center', 'font-family': 'Inter, system-ui, sans-serif', 'font-size': 13,
      'font-weight': 600, 'line-height': 1.25, color: c.ink, 'background-color': c.panel, 'border-width': 1.5, 'border-color': c.edge,
      'overlay-opacity': 0,
    } },
    { selector: 'node.clients', style: { shape: 'round-rectangle', 'background-color': c['grey-tint'], 'border-style': 'solid', color: c.muted } },
    { selector: 'node.up', style: { 'border-color': c.teal } },
    { selector: 'node.leads', style: { 'border-width': 3, 'background-color': c['teal-tint'] } },
    { selector: 'node.down', style: { 'border-color': c.red, 'border-style': 'dashed', 'background-color': c['red-tint'], color: c['red-ink'] } },
    { selector: 'node.failing', style: { 'border-color': c.amber, 'border-style': 'dashed', 'background-color': c['amber-tint'], color: c['amber-ink'] } },
    { selector: 'node.hurt', style: { 'border-color': c.violet, 'background-color': c['violet-tint'], color: c['violet-ink'] } },
    { selector: 'edge', style: {
      width: 1.5, 'line-color': c.edge, 'curve-style': 'straight', 'overlay-opacity': 0, 'target-arrow-color': c.edge,
      'arrow-scale': 1.1,
    } },
    { selector: 'edge.client', style: { width: 1 } },
    { selector: 'edge.way', style: { 'curve-style': 'unbundled-bezier', 'control-point-distances': [22], 'control-point-weights': [0.5], 'target-arrow-shape': 'triangle' } },
    { selector: 'edge.cut', style: { width: 2.5, 'line-color': c.violet, 'line-style': 'dashed', 'line-dash-pattern': [7, 5], 'target-arrow-color': c.violet } },
    { selector: 'edge.shared', style: {
      'target-arrow-shape': 'triangle', label: 'data(share)', 'font-family': 'Inter, system-ui, sans-serif', 'font-size': 12, 'font-weight': 600, color: c.ink,
      'text-background-color': c.panel, 'text-background-opacity': 1, 'text-background-padding': 2, 'text-background-shape': 'round-rectangle',
    } },
    { selector: 'node.behind', style: { 'border-color': c.muted, 'background-color': c['grey-tint'] } },
    { selector: 'edge.over', style: { width: 4 } },
  ]
}

export class ServiceMap {
  /** Draws into `root`; `onLink(from, to)` and `onNode(name)` are told of clicks, where somebody wants to know. */
  constructor(root, { onLink = null, onNode = null } = {}) {
    this.root = root
    this.data = { nodes: [] }
    this.cy = cytoscape({
      container: root, autoungrabify: true, boxSelectionEnabled: false, userZoomingEnabled: false, userPanningEnabled: false,
      autounselectify: true, styleEnabled: true,
    })
    root.querySelectorAll('canvas').forEach((canvas) => canvas.setAttribute('aria-hidden', 'true'))
    if (onLink) this._listen('edge', (edge) => onLink(edge.data('source'), edge.data('target'), edge.hasClass('way')))
    if (onNode) this._listen('node', (node) => onNode(node.id()))
    document.addEventListener('themechange', () => this._style())
    new ResizeObserver(() => this._place()).observe(root)
    this._style()
  }

  _listen(what, told) {
    this.cy.on('tap', what, (event) => told(event.target))
    this.cy.on('mouseover', what, (event) => { event.target.addClass('over'); this.root.style.cursor = 'pointer' })
    this.cy.on('mouseout', what, (event) => { event.target.removeClass('over'); this.root.style.cursor = '' })
  }

  _style() {
    this.cy.style(styles(colours(NAMES)))
  }

  /**
   * `nodes`: name, up (true, false, null), leads, hurt, note; `cuts`: pairs [from, to]. `asked` and `answered`: name to
   * share of the operations that a node was asked, and of the answers that came from a server behind a balancer.
   */
  draw(data) {
    const text = JSON.stringify(data)
    if (text === this.shown) return
    this.shown = text
    this.data = data
    const nodes = data.nodes.map((one) => node(one.name, label(one), `${state(one)}${one.leads ? ' leads' : ''}`))
    this.cy.batch(() => {
      this.cy.elements().remove()
      this.cy.add([node(CLIENTS, CLIENTS, 'clients'), ...nodes, ...edges(data)])
      this.cy.add(behind(data))
    })
    this._place()
  }

  _place() {
    const { clientWidth: width, clientHeight: height } = this.root
    if (!width || !height) return
    this.cy.resize()
    const servers = this.cy.nodes('.behind').map((one) => one.id())
    const where = servers.length ? line(this.data.nodes, servers, width, height) : places(this.data.nodes, width, height)
    this.cy.nodes().positions((node) => where.get(node.id()) ?? { x: width / 2, y: height / 2 })
    this.cy.reset()
  }
}

/** Draws a ServiceMap in `root` from the JSON in `[data-map]` within `source`, again whenever that is replaced. */
export function follow(root, source, clicks = {}) {
  const map = new ServiceMap(root, clicks)
  const draw = () => {
    const now = source.querySelector('[data-map]')
    if (now) map.draw(JSON.parse(now.dataset.map))
  }
  new MutationObserver(draw).observe(source, { childList: true, subtree: true })
  draw()
  return map
}
