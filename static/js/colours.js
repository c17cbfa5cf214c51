// The colours of the page, for what is drawn on a canvas.
import { make } from './words.js'

/** The colour behind each CSS variable, in the theme of the moment. */
export function colours(names) {
  const probe = make('i')
  document.body.append(probe)
  const found = {}
  for (const name of names) {
    probe.style.color = `var(--${name})`
    found[name] = getComputedStyle(probe).color
  }
  probe.remove()
  return found
}
