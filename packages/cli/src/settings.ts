import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseConfigJson } from '@mneme/core-tensor/io/json'
import { nodeDirectory } from '@mneme/core-tensor/io/node-store'
import { loadPaper } from '@mneme/models'
import { loadTask } from '@mneme/tasks'
import type { Catalogue } from '@mneme/training'

/** Papers and tasks as the registries have them. */
export const catalogue: Catalogue = { loadPaper, loadTask: loadTask as Catalogue['loadTask'] }

/** A mistake in how a command was called: reported without a stack, exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/**
 * The folder of a published checkpoint.
 *
 * @throws UsageError where it has no config.json
 */
export function checkpointFolder(path: string): ReturnType<typeof nodeDirectory> {
  if (existsSync(join(path, 'config.json'))) return nodeDirectory(path)
  throw new UsageError(
    `--checkpoint ${path}: expected a folder with config.json and safetensors, got ${existsSync(path) ? 'none in it' : 'no such folder'}. A run of mneme train keeps one in RUN/model.`,
  )
}

/**
 * `['dModel=64', 'cell=minLSTM']` to `{ dModel: 64, cell: 'minLSTM' }`: values are JSON where they parse as such, else
 * plain words.
 *
 * @throws UsageError for an entry without `=`
 */
export function pairsToObject(flag: string, pairs: readonly string[]): Record<string, unknown> {
  const entries = pairs.map((pair): [string, unknown] => {
    const at = pair.indexOf('=')
    if (at < 1) throw new UsageError(`${flag} ${pair}: expected key=value. For example: ${flag} dModel=64`)
    return [pair.slice(0, at), jsonOrText(pair.slice(at + 1))]
  })
  return Object.fromEntries(entries)
}

function jsonOrText(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return text
  }
}

/** Flags of every command that takes an experiment. */
export interface ExperimentFlags {
  readonly experiment?: string
  readonly paper?: string
  readonly task?: string
  readonly seed?: number
  readonly steps?: number
  readonly batch?: number
  readonly length?: number
  readonly lr?: number
  readonly config: readonly string[]
  readonly taskConfig: readonly string[]
  readonly train: readonly string[]
}

/** An experiment file, with the flags laid over it. Keys are checked later, in one place. */
export async function experimentFrom(flags: ExperimentFlags): Promise<Record<string, unknown>> {
  const file: Record<string, unknown> = flags.experiment === undefined ? {} : await readExperiment(flags.experiment)
  const { paper, task, seed, steps, batch, length, lr } = flags
  return {
    ...file,
    ...defined({ paper, task, seed }),
    config: { ...(file.config as object), ...pairsToObject('--config', flags.config) },
    taskConfig: { ...(file.taskConfig as object), ...pairsToObject('--task-config', flags.taskConfig) },
    train: {
      ...(file.train as object),
      ...defined({ steps, batch, length, lr }),
      ...pairsToObject('--train', flags.train),
    },
  }
}

async function readExperiment(path: string): Promise<Record<string, unknown>> {
  try {
    return parseConfigJson(await readFile(path, 'utf8'), path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT')
      throw new UsageError(`--experiment ${path}: expected a file, got none there.`)
    throw error
  }
}

function defined(values: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined))
}
