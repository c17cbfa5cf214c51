// The plan of the editor's form: a fault's block is moved, or made longer at its right end; its fields follow.

const EDGE = 9 // pixels at the right end of a block that make it longer
const STEPS = [0.1, 0.5, 1, 5, 10, 30, 60]
const NEAR = 4 // pixels that are no drag yet

/** What one pixel is worth, rounded up to a time that people would write. */
export const grain = (secondsOfPixel) => STEPS.find((step) => step >= secondsOfPixel) ?? STEPS.at(-1)

/** Seconds of a duration as it stands in a field, NaN where it is none: `1m30s`, `500ms`, `4`. */
export function duration(text) {
  const units = { ms: 0.001, s: 1, m: 60, min: 60, h: 3600 }
  const parts = [...text.trim().matchAll(/(\d+(?:\.\d+)?)\s*(ms|min|s|m|h)?\s*/g)]
  if (!parts.length || parts.map(([part]) => part).join('') !== text.trim()) return NaN
  return parts.reduce((sum, [, number, unit]) => sum + Number(number) * units[unit ?? 's'], 0)
}

/** `from` later by `by` seconds, on the grain, and not before `least`. */
export function moved(from, by, step, least) {
  return Number(Math.max(Math.round((from + by) / step) * step, least).toFixed(3))
}

export class Dragging {
  constructor(preview, form) {
    this.form = form
    this.held = null
    preview.addEventListener('pointerdown', (event) => this.begin(event))
    preview.addEventListener('pointermove', (event) => this.go(event))
    preview.addEventListener('pointerup', (event) => this.end(event))
    preview.addEventListener('pointercancel', () => this.drop())
    document.addEventListener('keydown', (event) => { if (event.key === 'Escape') this.drop() })
  }

  /** The fields `at` and `for` of a block's fault; null where the page is not the form. */
  fields(block) {
    const step = this.form.querySelectorAll('fieldset.step')[Number(block.dataset.step)]
    const id = step?.querySelector('[name=step]').value
    const of = (key) => step?.querySelector(`[name="step-${id}-${key}"]`)
    return { step, at: of('at'), for: of('for') }
  }

  begin(event) {
    const block = event.target.closest('.bar[data-step]')
    const fields = block && event.button === 0 ? this.fields(block) : null
    if (!fields?.at || !fields.for) return
    const key = this.side(block, event.clientX)
    const blocks = [...block.closest('.strip').querySelectorAll(`[data-step="${block.dataset.step}"]`)]
    const rect = block.querySelector('rect')
    const width = block.closest('.strip').getBoundingClientRect().width
    const from = duration(fields[key].value)
    if (Number.isNaN(from)) return
    const secondsOfPixel = Number(block.closest('.plan').dataset.seconds) / width
    this.held = { blocks, rect, fields, key, from, secondsOfPixel, x: event.clientX, size: rect.getBoundingClientRect().width, to: from }
    block.setPointerCapture(event.pointerId)
    event.preventDefault()
  }

  /** Which field it changes to take hold of the block there: its end makes it longer, where it hurts once. */
  side(block, x) {
    const rect = block.querySelector('rect')
    const once = block.closest('.strip').querySelectorAll(`[data-step="${block.dataset.step}"]`).length === 1
    return once && rect.getBoundingClientRect().right - x <= EDGE ? 'for' : 'at'
  }

  go(event) {
    const { held } = this
    const block = event.target.closest('.bar[data-step]')
    if (!held && block) block.classList.toggle('at-end', this.side(block, event.clientX) === 'for')
    if (!held) return
    const by = event.clientX - held.x
    if (Math.abs(by) < NEAR && held.to === held.from) return
    const step = grain(held.secondsOfPixel)
    held.to = moved(held.from, by * held.secondsOfPixel, step, held.key === 'for' ? step : 0)
    const pixels = (held.to - held.from) / held.secondsOfPixel
    if (held.key === 'for') held.rect.setAttribute('width', held.size + pixels)
    else held.blocks.forEach((one) => one.setAttribute('transform', `translate(${pixels} 0)`))
    held.fields[held.key].value = `${held.to}s`
  }

  /** A block that was only clicked leads to its fields. */
  end() {
    const { held } = this
    this.held = null
    if (!held) return
    const field = held.fields[held.key]
    if (held.to !== held.from) field.dispatchEvent(new Event('input', { bubbles: true }))
    else held.fields.step.querySelector('select, input:not([type=hidden])')?.focus()
  }

  /** As it was. */
  drop() {
    const { held } = this
    this.held = null
    if (!held || held.to === held.from) return
    held.fields[held.key].value = `${held.from}s`
    held.fields[held.key].dispatchEvent(new Event('input', { bubbles: true }))
  }
}
