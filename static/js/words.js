// Figures as people read them; the same rules as apps/reports/templatetags/figures.py.

export function seconds(value, digits = 2) {
  if (value === null || value === undefined) return '–'
  if (value < 0.9995 && digits > 1) return value === 0 ? '0 s' : milliseconds(value)
  if (value < 59.95) return `${value.toFixed(value < 10 ? digits : 1)} s`
  const whole = Math.round(value)
  const minutes = Math.floor(whole / 60)
  if (minutes >= 60) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`
  return whole % 60 ? `${minutes} min ${whole % 60} s` : `${minutes} min`
}

export function milliseconds(value) {
  if (value === null || value === undefined) return '–'
  if (value < 0.001) return `${Math.round(value * 1e6)} µs`
  return `${(value * 1e3).toFixed(value < 0.01 ? 1 : 0)} ms`
}

export function percent(share) {
  if (share === null || share === undefined) return '–'
  if (share >= 1) return '100 %'
  const text = (share * 100).toFixed(2)
  if (share === 0) return '0 %'
  return text === '100.00' ? '> 99.99 %' : `${text} %`
}

export const count = (value) => (value === null || value === undefined ? '–' : value.toLocaleString('en'))

export function moment(value) {
  const tenths = Math.round(Math.max(value, 0) * 10)
  return `${Math.floor(tenths / 600)}:${String(Math.floor(tenths / 10) % 60).padStart(2, '0')}.${tenths % 10}`
}

export function label(name) {
  const text = String(name).replaceAll('_', ' ').trim()
  return text.charAt(0).toUpperCase() + text.slice(1)
}

export function ago(date) {
  const passed = (Date.now() - date) / 1000
  if (passed < 0) return clockTime(date)
  for (const [unit, size] of [['d', 86400], ['h', 3600], ['min', 60]]) {
    if (passed >= size) return `${Math.floor(passed / size)} ${unit} ago`
  }
  return 'just now'
}

export function clockTime(date, form = 'moment') {
  const time = date.toLocaleTimeString('en-GB', form === 'seconds' ? {} : { hour: '2-digit', minute: '2-digit' })
  const today = new Date()
  if (date.toDateString() === today.toDateString()) return form === 'seconds' ? time : `today ${time}`
  const year = date.getFullYear() === today.getFullYear() ? {} : { year: 'numeric' }
  return `${date.toLocaleDateString('en-GB', { weekday: 'short', day: 'numeric', month: 'short', ...year })} ${time}`
}

/** An element with a class and children; text is text, never markup. */
export function make(tag, className = '', ...children) {
  const element = document.createElement(tag)
  if (className) element.className = className
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== false))
  return element
}

export const PILLS = {
  held: 'ok', violated: 'bad', unknown: 'unknown', clean: 'ok', unverified: 'warn', stuck: 'bad',
  injecting: 'hurt', active: 'hurt', healing: 'hurt', planned: 'unknown',
}

export const pill = (word, kind = PILLS[word] ?? 'unknown') => make('span', `pill ${kind}`, word)
