// Links picked by hand: a click on the map or in its table writes them into the form.
import { ServiceMap } from './map.js'

const same = ([a, b]) => ([c, d]) => a === c && b === d

/** The pairs as one line, as the engine reads it: `n1 <-> n2; n3 -> clients`. */
export function written(cuts) {
  const links = []
  for (const [from, to] of cuts) {
    const both = cuts.some(same([to, from]))
    if (!both) links.push(`${from} -> ${to}`)
    else if (from < to) links.push(`${from} <-> ${to}`)
  }
  return links.join('; ')
}

/** The pairs with these others cut too or, where all of them are, cut no more. */
export function toggled(cuts, pairs) {
  const whole = pairs.every((pair) => cuts.some(same(pair)))
  const rest = cuts.filter((cut) => !pairs.some(same(cut)))
  return whole ? rest : [...rest, ...pairs]
}

export class LinkPicker {
  constructor(card, form) {
    this.card = card
    this.form = form
    this.links = card.querySelector('#links')
    this.focus = null
    const map = card.querySelector('#map')
    this.map = new ServiceMap(map, {
      onLink: (from, to, oneWay) => this.pick(oneWay ? [[from, to]] : [[from, to], [to, from]]),
      onNode: (name) => this.pick(this.around(name)),
    })
    this.links.addEventListener('click', (event) => {
      const way = event.target.closest('button[data-from]')
      if (way) this.pick([[way.dataset.from, way.dataset.to]])
    })
    new MutationObserver(() => this.show()).observe(this.links, { childList: true })
    this.show()
  }

  /** What the server said last. */
  show() {
    const now = this.links.querySelector('[data-map]')
    this.card.hidden = !now
    if (!now) return
    this.picture = JSON.parse(now.dataset.map)
    this.map.draw(this.picture)
    if (this.focus && !this.links.contains(document.activeElement)) this.button(this.focus)?.focus()
    this.focus = null
  }

  /** All links of a node with the other nodes, or of the clients with all nodes. */
  around(name) {
    const others = this.picture.nodes.map((node) => node.name).filter((other) => other !== name)
    return others.flatMap((other) => [[name, other], [other, name]])
  }

  pick(pairs) {
    const { step, kind } = this.links.querySelector('[data-step]')?.dataset ?? {}
    const field = (name) => this.form.elements[`step-${step}-${kind}-${name}`]
    if (!step || !field('links')) return
    const cuts = toggled(this.picture.mine, pairs)
    const others = this.picture.cuts.filter((cut) => !this.picture.mine.some(same(cut)))
    const active = document.activeElement
    if (this.links.contains(active) && active.dataset.from) this.focus = [active.dataset.from, active.dataset.to]
    this.picture = { ...this.picture, mine: cuts, cuts: [...others, ...cuts] }
    this.map.draw(this.picture)
    for (const button of this.links.querySelectorAll('button[data-from]')) {
      button.setAttribute('aria-pressed', String(this.picture.cuts.some(same([button.dataset.from, button.dataset.to]))))
    }
    field('topology').value = ''
    field('links').value = written(cuts)
    field('links').dispatchEvent(new Event('input', { bubbles: true }))
  }

  button([from, to]) {
    return [...this.links.querySelectorAll('button[data-from]')].find((b) => b.dataset.from === from && b.dataset.to === to)
  }
}

