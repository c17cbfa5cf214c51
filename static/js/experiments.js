// The experiment editor: a problem's line number leads to the line in the text; the map cuts links, the plan is dragged.
import { Dragging } from './dragging.js'
import { LinkPicker } from './picker.js'

function goToLine(line) {
  const text = document.getElementById('id_text')
  if (!text) return
  const lines = text.value.split('\n')
  const start = lines.slice(0, line - 1).reduce((sum, l) => sum + l.length + 1, 0)
  text.focus()
  text.setSelectionRange(start, start + (lines[line - 1] ?? '').length)
  const height = parseFloat(getComputedStyle(text).lineHeight) || 20
  text.scrollTop = Math.max(0, (line - 4) * height)
}

document.addEventListener('click', (event) => {
  const button = event.target.closest('[data-line]')
  if (button) goToLine(Number(button.dataset.line))
})

const card = document.getElementById('map-card')
if (card) new LinkPicker(card, document.getElementById('editor'))
const preview = document.getElementById('preview')
if (preview) new Dragging(preview, document.getElementById('editor'))
