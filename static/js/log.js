// Events in words, newest first.
import { make, moment } from './words.js'

const SHOWN = 400

const WRITERS = {
  run: (data) => ['', `run of “${data.name}” on ${data.target}`],
  phase: (data) => ['muted', data.text ? `${data.phase}: ${data.text}` : data.phase],
  fault: (data) => (data.state === 'planned' ? null : [faultClass(data.state), `${data.line}: ${data.state}`, data.text === data.line ? '' : data.text]),
  leader: (data) => ['', leaderText(data)],
  note: (data) => (data.by ? ['note', data.text, `noted by ${data.by}`] : [{ warn: 'warn-text', error: 'bad-text' }[data.level] ?? '', data.text]),
  extension: (data) => ['hurt-text', data.text],
  violation: (data) => ['bad-text', `the data is wrong: ${data.why || data.kind}`],
  fact: (data) => ['ok-text', data.text],
  verdict: (data) => [data.verdict === 'violated' ? 'bad-text' : 'strong', `${data.verdict}: ${data.headline}`],
}

const faultClass = (state) => ({ stuck: 'bad-text', unverified: 'warn-text' }[state] ?? 'hurt-text')

function leaderText({ node, sees, reachable }) {
  if (reachable === false) return `${node} does not answer`
  return sees ? `${node} sees ${sees} as the leader` : `${node} sees no leader`
}

export class EventLog {
  constructor(list) {
    this.list = list
    this.states = new Map() // of each fault, as it was told last
  }

  add(events) {
    const rows = events.map((event) => this._row(event)).filter(Boolean)
    if (!rows.length) return
    this.list.prepend(...rows.reverse())
    while (this.list.children.length > SHOWN) this.list.lastElementChild.remove()
  }

  /** The same list as it was when only these events had come. */
  show(events) {
    this.list.replaceChildren()
    this.states.clear()
    this.add(events.slice(-SHOWN))
  }

  /** A fault that was made longer is told as active once more, beside the words that say so. */
  _known({ id, state }) {
    const known = this.states.get(id) === state
    this.states.set(id, state)
    return known
  }

  _row({ n, at, kind, data }) {
    const words = WRITERS[kind]?.(data)
    if (!words || (kind === 'fault' && this._known(data))) return null
    const [tone, text, more] = words
    const row = make('li', '', make('time', 'num muted', moment(at)), make('span', tone, text, more ? make('small', 'muted', ` ${more}`) : ''))
    row.dataset.n = n
    row.dataset.kind = kind
    return row
  }
}
