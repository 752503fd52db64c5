import { type CheckpointStore, checkFileName } from './store.js'

/** The DOM types lack `move`. */
interface MovableFile extends FileSystemFileHandle {
  move?(name: string): Promise<void>
}

/** What the store needs of a browser; tests pass their own. */
export interface BrowserStorage {
  readonly storage?: Pick<StorageManager, 'getDirectory'> | undefined
  readonly indexedDB?: IDBFactory | undefined
}

/**
 * A store in the browser, kept between visits, for this origin only.
 *
 * Files lie in the origin's private file system where it can both write and move files: a write goes to a temporary
 * file, which then takes the name by a move. Elsewhere they lie in IndexedDB, whose transactions are atomic. A browser
 * may drop either when it runs out of space, unless `navigator.storage.persist()` has been granted.
 *
 * @param folder name of the folder or database: stores of different names do not see each other's files
 * @throws Error if the browser offers neither (some do so in private windows)
 */
export async function browserStore(folder = 'mneme', given?: BrowserStorage): Promise<CheckpointStore> {
  checkFileName('browserStore', folder)
  const { storage, indexedDB }: BrowserStorage = given ?? {
    storage: globalThis.navigator?.storage,
    indexedDB: globalThis.indexedDB,
  }
  const files = await privateFolder(folder, storage)
  if (files !== null) {
    await removeStale(files).catch(() => undefined)
    return fileStore(files)
  }
  if (indexedDB !== undefined) return databaseStore(folder, indexedDB)
  throw new Error(
    'browserStore: expected a private file system or IndexedDB, got neither. Use memoryStore() and download.',
  )
}

/** The folder, if files in it can be written and moved. */
async function privateFolder(
  folder: string,
  storage: BrowserStorage['storage'],
): Promise<FileSystemDirectoryHandle | null> {
  if (storage?.getDirectory === undefined) return null
  try {
    const root = await storage.getDirectory()
    const files = await root.getDirectoryHandle(folder, { create: true })
    // two tabs may do this at once, so each takes a name of its own
    const name = `.${crypto.randomUUID()}.tmp`
    const probe: MovableFile = await files.getFileHandle(name, { create: true })
    const usable = probe.createWritable !== undefined && probe.move !== undefined
    await files.removeEntry(name)
    return usable ? files : null
  } catch {
    return null
  }
}

/** Temporary files of an earlier visit that ended in the midst of a write; a young one may be another tab's. */
async function removeStale(files: FileSystemDirectoryHandle): Promise<void> {
  const dayAgo = Date.now() - 24 * 60 * 60 * 1000
  const stale: string[] = []
  for await (const [name, handle] of files.entries()) {
    if (!name.startsWith('.') || !(handle instanceof FileSystemFileHandle)) continue
    if ((await handle.getFile()).lastModified < dayAgo) stale.push(name)
  }
  for (const name of stale) await files.removeEntry(name)
}

function fileStore(files: FileSystemDirectoryHandle): CheckpointStore {
  return {
    read: async (name) => {
      try {
        const handle = await files.getFileHandle(checkFileName('browserStore.read', name))
        return new Uint8Array(await (await handle.getFile()).arrayBuffer())
      } catch (error) {
        if (isAbsent(error)) return null
        throw error
      }
    },
    write: async (name, bytes) => {
      checkFileName('browserStore.write', name)
      // two moves to one name at the same time fail, from two tabs as well
      await navigator.locks.request(`mneme ${files.name}/${name}`, () => replace(files, name, bytes))
    },
    list: async () => {
      const names: string[] = []
      for await (const [name, { kind }] of files.entries()) {
        if (kind === 'file' && !name.startsWith('.')) names.push(name)
      }
      return names.sort()
    },
    remove: async (name) => {
      try {
        await files.removeEntry(checkFileName('browserStore.remove', name))
      } catch (error) {
        if (!isAbsent(error)) throw error
      }
    },
  }
}

async function replace(files: FileSystemDirectoryHandle, name: string, bytes: Uint8Array): Promise<void> {
  const temporary = `.${name}.${crypto.randomUUID()}.tmp`
  try {
    const handle: MovableFile = await files.getFileHandle(temporary, { create: true })
    await fill(handle, bytes)
    await handle.move?.(name)
  } catch (error) {
    await discard(files, temporary)
    throw failed(name, error)
  }
}

async function fill(handle: FileSystemFileHandle, bytes: Uint8Array): Promise<void> {
  const stream = await handle.createWritable()
  try {
    await stream.write(bytes as Uint8Array<ArrayBuffer>)
    await stream.close()
  } catch (error) {
    // an open stream locks the file, which then could not be removed
    await stream.abort().catch(() => undefined)
    throw error
  }
}

/** A lock may outlast its stream by some milliseconds. What still cannot be removed, a later visit removes. */
async function discard(files: FileSystemDirectoryHandle, temporary: string): Promise<void> {
  for (let waitMs = 5; waitMs < 500; waitMs *= 3) {
    const removed = await files.removeEntry(temporary).then(() => true, isAbsent)
    if (removed) return
    await new Promise((resolve) => setTimeout(resolve, waitMs))
  }
}

function isAbsent(error: unknown): boolean {
  return error instanceof DOMException && error.name === 'NotFoundError'
}

function failed(name: string, cause: unknown): Error {
  const { message } = cause as Error
  return new Error(
    `browserStore.write: could not write ${name}, which is as it was: ${message}. Is there space left?`,
    { cause },
  )
}

const table = 'files'

async function databaseStore(folder: string, factory: IDBFactory): Promise<CheckpointStore> {
  const request = factory.open(folder, 1)
  request.onupgradeneeded = () => {
    request.result.createObjectStore(table)
  }
  const database = await result(request)
  return {
    read: async (name) => {
      checkFileName('browserStore.read', name)
      const found: unknown = await result(database.transaction(table).objectStore(table).get(name))
      return found instanceof Uint8Array ? found : null
    },
    write: async (name, bytes) => {
      checkFileName('browserStore.write', name)
      try {
        // a view is stored with all of the memory behind it
        await change(database, (files) => files.put(new Uint8Array(bytes), name))
      } catch (error) {
        throw failed(name, error)
      }
    },
    list: async () => (await result(database.transaction(table).objectStore(table).getAllKeys())).map(String).sort(),
    remove: async (name) => {
      checkFileName('browserStore.remove', name)
      await change(database, (files) => files.delete(name))
    },
  }
}

function result<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })
}

/** A request that succeeds may still be undone: only the end of its transaction is final. */
function change(database: IDBDatabase, f: (files: IDBObjectStore) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const transaction = database.transaction(table, 'readwrite', { durability: 'strict' })
    transaction.oncomplete = () => resolve()
    transaction.onabort = () => reject(transaction.error)
    transaction.onerror = () => reject(transaction.error)
    f(transaction.objectStore(table))
  })
}
