import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { nodeDirectory } from '@mneme/core-tensor/io/node-store'
import { parseSafetensors } from '@mneme/core-tensor/io/safetensors'
import type { CheckpointDirectory } from '@mneme/core-tensor/io/store'
import { logSoftmax, mean, mul, neg, oneHot, reshape, slice, sum, type Tensor, tensor } from '@tensorflow/tfjs-core'

/** Results of the authors' own code: a folder with weights or inputs, and what came out. */
export interface Golden {
  readonly name: string
  readonly folder: string
  readonly files: readonly string[]
  /** Float values of `file.safetensors` by name; ids are int32. */
  read(file: string): ReadonlyMap<string, GoldenTensor>
  /** A file of plain data beside the arrays, parsed. */
  json(file: string): Readonly<Record<string, unknown>>
}

export interface GoldenTensor {
  readonly shape: readonly number[]
  readonly values: Float32Array | Int32Array
}

const fixtures = fileURLToPath(new URL('../../../fixtures/goldens', import.meta.url))

/** Every golden there is: those in the repository, and those of the folder that MNEME_GOLDENS names. */
export function goldens(): Golden[] {
  const folders = [fixtures, process.env.MNEME_GOLDENS ?? ''].filter((folder) => folder !== '')
  const found = new Map<string, Golden>()
  for (const folder of folders) {
    if (!existsSync(folder)) throw new Error(`MNEME_GOLDENS: expected a folder, got '${folder}', which is not there.`)
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      if (entry.isDirectory()) found.set(entry.name, goldenOf(join(folder, entry.name)))
    }
  }
  return [...found.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
}

function goldenOf(folder: string): Golden {
  return {
    name: basename(folder),
    folder,
    files: readdirSync(folder),
    read: (file) => {
      const { tensors } = parseSafetensors(readFileSync(join(folder, `${file}.safetensors`)), file)
      return new Map([...tensors].map(([name, { shape, values }]) => [name, { shape, values: narrowed(values) }]))
    },
    json: (file) =>
      JSON.parse(readFileSync(join(folder, `${file}.json`), 'utf8').replace(/\bInfinity\b/g, '1e999')) as Record<
        string,
        unknown
      >,
  }
}

function narrowed(values: ArrayLike<number> | BigInt64Array): Float32Array | Int32Array {
  if (values instanceof Float32Array || values instanceof Int32Array) return values
  if (values instanceof BigInt64Array) return Int32Array.from(values, Number)
  return Float32Array.from(values as ArrayLike<number>)
}

/** An array of a file as a tensor, int32 where its numbers are whole by type. */
export function toTensor({ shape, values }: GoldenTensor): Tensor {
  return tensor(values, [...shape], values instanceof Int32Array ? 'int32' : 'float32')
}

/** Mean cross entropy of every next token, of logits `[B, T, V]` and ids `[B, T]`: the loss of stored gradients. */
export function nextTokenLoss(logits: Tensor, ids: Tensor): Tensor {
  const [B, T, V] = logits.shape as [number, number, number]
  const said = reshape(slice(logits, [0, 0, 0], [B, T - 1, V]), [B * (T - 1), V])
  const next = oneHot(reshape(slice(ids, [0, 1], [B, T - 1]), [B * (T - 1)]), V)
  return neg(mean(sum(mul(logSoftmax(said), next), 1)))
}

/** As a checkpoint folder; weights that are not in the published layout's file are offered under its name. */
export function goldenDirectory(golden: Golden): CheckpointDirectory {
  const directory = nodeDirectory(golden.folder)
  const published = golden.files.includes('model.safetensors') || golden.files.includes('model.safetensors.index.json')
  return {
    name: golden.name,
    open: (name) => directory.open(!published && name === 'model.safetensors' ? 'weights.safetensors' : name),
  }
}
