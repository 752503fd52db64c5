/** Bytes of a file, and its name in the archive. */
export interface ZipEntry {
  readonly name: string
  readonly bytes: Uint8Array<ArrayBuffer>
}

const table = Uint32Array.from({ length: 256 }, (_, n) => {
  let c = n
  for (let k = 0; k < 8; k++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1
  return c >>> 0
})

function crc32(bytes: Uint8Array): number {
  let c = 0xffffffff
  for (const byte of bytes) c = (table[(c ^ byte) & 255] as number) ^ (c >>> 8)
  return (c ^ 0xffffffff) >>> 0
}

/**
 * An archive of stored files: weights do not compress, and so nothing is needed but headers. Names are UTF-8; times are
 * those of the format's first day.
 *
 * @throws RangeError past 4 GB, which takes another format
 */
export function zip(entries: readonly ZipEntry[]): Blob {
  const parts: BlobPart[] = []
  const directory: Uint8Array<ArrayBuffer>[] = []
  let at = 0
  for (const { name, bytes } of entries) {
    const encoded = new TextEncoder().encode(name)
    const checksum = crc32(bytes)
    const common = [20, 0x0800, 0, 0, 0x21, checksum, bytes.length, bytes.length, encoded.length, 0] as const
    const widths = [2, 2, 2, 2, 2, 4, 4, 4, 2, 2]
    const local = fields([0x04034b50, ...common], [4, ...widths])
    const central = fields([0x02014b50, 20, ...common, 0, 0, 0, 0, at], [4, 2, ...widths, 2, 2, 2, 4, 4])
    parts.push(local, encoded, bytes)
    directory.push(central, encoded)
    at += local.length + encoded.length + bytes.length
  }
  const size = directory.reduce((total, { length }) => total + length, 0)
  if (at + size > 0xffffffff) throw new RangeError(`zip: expected at most 4 GB, got ${at + size} bytes.`)
  const count = entries.length
  const end = fields([0x06054b50, 0, 0, count, count, size, at, 0], [4, 2, 2, 2, 2, 4, 4, 2])
  return new Blob([...parts, ...directory, end], { type: 'application/zip' })
}

/** Little-endian numbers, one after the other. */
function fields(values: readonly number[], widths: readonly number[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(widths.reduce((a, b) => a + b, 0))
  const view = new DataView(bytes.buffer)
  let at = 0
  for (const [i, width] of widths.entries()) {
    if (width === 4) view.setUint32(at, values[i] as number, true)
    else view.setUint16(at, values[i] as number, true)
    at += width
  }
  return bytes
}
