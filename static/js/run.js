// The live page of a run: everything on it is drawn from the numbered events.
import { Charts } from './charts.js'
import { Ledger } from './ledger.js'
import { Lanes } from './lanes.js'
import { EventLog } from './log.js'
import { Orders } from './orders.js'
import { Player } from './player.js'
import { RunMap } from './run-map.js'
import { EventSocket } from './socket.js'
import { Timeline } from './timeline.js'
import { count, label, make, moment, percent, pill } from './words.js'

const page = JSON.parse(document.getElementById('run-data').textContent)
const byId = (id) => document.getElementById(id)
const ledger = new Ledger()
const log = new EventLog(byId('events'))
const timeline = new Timeline(byId('timeline'), ledger, (at) => player.go(at))
const charts = new Charts(byId('charts'), ledger, { live: true })
const map = new RunMap(byId('map-card'), ledger)
const player = new Player(byId('player'), { newest: () => ledger.at, over: () => ledger.over, changed: travel })
const orders = new Orders(ledger, () => player.moment)
let shown = ledger // what the page shows: all that is known, or what was known at a past moment
let logged = 0 // how many events the log shows of the past; 0 where it follows
const fresh = []
let drawn = false
let heardAt = performance.now()
let connected = false
let socket = null

function take(event) {
  const before = ledger.last
  if (!ledger.take(event)) return false
  if (ledger.last > before) fresh.push(event)
  return true
}

function show() {
  if (!fresh.length) return
  heardAt = performance.now()
  const events = fresh.splice(0)
  if (shown === ledger) log.add(events)
  if (events.some((event) => event.kind === 'fault')) document.dispatchEvent(new Event('hurtchange'))
  timeline.draw()
  if (shown === ledger) showMoment()
  else timeline.mark(player.moment)
  player.say()
  orders.show()
  showViolation()
  byId('waiting').hidden = ledger.intervals.length > 0 || ledger.over
  if (ledger.run) charts.request()
  document.body.dataset.lastEvent = String(ledger.last)
}

/** All that belongs to one moment. */
function showMoment() {
  showHead()
  showFacts()
  showVerdict()
  map.ledger = shown
  map.draw()
}

/** To a moment in the past; null is back to now. */
function travel(moment) {
  shown = moment === null ? ledger : ledger.until(moment)
  const events = shown.told
  if (moment === null && logged) log.show(ledger.told)
  else if (moment !== null && events.length !== logged) log.show(events)
  logged = moment === null ? 0 : events.length
  timeline.mark(moment ?? ledger.at)
  charts.mark(moment)
  showMoment()
}

function phaseInWords() {
  const hurting = [...shown.faults.values()].filter((fault) => ['injecting', 'active', 'healing'].includes(fault.state))
  if (shown.over) return ['over', 'unknown']
  if (hurting.length) return [`hurt ${shown === ledger ? 'now' : 'then'}: ${hurting.map((fault) => fault.line).join(', ')}`, 'hurt']
  if (!shown.phase) return [page.run.state === 'queued' ? 'waiting' : 'starting', 'unknown']
  return [{ recovery: 'healed, recovering', fault: 'between faults', judging: 'judging what was recorded' }[shown.phase] ?? shown.phase, 'go']
}

function showHead() {
  byId('watching').textContent = socket?.watching > 1 ? ` · ${socket.watching} watching` : ''
  const [text, kind] = phaseInWords()
  byId('phase').replaceChildren(shown.verdict ? pill(shown.verdict.verdict) : pill(text, kind))
  byId('wrong').hidden = !shown.violation || byId('violation').hidden
  byId('abort').hidden = ledger.over || ledger.verdict !== null
  const { run } = shown
  if (!run) return
  byId('run-shape').textContent = `${run.kind}, ${run.nodes.length} ${run.nodes.length === 1 ? 'node' : 'nodes'}`
  byId('run-load').textContent = run.workload ? ` · load: ${run.workload.line || run.workload.name}` : ''
}

function row(name, ...value) {
  return [make('dt', '', name), make('dd', '', ...value)]
}

function showFacts() {
  const { totals, leader } = shown
  const { versions, ...facts } = Object.fromEntries(shown.facts)
  const rows = Object.values(facts).map((fact) => row(label(fact.name), make('b', '', fact.text)))
  if (totals.total) {
    rows.push(row('Availability', make('b', '', percent(totals.good / totals.total)), make('span', 'muted', ` of ${count(totals.total)} looks`)))
  }
  const attempted = totals.ok + totals.fail + totals.info
  if (attempted) {
    rows.push(row('Operations', make('b', '', count(totals.ok)), make('span', 'muted', ' ok, '), `${count(totals.fail)} failed, ${count(totals.info)} unknown`))
  }
  if (shown.violation) rows.push(row('Data', make('b', 'bad-text', 'wrong'), make('span', 'muted', ` first seen at ${moment(shown.violation.at)}`)))
  if (shown.lanes.size) rows.push(row('Leader', make('b', '', leader ?? 'none')))
  for (const [fault, begun, times] of shown.steps) {
    const text = fault.text && ![fault.state, fault.line].includes(fault.text) ? make('small', 'muted block-text', fault.text) : ''
    const which = times > 1 ? make('small', 'muted block-text', `time ${Math.max(begun, 1)} of ${times}`) : ''
    rows.push(row(fault.line, pill(fault.state), which, text))
  }
  if (versions) rows.push(row('Versions', make('span', 'muted small', versions.text)))
  byId('facts').replaceChildren(...rows.flat())
}

function showVerdict() {
  const { verdict } = shown
  const place = byId('verdict')
  place.hidden = !verdict
  if (!verdict) return
  place.className = `banner ${{ held: 'ok', violated: 'bad' }[verdict.verdict] ?? ''}`
  const told = verdict.headline.toLowerCase().includes(verdict.ending)
  const ending = verdict.ending === 'finished' || told ? '' : `The run was ${verdict.ending}. `
  const link = make('a', 'btn primary', 'Open the report')
  link.href = place.dataset.report
  place.replaceChildren(pill(verdict.verdict), make('div', 'grow strong', ending + verdict.headline), link)
}

/** The server draws it as it does in the report; where it does not answer, the event log has the words. */
async function showViolation() {
  if (!ledger.violation || drawn) return
  drawn = true
  const place = byId('violation')
  try {
    const answer = await fetch(place.dataset.from)
    if (!answer.ok) throw new Error(answer.statusText)
    const part = new DOMParser().parseFromString(await answer.text(), 'text/html')
    place.querySelector('div').replaceChildren(...part.body.childNodes)
    place.hidden = false
    showHead()
    place.querySelectorAll('.lanes').forEach((figure) => new Lanes(figure))
  } catch {
    setTimeout(() => { drawn = false; showViolation() }, 2000)
  }
}

function tell(word, text) {
  connected = word === 'live'
  heardAt = performance.now()
  const place = byId('connection')
  place.textContent = text
  place.className = word === 'lost' ? 'warn-text' : 'muted'
  document.body.dataset.connection = word
}

/** Between two messages the marker moves on by the clock, but not far: without news it waits. */
function tick() {
  if (!connected || ledger.over || !ledger.at || shown !== ledger) return
  timeline.mark(ledger.at + Math.min((performance.now() - heardAt) / 1000, 1.5))
}

page.events.forEach(take)
show()
showHead()
document.body.dataset.lastEvent = String(ledger.last)
if (ledger.over) tell('over', 'the run is over')
else if (page.run.state === 'done') tell('over', page.run.ending ? `the run was ${page.run.ending}` : 'the run is over')
else socket = new EventSocket(page, { last: () => ledger.last, take, told: show, done: () => ledger.over, tell })
setInterval(tick, 100)
