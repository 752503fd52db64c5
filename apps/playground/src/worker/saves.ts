import { browserStore } from '@mneme/core-tensor/io/browser-store'
import type { CheckpointStore } from '@mneme/core-tensor/io/store'
import { loadRun, type RunSnapshot, runFile, saveRun } from '@mneme/training'
import type { SavedHistory } from '../history'

const historyFile = 'history.json'
const indexFile = 'index.json'
/** Runs of other experiments are kept too, so that going back to one continues it; the oldest make room. */
const mostRuns = 12
const folder = 'mneme-playground'

/** What one run leaves in the browser: its checkpoint, and beside it the past that the chart shows. */
export class Saves {
  private constructor(
    private readonly all: CheckpointStore,
    private readonly store: CheckpointStore,
    private readonly key: string,
  ) {}

  static async open(key: string): Promise<Saves> {
    const all = await browserStore(folder)
    return new Saves(all, named(all, `${key}.`), key)
  }

  async load(): Promise<{ readonly snapshot: RunSnapshot; readonly history: SavedHistory | null } | null> {
    const snapshot = await loadRun(this.store)
    if (snapshot === null) return null
    const bytes = await this.store.read(historyFile)
    const history = bytes && (JSON.parse(new TextDecoder().decode(bytes)) as Partial<SavedHistory>)
    // one that was kept before steps had times is of no use
    return { snapshot, history: history?.times === undefined ? null : (history as SavedHistory) }
  }

  /** Where the browser has no room, older runs give way, one after the other. @throws what the browser says if none is left */
  async save(snapshot: RunSnapshot, history: SavedHistory): Promise<void> {
    for (;;) {
      try {
        await this.write(snapshot, history)
        return
      } catch (error) {
        if (!isFull(error) || !(await this.dropOldest())) throw error
      }
    }
  }

  /** The history goes first: what it has beyond the checkpoint is cut off when it is read, while a gap could not be filled. */
  private async write(snapshot: RunSnapshot, history: SavedHistory): Promise<void> {
    await this.store.write(historyFile, new TextEncoder().encode(JSON.stringify(history)))
    await saveRun(this.store, snapshot)
    await this.prune()
  }

  /** Removes the run that was saved longest ago. False if there is none but this one. */
  private async dropOldest(): Promise<boolean> {
    return navigator.locks.request(`${folder} index`, async () => {
      const others = (await this.keptRuns()).filter((key) => key !== this.key)
      const oldest = others.at(-1)
      if (oldest === undefined) return false
      await this.drop(oldest)
      await this.keepIndex((await this.keptRuns()).filter((key) => key !== oldest))
      return true
    })
  }

  /** Names of the runs that are kept, the last saved first. */
  private async keptRuns(): Promise<string[]> {
    const bytes = await this.all.read(indexFile)
    return bytes === null ? [] : JSON.parse(new TextDecoder().decode(bytes))
  }

  private async keepIndex(keys: readonly string[]): Promise<void> {
    await this.all.write(indexFile, new TextEncoder().encode(JSON.stringify(keys)))
  }

  private async drop(key: string): Promise<void> {
    await this.all.remove(`${key}.${runFile}`)
    await this.all.remove(`${key}.${historyFile}`)
  }

  async forget(): Promise<void> {
    await this.store.remove(runFile)
    await this.store.remove(historyFile)
  }

  /** Removes the runs that were saved longest ago. */
  private async prune(): Promise<void> {
    await navigator.locks.request(`${folder} index`, async () => {
      const before = await this.keptRuns()
      if (before[0] === this.key) return
      const keys = [this.key, ...before.filter((key) => key !== this.key)]
      for (const key of keys.slice(mostRuns)) await this.drop(key)
      await this.keepIndex(keys.slice(0, mostRuns))
    })
  }
}

/** Whether the browser has no room, whoever has wrapped what it said. */
function isFull(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  return error.name === 'QuotaExceededError' || isFull(error.cause)
}

/** The same store, with a prefix before every name. */
function named(store: CheckpointStore, prefix: string): CheckpointStore {
  return {
    read: (name) => store.read(prefix + name),
    write: (name, bytes) => store.write(prefix + name, bytes),
    remove: (name) => store.remove(prefix + name),
    list: async () =>
      (await store.list()).filter((name) => name.startsWith(prefix)).map((name) => name.slice(prefix.length)),
  }
}

/** Resolves to false after a while if another tab holds this run; otherwise it is held until this worker ends. */
export function holdRun(key: string): Promise<boolean> {
  return new Promise((resolve) => {
    const patience = AbortSignal.timeout(3000)
    const held = navigator.locks.request(`${folder} ${key}`, { signal: patience }, () => {
      resolve(true)
      return new Promise<never>(() => undefined)
    })
    held.catch(() => resolve(false))
  })
}
