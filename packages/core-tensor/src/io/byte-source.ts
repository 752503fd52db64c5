/** Bytes at random access, so that one tensor can be read out of a large file. */
export interface ByteSource {
  /** What errors call it: a file name or an address. */
  readonly name?: string
  /** Length in bytes. */
  readonly size: number
  /** Bytes `[begin, end)` in memory of their own, which the caller may keep and change. */
  read(begin: number, end: number): Promise<Uint8Array>
}

/** A source over bytes in memory. */
export function bytesSource(bytes: Uint8Array, name = 'bytes'): ByteSource {
  return { name, size: bytes.length, read: async (begin, end) => new Uint8Array(bytes.subarray(begin, end)) }
}

/** A source over a Blob, such as a File that a user has chosen; only what is asked for is read from disk. */
export function blobSource(blob: Blob, name = blob instanceof File ? blob.name : 'blob'): ByteSource {
  return {
    name,
    size: blob.size,
    read: async (begin, end) => new Uint8Array(await blob.slice(begin, end).arrayBuffer()),
  }
}

/** Longest configuration, index or vocabulary that is read as text: 256 MB; published ones have up to 40. */
export const maxTextBytes = 2 ** 28

/**
 * The whole of a source as UTF-8.
 *
 * @throws RangeError before anything is read, if it is longer than `limit` bytes
 */
export async function sourceText(source: ByteSource, limit = maxTextBytes): Promise<string> {
  const { name = 'file', size } = source
  if (size > limit) throw new RangeError(`${name}: expected a text of at most ${limit} bytes, got ${size}.`)
  return new TextDecoder().decode(await source.read(0, size))
}

export interface HttpOptions {
  /** In the place of the global one. */
  readonly fetch?: typeof fetch
  readonly headers?: Readonly<Record<string, string>>
  readonly signal?: AbortSignal
  /** Where ranges that were read are kept: in a browser `await caches.open('mneme')`. Files without an ETag are not. */
  readonly cache?: Pick<Cache, 'match' | 'put'>
}

/**
 * A source over an address, by HTTP range requests; null if there is no such file (404). A server that ignores ranges
 * costs one download of the whole, kept in memory.
 *
 * @throws Error with the status of any other failure, or if the file changes between two reads
 */
export async function httpSource(url: string, options: HttpOptions = {}): Promise<ByteSource | null> {
  const first = await request(url, options, 0, 1)
  if (first.status === 404) return null
  if (first.status === 200) return bytesSource(new Uint8Array(await first.arrayBuffer()), url)
  const size = Number(/\/(\d+)$/.exec(first.headers.get('content-range') ?? '')?.[1] ?? Number.NaN)
  // an empty file has no byte 0 to send
  if (first.status === 416 && size === 0) return bytesSource(new Uint8Array(0), url)
  if (first.status !== 206) throw new Error(`${url}: expected status 206, got ${first.status} ${first.statusText}.`)
  if (!Number.isSafeInteger(size)) {
    throw new Error(`${url}: expected a Content-Range header with the size. Expose it (Access-Control-Expose-Headers).`)
  }
  await first.arrayBuffer()
  const version = first.headers.get('etag')
  const read = async (begin: number, end: number): Promise<Uint8Array> => {
    if (begin === end) return new Uint8Array(0)
    const place = version === null ? null : `${url}?bytes=${begin}-${end - 1}&version=${encodeURIComponent(version)}`
    const kept = place === null ? undefined : await options.cache?.match(place)
    if (kept !== undefined) return new Uint8Array(await kept.arrayBuffer())
    const response = await request(url, options, begin, end)
    if (response.status !== 206) {
      throw new Error(`${url}: expected status 206, got ${response.status} ${response.statusText}.`)
    }
    if (response.headers.get('etag') !== version) throw new Error(`${url}: changed while it was read. Load it again.`)
    const bytes = new Uint8Array(await response.arrayBuffer())
    // a full store must not stop the reading
    if (place !== null) await options.cache?.put(place, new Response(bytes)).catch(() => undefined)
    return bytes
  }
  return { name: url, size, read }
}

function request(url: string, options: HttpOptions, begin: number, end: number): Promise<Response> {
  const send = options.fetch ?? fetch
  return send(url, {
    headers: { ...options.headers, range: `bytes=${begin}-${end - 1}` },
    ...(options.signal && { signal: options.signal }),
  })
}
