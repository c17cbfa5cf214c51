// The map of a run, as its events tell it: who leads, who answers, and which links are cut now.
import { percent, ServiceMap } from './map.js'
import { answered, asked, sharesNow } from './series.js'
import { make } from './words.js'

const HURTING = ['injecting', 'active', 'healing', 'stuck', 'unverified']

export class RunMap {
  constructor(card, ledger) {
    this.card = card
    this.ledger = ledger
    this.map = null
    this.words = card.querySelector('#cut-now')
  }

  /** Nothing is drawn before the run says which nodes there are. */
  draw() {
    const { run, over } = this.ledger
    if (!run?.nodes?.length) return
    this.card.hidden = false
    this.map ??= new ServiceMap(this.card.querySelector('#map'))
    const cuts = this.cuts()
    const { intervals } = this.ledger
    const shares = { asked: sharesNow(intervals, asked), answered: sharesNow(intervals, answered) }
    this.map.draw({ nodes: run.nodes.map((name) => this.node(name)), cuts, ...shares })
    this.say(cuts, over, shares)
  }

  hurting() {
    return [...this.ledger.faults.values()].filter((fault) => HURTING.includes(fault.state))
  }

  cuts() {
    return this.hurting().flatMap((fault) => fault.links ?? [])
  }

  node(name) {
    const { intervals, leader } = this.ledger
    const seen = intervals.at(-1)?.nodes?.[name]
    return {
      name, leads: name === leader, up: seen?.total ? (seen.there ?? seen.good) > 0 : null, failing: seen?.bad > 0,
      hurt: this.hurting().some((fault) => !fault.links?.length && fault.nodes?.includes(name)),
    }
  }

  say(cuts, over, { asked, answered }) {
    const both = ([a, b]) => cuts.some(([c, d]) => a === d && b === c)
    const told = cuts.filter((cut) => !both(cut) || cut[0] < cut[1])
      .map((cut) => `${cut[0]} ${both(cut) ? '↔' : '→'} ${cut[1]}`)
    const text = told.length ? `Cut now: ${told.join(', ')}` : over ? 'No link is cut any more.' : 'No link is cut.'
    const shared = (word, shares) => (shares ? ` ${word} in the last 5 s: ${Object.entries(shares).sort().map(([name, share]) => `${name} ${percent(share)}`).join(', ')}.` : '')
    const more = shared('Asked', asked) + shared('Answered', answered)
    if (this.words.textContent !== text + more) this.words.replaceChildren(make('span', told.length ? 'hurt-text' : 'muted', text), make('span', 'muted', more))
  }
}
