// Which moment of the run the page shows: the newest, or one in its past; and playing from there.
import { moment } from './words.js'

export class Player {
  /** `root` holds the buttons; `newest()` is the end of what is known; `changed(moment)` draws: null is the newest. */
  constructor(root, { newest, over, changed }) {
    Object.assign(this, { root, newest, over, changed, moment: null, playing: null })
    this.play = root.querySelector('#play')
    this.speed = root.querySelector('#speed')
    this.live = root.querySelector('#go-live')
    this.text = root.querySelector('#moment')
    this.play.addEventListener('click', () => (this.playing ? this.pause() : this.start()))
    this.live.addEventListener('click', () => this.go(null))
    this.speed.addEventListener('change', () => this.say())
  }

  /** To a moment; beyond the newest is the newest. */
  go(to) {
    this.pause()
    this.show(to)
  }

  show(to) {
    const newest = this.newest()
    this.moment = to === null || to >= newest ? null : Math.max(to, 0)
    this.changed(this.moment)
    this.say()
  }

  start() {
    if (this.moment === null && this.over()) this.moment = 0
    if (this.moment === null) return
    let last = performance.now()
    const step = (now) => {
      const passed = ((now - last) / 1000) * Number(this.speed.value)
      last = now
      this.show(this.moment + passed)
      if (this.moment === null) this.pause()
      else this.playing = requestAnimationFrame(step)
    }
    this.playing = requestAnimationFrame(step)
    this.say()
  }

  pause() {
    if (this.playing) cancelAnimationFrame(this.playing)
    this.playing = null
    this.say()
  }

  say() {
    const newest = this.newest()
    this.root.hidden = !newest
    this.play.textContent = this.playing ? 'Pause' : 'Play'
    this.play.disabled = this.moment === null && !this.over()
    this.live.textContent = this.over() ? 'To the end' : 'Live'
    this.live.disabled = this.moment === null
    this.live.setAttribute('aria-pressed', String(this.moment === null))
    const state = this.moment !== null ? `${moment(newest - this.moment)} before ${this.over() ? 'the end' : 'now'}` : this.over() ? 'the end' : 'now'
    this.text.textContent = `${moment(this.moment ?? newest)} · ${state}`
    document.body.dataset.moment = this.moment === null ? '' : this.moment.toFixed(2)
  }
}
