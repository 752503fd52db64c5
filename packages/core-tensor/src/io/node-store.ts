import { mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import type { ByteSource } from './byte-source.js'
import { type CheckpointDirectory, type CheckpointStore, checkFileName } from './store.js'

/** A temporary file this old was left by a crash, not by a writer that is still at work. */
const staleMs = 24 * 60 * 60 * 1000

/**
 * A store in a folder of the file system, made when first written to.
 *
 * A write goes to a temporary file beside the target, is flushed to the disk, and takes the name by a rename, which the
 * file system does as one; then the folder is flushed. If any of this fails (a full disk, a read-only folder) the old
 * file stays, the temporary one is removed, and the error is thrown.
 */
export function nodeStore(folder: string): CheckpointStore {
  const at = (where: string, name: string): string => join(folder, checkFileName(`nodeStore.${where}`, name))
  return {
    read: async (name) => {
      const bytes = await orNull(readFile(at('read', name)))
      return bytes && new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    },
    write: async (name, bytes) => {
      const target = at('write', name)
      await makeFolder('nodeStore.write', folder)
      try {
        await replace(folder, target, name, bytes)
      } catch (error) {
        const { message } = error as Error
        throw new Error(`nodeStore.write: could not write ${target}, which is as it was: ${message}.`, { cause: error })
      }
      await flushFolder(folder)
      await removeStale(folder, name).catch(() => undefined)
    },
    list: async () => {
      const found = (await orNull(readdir(folder, { withFileTypes: true }))) ?? []
      return found
        .filter((item) => item.isFile() && !item.name.startsWith('.'))
        .map((item) => item.name)
        .sort()
    },
    remove: async (name) => {
      const target = at('remove', name)
      await rm(target, { force: true })
      await orNull(flushFolder(folder))
    },
  }
}

/**
 * Makes a folder and those that it stands in, where they are not there yet. A step at a time: asked for all of them at
 * once, Node never comes back from a file system that says a folder it has is not there, as /proc does.
 *
 * @throws RangeError naming `where` if the folder cannot be made
 */
export async function makeFolder(where: string, folder: string): Promise<void> {
  try {
    await makeSteps(resolve(folder))
  } catch (error) {
    const { message } = error as Error
    throw new RangeError(
      `${where}: expected a folder that is there or can be made, got ${folder} (${message}). Name one where you may write.`,
      { cause: error },
    )
  }
}

async function makeSteps(folder: string): Promise<void> {
  if (await isFolder(folder)) return
  const above = dirname(folder)
  if (above !== folder) await makeSteps(above)
  try {
    await mkdir(folder)
  } catch (error) {
    // another process may have made it just now
    if (!(await isFolder(folder))) throw error
  }
}

async function isFolder(path: string): Promise<boolean> {
  return (await stat(path).catch(() => null))?.isDirectory() ?? false
}

let writes = 0

async function replace(folder: string, target: string, name: string, bytes: Uint8Array): Promise<void> {
  const temporary = join(folder, `.${name}.${process.pid}-${Date.now().toString(36)}-${writes++}.tmp`)
  try {
    const file = await open(temporary, 'wx')
    try {
      await file.writeFile(bytes)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(temporary, target)
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined)
    throw error
  }
}

/** Makes a rename last. Windows cannot open folders, and does not need it. */
async function flushFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

async function removeStale(folder: string, name: string): Promise<void> {
  const leftovers = (await readdir(folder)).filter((item) => item.startsWith(`.${name}.`) && item.endsWith('.tmp'))
  for (const item of leftovers) {
    const path = join(folder, item)
    const found = await orNull(stat(path))
    if (found && Date.now() - found.mtimeMs > staleMs) await rm(path, { force: true })
  }
}

async function orNull<T>(found: Promise<T>): Promise<T | null> {
  try {
    return await found
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
}

/** A folder to load a checkpoint from, tensor by tensor; no file is held open between reads. */
export function nodeDirectory(folder: string): CheckpointDirectory {
  return {
    name: folder,
    open: async (name) => {
      const path = join(folder, checkFileName('nodeDirectory.open', name))
      return (await orNull(stat(path))) && fileSource(path)
    },
  }
}

/**
 * A source over a file. The file is opened for each read.
 *
 * @throws Error if the file is replaced or changed between two reads
 */
export async function fileSource(path: string): Promise<ByteSource> {
  const { size, ino, mtimeMs } = await stat(path)
  const read = async (begin: number, end: number): Promise<Uint8Array> => {
    const file = await open(path, 'r')
    try {
      const now = await file.stat()
      if (now.ino !== ino || now.mtimeMs !== mtimeMs || now.size !== size) {
        throw new Error(`${path}: changed while it was read. Load it again.`)
      }
      return await readFully(file, begin, end)
    } finally {
      await file.close()
    }
  }
  return { name: path, size, read }
}

async function readFully(file: Awaited<ReturnType<typeof open>>, begin: number, end: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(end - begin)
  let done = 0
  // one call reads 2 GB at the most
  while (done < bytes.length) {
    const { bytesRead } = await file.read(bytes, done, Math.min(bytes.length - done, 2 ** 30), begin + done)
    if (bytesRead === 0) break
    done += bytesRead
  }
  return bytes.subarray(0, done)
}
