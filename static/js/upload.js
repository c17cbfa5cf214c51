// Drop a file on the form, and see how much of it is sent. Without this script the form works as it is.
const form = document.getElementById('upload')
const drop = document.getElementById('drop')
const input = document.getElementById('id_file')
const word = document.getElementById('sending-word')

document.getElementById('drop-word').hidden = false
for (const kind of ['dragenter', 'dragover']) {
  drop.addEventListener(kind, (event) => { event.preventDefault(); drop.classList.add('over') })
}
for (const kind of ['dragleave', 'drop']) drop.addEventListener(kind, () => drop.classList.remove('over'))
drop.addEventListener('drop', (event) => {
  event.preventDefault()
  if (event.dataTransfer.files.length) input.files = event.dataTransfer.files
})

const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`

function tell(text) {
  document.getElementById('sending').hidden = false
  word.textContent = text
}

function ended(request) {
  if (request.status === 200 && request.responseURL && !request.responseURL.endsWith(form.dataset.here)) {
    location.assign(request.responseURL)
    return
  }
  const page = new DOMParser().parseFromString(request.responseText, 'text/html')
  const told = [...page.querySelectorAll('.errors li, .page h1')].map((item) => item.textContent.trim())
  const form_errors = [...page.querySelectorAll('.errors li')].map((item) => item.textContent.trim())
  tell((form_errors.length ? form_errors : told).join(' ') || 'It was not taken; try again.')
  word.className = 'bad-text'
  form.querySelector('button[type=submit]').disabled = false
}

form.dataset.here = location.pathname
form.addEventListener('submit', (event) => {
  event.preventDefault()
  const request = new XMLHttpRequest()
  request.open('POST', location.pathname)
  request.upload.addEventListener('progress', ({ loaded, total }) => {
    document.getElementById('sent').value = total ? loaded / total : 0
    tell(loaded < total ? `${megabytes(loaded)} of ${megabytes(total)} sent` : 'Sent; it is being stored.')
  })
  request.addEventListener('load', () => ended(request))
  request.addEventListener('error', () => { tell('The board did not answer; nothing was stored.'); form.querySelector('button[type=submit]').disabled = false })
  word.className = ''
  tell('Sending')
  request.send(new FormData(form))
  form.querySelector('button[type=submit]').disabled = true
})
