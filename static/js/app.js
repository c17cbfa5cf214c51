// What every page does: theme, dialogs, times in the reader's own zone, countdowns.
import { keepFresh } from './refresh.js'
import { ago, clockTime, seconds } from './words.js'

const root = document.documentElement

function isDark() {
  if (root.dataset.theme) return root.dataset.theme === 'dark'
  return matchMedia('(prefers-color-scheme: dark)').matches
}

function toggleTheme() {
  root.dataset.theme = isDark() ? 'light' : 'dark'
  localStorage.setItem('theme', root.dataset.theme)
  document.dispatchEvent(new Event('themechange'))
}

function tellTimes() {
  for (const element of document.querySelectorAll('time[datetime]')) {
    const date = new Date(element.dateTime)
    if (Number.isNaN(date.getTime())) continue
    element.title ||= date.toLocaleString(undefined, { dateStyle: 'full', timeStyle: 'long' })
    element.textContent = element.dataset.form === 'ago' ? ago(date) : clockTime(date, element.dataset.form)
  }
}

function countDown() {
  for (const element of document.querySelectorAll('[data-until]')) {
    const left = (new Date(element.dataset.until) - Date.now()) / 1000
    element.textContent = left > 0 ? `in ${seconds(left, 1)}` : 'now'
  }
}

/** Where the links of the top bar are swiped, the one to this page is in sight. */
function showWhere() {
  const here = document.querySelector('.nav [aria-current]')
  const nav = here?.parentElement
  if (nav) nav.scrollLeft = here.offsetLeft - nav.offsetLeft - (nav.clientWidth - here.offsetWidth) / 2
}

function onClick(event) {
  if (event.target.closest('[data-theme-toggle]')) return toggleTheme()
  const opener = event.target.closest('[data-dialog]')
  if (opener && !event.ctrlKey && !event.metaKey) {
    const dialog = document.getElementById(opener.dataset.dialog)
    if (!dialog) return
    event.preventDefault()
    dialog.showModal()
    dialog.querySelector('input:not([type=hidden]), textarea')?.focus()
  }
  if (event.target.closest('[data-close]')) event.target.closest('dialog')?.close()
  if (event.target.closest('[data-print]')) window.print()
  for (const menu of document.querySelectorAll('details.menu[open]')) {
    if (!menu.contains(event.target)) menu.open = false
  }
}

document.addEventListener('click', onClick)
document.addEventListener('keydown', (event) => {
  if (event.key === ' ' && event.target.matches('a[role=button]')) {
    event.preventDefault()
    event.target.click()
  }
})
document.addEventListener('submit', (event) => {
  // a second click must not send a second order; what a script sends itself is its own matter
  const button = event.submitter
  setTimeout(() => { if (button && !event.defaultPrevented) button.disabled = true }, 0)
})
window.addEventListener('pageshow', () => {
  for (const button of document.querySelectorAll('button[type=submit]:disabled')) button.disabled = false
})
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
  document.dispatchEvent(new Event('themechange'))
})

tellTimes()
countDown()
showWhere()
keepFresh()
setInterval(countDown, 200)
setInterval(tellTimes, 30_000)
for (const part of ['refreshed', 'htmx:after:swap']) document.addEventListener(part, () => { tellTimes(); countDown() })
