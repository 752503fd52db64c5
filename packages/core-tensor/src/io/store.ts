import { type ByteSource, bytesSource } from './byte-source.js'

/**
 * Named files in one flat folder. `write` is atomic: after a crash at any moment, the name holds the old bytes or the
 * new, never a part; and once it has resolved, the new bytes are kept.
 */
export interface CheckpointStore {
  /** All bytes of a file, in memory of their own; null if there is none. */
  read(name: string): Promise<Uint8Array | null>
  /** Puts a file under a name, in the place of an earlier one: wholly, or not at all. */
  write(name: string, bytes: Uint8Array): Promise<void>
  /** Names in order of their code units. */
  list(): Promise<string[]>
  /** Removing what is not there is no error. */
  remove(name: string): Promise<void>
}

/** Files that can be read in part: what a checkpoint is loaded from. */
export interface CheckpointDirectory {
  /** What errors call it: a path or an address. */
  readonly name?: string
  /** A file, or null if there is none. */
  open(name: string): Promise<ByteSource | null>
}

/** A store that lives as long as the process: for tests, and as the last resort. */
export function memoryStore(): CheckpointStore {
  const files = new Map<string, Uint8Array>()
  return {
    read: async (name) => {
      const bytes = files.get(checkFileName('memoryStore.read', name))
      return bytes === undefined ? null : new Uint8Array(bytes)
    },
    write: async (name, bytes) => {
      files.set(checkFileName('memoryStore.write', name), new Uint8Array(bytes))
    },
    list: async () => [...files.keys()].sort(),
    remove: async (name) => {
      files.delete(checkFileName('memoryStore.remove', name))
    },
  }
}

/** A store as a directory; a file is read whole when it is opened. */
export function storeDirectory(store: CheckpointStore, name = 'store'): CheckpointDirectory {
  return {
    name,
    open: async (file) => {
      const bytes = await store.read(file)
      return bytes && bytesSource(bytes, `${name}/${file}`)
    },
  }
}

/**
 * The name itself, if it is a plain one that stays in its folder on every system.
 *
 * @throws RangeError for separators, `..`, a leading dot, a colon, control characters, or more than 200 characters
 */
export function checkFileName(where: string, name: string): string {
  if (name === '' || name.length > 200 || /^\.|\.\.|[/\\:]|\p{Cc}/u.test(name)) {
    throw new RangeError(
      `${where}: expected a plain file name, got ${JSON.stringify(name)}. Leave out folders and dots in front.`,
    )
  }
  return name
}
