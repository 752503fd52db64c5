/**
 * What the page may load and run: its own files, nothing else. WebAssembly is compiled from them, text is never run as
 * code, and styles come from files.
 */
const directives = [
  "default-src 'self'",
  "script-src 'self' 'wasm-unsafe-eval'",
  "worker-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "object-src 'none'",
  "base-uri 'none'",
  "form-action 'none'",
]

/** For a `meta` element, where no server sets headers. */
export const metaPolicy = directives.join('; ')

/** For the header, which alone may say who frames the page. */
export const headerPolicy = [...directives, "frame-ancestors 'none'"].join('; ')
