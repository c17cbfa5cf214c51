// The events of a run as they happen: without a gap, for ever, or until the run is over.

const FIRST_WAIT = 500
const LONGEST_WAIT = 10_000
const SILENCE = 45_000

export class EventSocket {
  /** `take(event)` says false where an event is missing before it; `tell(word, text)` shows the connection. */
  constructor(path, { last, take, done, told, tell }) {
    Object.assign(this, { path, last, take, done, told, tell, wait: FIRST_WAIT, ended: false })
    window.addEventListener('online', () => this._now())
    document.addEventListener('visibilitychange', () => { if (!document.hidden) this._now() })
    this.open()
  }

  open() {
    clearTimeout(this.timer)
    this.timer = null
    const scheme = location.protocol === 'https:' ? 'wss:' : 'ws:'
    const socket = new WebSocket(`${scheme}//${location.host}${this.path}?after=${this.last()}`)
    this.socket = socket
    socket.onopen = () => {
      this.wait = FIRST_WAIT
      this.tell('live', 'live')
      this._watch()
    }
    socket.onmessage = (message) => this._message(message)
    socket.onclose = (event) => { if (socket === this.socket) this._closed(event) }
  }

  _message(message) {
    this._watch()
    for (const event of JSON.parse(message.data).events ?? []) {
      if (!this.take(event)) {
        this.socket.close() // something is missing: ask again from the last event that is whole
        break
      }
    }
    this.told()
    if (this.done()) {
      this.ended = true
      this.tell('over', 'the run is over')
      this.socket.close()
    }
  }

  /** A connection that died without a word is opened again after a while of silence. */
  _watch() {
    clearTimeout(this.silence)
    this.silence = setTimeout(() => this.socket.close(), SILENCE)
  }

  _closed(event) {
    clearTimeout(this.silence)
    if (this.ended) return
    if (event.code === 4403) return this.tell('lost', 'not allowed: sign in again to see what happens')
    const seconds = (this.wait / 1000).toFixed(this.wait < 1000 ? 1 : 0)
    this.tell('lost', `connection lost, trying again in ${seconds} s; the run goes on without this page`)
    this.timer = setTimeout(() => this.open(), this.wait * (0.8 + 0.4 * Math.random()))
    this.wait = Math.min(this.wait * 2, LONGEST_WAIT)
  }

  _now() {
    if (this.timer) this.open()
  }
}
