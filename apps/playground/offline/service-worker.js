// `version` and `files` are written in front of this when the app is built: see plugin.ts
/* global version, files */

const cacheName = `mneme ${version}`
/** Files that are asked for at a time, so that the page itself is not kept waiting. */
const atOnce = 4

/** Keeps every file of this build. A file that does not come fails the whole, and the browser tries again later. */
async function keepAll() {
  const cache = await caches.open(cacheName)
  const left = [...files]
  const fetchSome = async () => {
    for (let file = left.pop(); file !== undefined; file = left.pop()) {
      if ((await cache.match(file)) === undefined) await cache.add(new Request(file, { cache: 'no-cache' }))
    }
  }
  await Promise.all(Array.from({ length: atOnce }, fetchSome))
}

async function forgetOthers() {
  for (const name of await caches.keys()) {
    if (name.startsWith('mneme ') && name !== cacheName) await caches.delete(name)
  }
}

/** The page comes from the server where there is one, so that a new build is seen at once. */
async function page(request) {
  try {
    return await fetch(request)
  } catch (error) {
    const kept = await caches.match('./', { cacheName })
    if (kept === undefined) throw error
    return kept
  }
}

/** Names of assets change with their content: what is kept is right for ever. */
async function asset(request) {
  const cache = await caches.open(cacheName)
  const kept = await cache.match(request, { ignoreSearch: true })
  if (kept !== undefined) return kept
  const response = await fetch(request)
  if (response.ok && response.type === 'basic') await cache.put(request, response.clone())
  return response
}

addEventListener('install', (event) => event.waitUntil(keepAll()))
addEventListener('activate', (event) => event.waitUntil(forgetOthers().then(() => clients.claim())))
addEventListener('fetch', (event) => {
  const { request } = event
  const { origin, pathname } = new URL(request.url)
  if (request.method !== 'GET' || origin !== location.origin) return
  if (request.mode === 'navigate') event.respondWith(page(request))
  else if (pathname.includes('/assets/') || files.some((file) => pathname.endsWith(`/${file}`))) {
    event.respondWith(asset(request))
  }
})
