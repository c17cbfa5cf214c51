// Keeps what is hurt now, and the home page, as fresh as the server: by asking for the home page again.

const EVERY = 5000
const PARTS = ['home', 'home-side', 'banners']

async function refresh() {
  const home = document.getElementById('home')
  const hurt = document.querySelector('#banners .hurt')
  if (document.hidden || !(home || hurt) || document.querySelector('dialog[open]')) return
  const answer = await fetch(document.querySelector('a.brand').href, { headers: { Accept: 'text/html' } })
  if (!answer.ok || answer.redirected) return // signed out, or the server is being replaced: the page stays
  const fresh = new DOMParser().parseFromString(await answer.text(), 'text/html')
  for (const id of PARTS) replace(document.getElementById(id), fresh.getElementById(id))
  document.dispatchEvent(new Event('refreshed'))
}

/** Whoever has the focus on a button keeps it. */
function replace(old, fresh) {
  if (!old || !fresh || old.contains(document.activeElement)) return
  old.replaceChildren(...fresh.childNodes)
}

let soon = null

/** What cannot be asked for now is asked for again in a while. */
const ask = () => refresh().catch(() => {})

export function keepFresh() {
  setInterval(ask, EVERY)
  document.addEventListener('hurtchange', () => {
    clearTimeout(soon)
    soon = setTimeout(ask, 700)
  })
}
