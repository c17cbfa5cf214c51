// What a person asks of a run that goes on: a note at a moment, or more time.
import { make, moment } from './words.js'

export class Orders {
  /** `moment()` is the one that the page shows, null for the newest. */
  constructor(ledger, shown) {
    Object.assign(this, { ledger, shown })
    this.note = document.getElementById('note')
    this.extend = document.getElementById('extend')
    this.what = document.getElementById('extend-what')
    for (const form of document.querySelectorAll('form.order')) form.addEventListener('submit', (event) => this._send(event, form))
    this.note?.addEventListener('click', () => this._at())
  }

  /** Offers what can be asked now. */
  show() {
    const { ledger } = this
    const going = !ledger.over && !ledger.verdict
    const hurting = [...ledger.faults.values()].filter((fault) => fault.state === 'active').map((fault) => [fault.id, fault.line])
    const choices = ledger.phase === 'recovery' ? [...hurting, ['recovery', 'the recovery']] : hurting
    this.note.hidden = !going || !ledger.run
    this.extend.hidden = !going || !choices.length
    const told = choices.join()
    if (!this.what || told === this.told) return
    this.told = told
    this.what.replaceChildren(...choices.map(([id, line]) => Object.assign(make('option', '', line), { value: id })))
  }

  _at() {
    const at = this.shown()
    document.querySelector('#note-dialog [name=at]').value = at ?? ''
    document.getElementById('note-at').textContent = at === null ? 'this moment' : moment(at)
  }

  async _send(event, form) {
    event.preventDefault()
    const told = form.querySelector('[role=alert]')
    told.hidden = true
    try {
      const answer = await fetch(form.action, { method: 'POST', body: new FormData(form), headers: { Accept: 'text/plain' } })
      if (!answer.ok) throw new Error(answer.status === 400 ? await answer.text() : 'The board did not take it.')
      form.reset()
      form.closest('dialog').close()
    } catch (error) {
      told.textContent = error.message
      told.hidden = false
    }
  }
}
