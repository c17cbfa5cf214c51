// Prints, as a style sheet, the rules that Plotly would inject: `style-src 'self'` allows none injected.
// base.html links the sheet under the id that makes Plotly leave its own injection out.
import { readFileSync } from 'node:fs'
import { runInNewContext } from 'node:vm'

const source = readFileSync(process.argv[2], 'utf8')
const start = source.lastIndexOf('{', source.indexOf('"X,X div":'))
const end = source.indexOf('}', start) + 1
const rules = runInNewContext(`(${source.slice(start, end)})`, Object.create(null))

for (const [selector, text] of Object.entries(rules)) {
  const real = selector
    .replace(/^,/, ' ,')
    .replaceAll('X', '.js-plotly-plot .plotly')
    .replaceAll('Y', '.plotly-notifier')
  console.log(`${real}{${text}}`)
}
