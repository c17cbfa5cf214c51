// The events of a run as they happen: without a gap, for ever, or until the run is over.

const FIRST_WAIT = 500
const LONGEST_WAIT = 10_000
const SILENCE = 45_000
const WALL = 3 // attempts that never came through: something on the way lets no websocket pass

export class EventSocket {
  /** `take(event)` says false where an event is missing before it; `tell(word, text)` shows the connection. */
  constructor({ socket: path, stream }, { last, take, done, told, tell }) {
    Object.assign(this, { path, stream, last, take, done, told, tell, wait: FIRST_WAIT, ended: false, failures: 0 })
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
    socket.onopen = () => this._opened()
    socket.onmessage = (message) => this._message(message)
    socket.onclose = (event) => { if (socket === this.socket) this._closed(event) }
  }

  _opened() {
    const away = this.lostAt === undefined ? '' : ` again; the page was away for ${((performance.now() - this.lostAt) / 1000).toFixed(1)} s and has caught up`
    this.lostAt = undefined
    this.failures = NaN // it has worked once: what comes is a loss, and no wall
    this.wait = FIRST_WAIT
    this.tell('live', `live${away}`)
    this._watch()
  }

  /** Where nothing lets a websocket through: the same events by plain HTTP. The browser reconnects by itself. */
  _listen() {
    const source = new EventSource(`${this.stream}?after=${this.last()}`)
    this.socket = source
    source.onopen = () => this._opened()
    source.onmessage = (message) => this._message(message)
    source.onerror = () => {
      this.lostAt ??= performance.now()
      if (!this.ended) this.tell('lost', 'connection lost, trying again; the run goes on without this page')
      if (source.readyState === EventSource.CLOSED && !this.ended) this.timer = setTimeout(() => this._listen(), LONGEST_WAIT)
    }
  }

  _message(message) {
    this._watch()
    const told = JSON.parse(message.data)
    this.watching = told.watching
    for (const event of told.events ?? []) {
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
    this.lostAt ??= performance.now()
    this.failures += 1
    if (this.failures >= WALL && this.stream) return this._listen()
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
