import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { nodeStore } from '@mneme/core-tensor/io/node-store'
import { loadPaper } from '@mneme/models'
import { loadTask } from '@mneme/tasks'
import { loadRun, Run, resolveExperiment, train } from '@mneme/training'
import '@tensorflow/tfjs-backend-cpu'

const mount = (...args) => execFileSync('mount', args, { stdio: 'ignore' })

/**
 * Trains into a file system of memory that then is full, and then is read-only. The checkpoint that was there has to be
 * the one that is there afterwards.
 *
 * @returns what was told each time and the step of the checkpoint that was left; null where mounting is not allowed
 */
export async function fullAndReadOnly() {
  const folder = mkdtempSync(join(tmpdir(), 'mneme-disk-'))
  try {
    mount('-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', folder)
  } catch {
    rmSync(folder, { recursive: true })
    return null
  }
  try {
    const store = nodeStore(folder)
    const run = await started()
    for (let i = 0; i < 3; i++) await run.advance()
    await consume(train(run, { store, signal: AbortSignal.abort() }))
    const filler = new Uint8Array(64 * 1024)
    for (let i = 0; ; i++) {
      try {
        await store.write(`filler-${i}`, filler)
      } catch {
        break
      }
    }
    const full = await attempt(run, store)
    mount('-o', 'remount,ro', folder)
    return { full, readOnly: await attempt(run, store) }
  } finally {
    execFileSync('umount', [folder])
    rmSync(folder, { recursive: true })
  }
}

async function started() {
  const config = { dModel: 32, nLayers: 2 }
  const settings = { steps: 100, batch: 2, length: 8, evalEvery: 0, checkpointEvery: 1 }
  return Run.create(await resolveExperiment({ config, train: settings }, { loadPaper, loadTask }))
}

async function attempt(run, store) {
  const told = await consume(train(run, { store })).then(
    () => 'nothing',
    ({ message }) => message,
  )
  return { told, left: (await loadRun(store))?.step ?? null }
}

async function consume(events) {
  for await (const _ of events);
}
