// A timeline of operations: what is under the pointer or the focus in words, and zoom.

const NICE = [1, 2, 5, 10]
const THIN = 0.25 // percent: what is shorter is still seen

const percent = (value) => `${value.toFixed(3)}%`
const number = (element, name) => (element.dataset[name] === undefined ? Infinity : Number(element.dataset[name]))

export class Lanes {
  constructor(figure) {
    this.figure = figure
    this.detail = figure.querySelector('.detail')
    this.plain = this.detail.textContent
    this.window = [number(figure, 'start'), number(figure, 'end')]
    this.whole = [number(figure, 'wholeStart'), number(figure, 'wholeEnd')]
    this.shown = [...this.window]
    this.bind()
  }

  bind() {
    this.figure.querySelector('.zoom').hidden = false
    this.figure.addEventListener('click', (event) => {
      const button = event.target.closest('[data-zoom]')
      if (button) this.zoom(button.dataset.zoom)
    })
    for (const kind of ['pointerover', 'focusin']) this.figure.addEventListener(kind, (event) => this.tell(event.target.closest?.('.bar')))
    this.figure.addEventListener('pointerleave', () => this.tell(this.figure.querySelector('.bar:focus')))
    this.figure.addEventListener('keydown', (event) => {
      const order = { '+': 'in', '=': 'in', '-': 'out', ArrowLeft: 'left', ArrowRight: 'right', 0: 'window' }[event.key]
      if (!order || event.ctrlKey || event.metaKey || event.altKey) return
      event.preventDefault()
      this.zoom(order)
    })
  }

  tell(bar) {
    if (bar === undefined) return
    this.detail.textContent = bar ? `#${bar.dataset.index} ${bar.getAttribute('aria-label')}` : this.plain
    this.figure.querySelectorAll('.bar.chosen').forEach((other) => other.classList.remove('chosen'))
    bar?.classList.add('chosen')
  }

  zoom(order) {
    const [from, to] = this.shown
    const span = to - from
    const middle = (from + to) / 2
    const least = (this.window[1] - this.window[0]) / 50
    const to_shown = {
      window: this.window,
      whole: [this.whole[0], this.whole[1] + (this.whole[1] - this.whole[0]) * 0.02],
      in: span / 2 > least ? [middle - span / 4, middle + span / 4] : this.shown,
      out: [Math.max(middle - span, Math.min(this.whole[0], this.window[0])), Math.min(middle + span, Math.max(this.whole[1], this.window[1]))],
      left: [from - span / 4, to - span / 4],
      right: [from + span / 4, to + span / 4],
    }[order]
    this.shown = [...to_shown]
    for (const button of this.figure.querySelectorAll('[aria-pressed]')) {
      button.setAttribute('aria-pressed', String(button.dataset.zoom === order))
    }
    this.draw()
  }

  at(time) {
    const [from, to] = this.shown
    return Math.min(Math.max(((time - from) / (to - from)) * 100, -100), 200)
  }

  draw() {
    for (const item of this.figure.querySelectorAll('[data-s]')) {
      const x = this.at(number(item, 's'))
      const end = item.dataset.e === undefined ? (item.matches('.band') ? 200 : 100) : this.at(number(item, 'e'))
      const rect = item.querySelector('rect')
      rect.setAttribute('x', percent(x))
      rect.setAttribute('width', percent(Math.max(end - x, item.matches('.bar') ? THIN : 0)))
      const text = item.querySelector('text')
      if (text && item.matches('.bar')) this.label(text, x, item.dataset.e === undefined ? x : end)
      else if (text) text.setAttribute('x', percent(Math.max(x, 0)))
    }
    const marks = [...this.figure.querySelectorAll('[data-at]')]
    for (const item of marks) this.mark(item, this.at(number(item, 'at')))
    const lane = this.figure.querySelector('.marks')
    if (lane) lane.hidden = !marks.some((item) => number(item, 'at') >= this.shown[0] && number(item, 'at') <= this.shown[1])
    this.ticks()
  }

  mark(item, x) {
    for (const end of ['x1', 'x2']) item.querySelector('line').setAttribute(end, percent(x))
    const text = item.querySelector('text')
    if (!text) return
    const late = x > 60
    text.setAttribute('x', percent(x))
    text.setAttribute('dx', late ? '-6' : '6')
    text.setAttribute('text-anchor', late ? 'end' : 'start')
  }

  label(text, x, end) {
    const left = x <= 50
    text.setAttribute('x', percent(left ? x : end))
    text.setAttribute('text-anchor', left ? 'start' : 'end')
  }

  ticks() {
    const place = this.figure.querySelector('.ticks .strip')
    const [from, to] = this.shown
    const least = (to - from) / 5
    const power = 10 ** Math.floor(Math.log10(least))
    const step = NICE.map((n) => n * power).find((n) => n >= least * 0.999)
    const made = []
    for (let time = Math.ceil(from / step) * step; time <= to; time += step) {
      const x = this.at(time)
      const text = document.createElementNS('http://www.w3.org/2000/svg', 'text')
      text.setAttribute('x', percent(x))
      text.setAttribute('y', '14')
      text.setAttribute('text-anchor', x < 8 ? 'start' : x > 92 ? 'end' : 'middle')
      text.textContent = tick(time, step)
      made.push(text)
    }
    place.replaceChildren(...made)
  }
}

function tick(time, step) {
  const small = Math.abs(time) < 1 && step < 0.1
  const [unit, factor] = small ? (step >= 1e-6 ? ['ms', 1e3] : ['µs', 1e6]) : ['s', 1]
  const digits = Math.max(0, -Math.floor(Math.log10(step * factor) + 1e-9))
  return `${(time * factor).toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits })} ${unit}`
}
