import { blobSource, type HttpOptions, httpSource } from './byte-source.js'
import { type CheckpointDirectory, checkFileName } from './store.js'

/**
 * A folder behind an address: files are read by ranges, so that of a large file only what is asked for is loaded. For a
 * model on a hub that is `https://huggingface.co/<owner>/<model>/resolve/main`.
 *
 * @throws TypeError for what is no address
 */
export function httpDirectory(address: string | URL, options: HttpOptions = {}): CheckpointDirectory {
  const base = new URL(`${String(address).replace(/\/+$/, '')}/`)
  return {
    name: base.href.slice(0, -1),
    open: (name) =>
      httpSource(new URL(encodeURIComponent(checkFileName('httpDirectory.open', name)), base).href, options),
  }
}

/** Files that a user has chosen or dropped, by their names; folders above them do not matter. */
export function filesDirectory(files: Iterable<File>, name = 'files'): CheckpointDirectory {
  const byName = new Map(Array.from(files, (file) => [file.name, file]))
  return {
    name,
    open: async (file) => {
      const found = byName.get(file)
      return found === undefined ? null : blobSource(found, `${name}/${file}`)
    },
  }
}

/** Where a checkpoint may be: a folder of any kind, an address, or files. */
export type CheckpointLocation = CheckpointDirectory | string | URL | Iterable<File>

/** The folder that is meant. A text is an address: folders of a disk are `nodeDirectory`. */
export function directoryOf(location: CheckpointLocation, options: HttpOptions = {}): CheckpointDirectory {
  if (typeof location === 'string' || location instanceof URL) return httpDirectory(location, options)
  return Symbol.iterator in location ? filesDirectory(location) : location
}
