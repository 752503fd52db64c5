import {
  type BaseConfig,
  type CheckpointLayout,
  type NamedTensor,
  type TokenModel,
  unknownName,
  withinLimits,
  withinParameters,
} from '@mneme/core-tensor'
import { sourceText } from '@mneme/core-tensor/io/byte-source'
import { type CheckpointLocation, directoryOf } from '@mneme/core-tensor/io/directory'
import { formatConfigJson, parseConfigJson } from '@mneme/core-tensor/io/json'
import { fromStored, storedNames, storedShape, toStored } from '@mneme/core-tensor/io/name-map'
import { type Checkpoint, openCheckpoint, writeCheckpoint } from '@mneme/core-tensor/io/sharded'
import type { CheckpointStore } from '@mneme/core-tensor/io/store'
import { type AnyPaper, loadPaper, publishedTypes } from './registry.js'

export interface LoadOptions {
  /** Which paper is to read the weights, where several can; else what `model_type` names. */
  readonly paper?: string
  /** Laid over what config.json says. */
  readonly config?: object
  /** What the folder holds, where its authors publish a variant under the name of its ancestor: 'svformer'. */
  readonly modelType?: string
  readonly signal?: AbortSignal
  /** Where what comes from an address is kept: in a browser `await caches.open('mneme')`. */
  readonly cache?: Pick<Cache, 'match' | 'put'>
  /** Called as tensors arrive. */
  readonly progressCallback?: (event: LoadProgress) => void
}

export interface LoadProgress {
  readonly status: 'initiate' | 'progress' | 'done'
  readonly loaded: number
  readonly total: number
}

export interface Pretrained {
  readonly model: TokenModel
  readonly paper: AnyPaper
  readonly config: BaseConfig
  /** config.json as it was, unknown keys included, for saving it back. */
  readonly published: Readonly<Record<string, unknown>>
}

/**
 * Loads a model from a published checkpoint in a folder, at an address (read tensor by tensor, by ranges), or among chosen
 * files: `config.json` and `model.safetensors`, or shards with their index. F16 and
 * BF16 are widened to float32. Nothing is left half-loaded: every tensor is checked by name and shape before the first
 * is read.
 *
 * @throws RangeError listing all missing, unexpected and misshapen tensors, for a configuration that no model can be built
 * from, and for weights that are not finite; SafetensorsError for a broken file
 */
export async function fromPretrained(location: CheckpointLocation, options: LoadOptions = {}): Promise<Pretrained> {
  const { signal, cache } = options
  const directory = directoryOf(location, { ...(signal && { signal }), ...(cache && { cache }) })
  const where = directory.name ?? 'checkpoint'
  const source = await directory.open('config.json')
  if (source === null) throw new Error(`${where}: expected config.json, got no such file. Is this a model's folder?`)
  const file = parseConfigJson(await sourceText(source), `${where}/config.json`)
  const published = options.modelType === undefined ? file : { ...file, model_type: options.modelType }
  const { paper, layout } = await paperOf(published, `${where}/config.json`, options.paper)
  const checkpoint = await openCheckpoint(directory)
  checkLayers(published, checkpoint, `${where}/config.json`)
  const { config, model } = built(`${where}/config.json`, paper.card.key, () => {
    const settled = withinLimits(`config of ${paper.card.key}`, layout.config(published), options.config)
    return {
      config: settled,
      model: withinParameters(`${where}/config.json`, room(checkpoint), () => paper.build(settled)),
    }
  })
  try {
    await loadInto(model, layout, config, checkpoint, where, options)
  } catch (error) {
    model.dispose()
    throw error
  }
  return { model, paper, config, published }
}

/** What goes wrong while a model is built from a file is that file's fault, and its name is said. */
function built<T>(where: string, key: string, build: () => T): T {
  try {
    return build()
  } catch (error) {
    const { message } = error as Error
    const said = message.startsWith(where)
      ? message
      : `${where}: expected what '${key}' can be built from, got: ${message}`
    throw new RangeError(said, { cause: error })
  }
}

/** A model has no more layers than tensors. @throws RangeError, before anything is made for each of them */
function checkLayers(published: Readonly<Record<string, unknown>>, { entries }: Checkpoint, where: string): void {
  for (const [key, value] of Object.entries(published)) {
    if (!/(layers?|blocks)$|^(depth|n_layer)$/.test(key) || typeof value !== 'number') continue
    if (Number.isInteger(value) && value >= 0 && value <= entries.size) continue
    throw new RangeError(
      `${where}, ${key}: expected a whole number up to ${entries.size}, the number of tensors, got ${value}.`,
    )
  }
}

/** Elements that parameters can fill from what is stored: some are shared or cut out of one tensor, and kept apart here. */
function room({ entries }: Checkpoint): number {
  const stored = Array.from(entries.values(), ({ shape }) => shape.reduce((size, n) => size * n, 1))
  return 4 * stored.reduce((total, size) => total + size, 0) + 2 ** 20
}

async function paperOf(
  published: Readonly<Record<string, unknown>>,
  where: string,
  asked?: string,
): Promise<{ paper: AnyPaper; layout: CheckpointLayout<BaseConfig> }> {
  const type =
    published.model_type ??
    String(published.reference ?? '')
      .split(',')
      .at(-1)
      ?.trim()
  const known = publishedTypes as Readonly<Record<string, string>>
  if (asked === undefined && (typeof type !== 'string' || !Object.hasOwn(known, type))) {
    throw new RangeError(unknownName(where, 'model_type', String(type), Object.keys(known)))
  }
  const paper = await loadPaper(asked ?? (known[type as string] as string))
  const layout = paper.checkpoint
  if (layout === undefined) throw new Error(`${where}: '${paper.card.key}' has no published layout.`)
  if (!layout.modelTypes.includes(String(type))) {
    throw new RangeError(`${where}: '${paper.card.key}' reads ${layout.modelTypes.join(', ')}, got '${type}'.`)
  }
  return { paper, layout }
}

async function loadInto(
  model: TokenModel,
  layout: CheckpointLayout<BaseConfig>,
  config: BaseConfig,
  checkpoint: Checkpoint,
  where: string,
  { signal, progressCallback }: LoadOptions,
): Promise<void> {
  const parameters = new Map(model.namedParameters())
  const names = namesIn(checkpoint, storedNames(parameters.keys(), layout.names(config)), layout.prefix)
  checkNames(model, layout, names, checkpoint, where)
  const tensors: Record<string, NamedTensor> = {}
  let loaded = 0
  progressCallback?.({ status: 'initiate', loaded, total: names.size })
  // a tensor that several parameters share is read once
  const shared = new Map<string, NamedTensor>()
  for (const [path, { name, rule }] of names) {
    signal?.throwIfAborted()
    const stored = shared.get(name) ?? (await readFloats(checkpoint, name, where))
    if ((rule.rows ?? rule.stack) !== undefined) shared.set(name, stored)
    tensors[path] = fromStored(stored, rule)
    loaded++
    progressCallback?.({ status: 'progress', loaded, total: names.size })
  }
  model.loadStateDict(tensors)
  progressCallback?.({ status: 'done', loaded, total: names.size })
}

/**
 * The names as this file has them: with the layout's prefix, or without where it has none with it; under another of their
 * names where the file has no tensor of the first.
 */
function namesIn(
  { entries }: Checkpoint,
  names: ReturnType<typeof storedNames>,
  prefix = '',
): ReturnType<typeof storedNames> {
  const prefixed = prefix === '' || [...entries.keys()].some((name) => name.startsWith(prefix))
  const found = (name: string): string => (!prefixed && name.startsWith(prefix) ? name.slice(prefix.length) : name)
  return new Map(
    Array.from(names, ([path, { name, rule }]) => {
      const other = entries.has(found(name)) ? undefined : rule.aliases?.find((alias) => entries.has(found(alias)))
      return [path, { name: found(other ?? name), rule }]
    }),
  )
}

function checkNames(
  model: TokenModel,
  layout: CheckpointLayout<BaseConfig>,
  names: ReturnType<typeof storedNames>,
  checkpoint: Checkpoint,
  where: string,
): void {
  const problems: string[] = []
  const expected = new Set<string>()
  const shapes = new Map(Array.from(model.namedParameters(), ([path, v]) => [path, v.shape]))
  for (const [path, { name, rule }] of names) {
    expected.add(name)
    const entry = checkpoint.entries.get(name)
    const wanted = storedShape(shapes.get(path) ?? [], rule)
    if (entry === undefined) problems.push(`  missing '${name}' [${wanted.join(', ')}]`)
    else if (entry.shape.join() !== wanted.join()) {
      problems.push(`  '${name}': expected [${wanted.join(', ')}], got [${entry.shape.join(', ')}]`)
    }
  }
  for (const name of checkpoint.entries.keys()) {
    if (expected.has(name) || layout.ignore?.some((pattern) => pattern.test(name))) continue
    problems.push(`  unexpected '${name}'`)
  }
  if (problems.length > 0) {
    throw new RangeError(`${where}: the tensors do not fit what config.json describes.\n${problems.join('\n')}`)
  }
}

async function readFloats(checkpoint: Checkpoint, name: string, where: string): Promise<NamedTensor> {
  const { shape, values } = await checkpoint.read(name)
  const floats = toFloat(values, name, where)
  const at = floats.findIndex((value) => !Number.isFinite(value))
  if (at < 0) return { shape, values: floats }
  throw new RangeError(`${where}: '${name}': expected finite weights, got ${floats[at]} at element ${at}.`)
}

function toFloat(values: ArrayLike<number> | BigInt64Array, name: string, where: string): Float32Array {
  if (values instanceof Float32Array) return values
  if (values instanceof BigInt64Array) throw new TypeError(`${where}: '${name}': expected floating values, got I64.`)
  return Float32Array.from(values as ArrayLike<number>)
}

/**
 * Writes a model as a published checkpoint: `config.json`, then `model.safetensors` under the published names, which
 * PyTorch's libraries read. Keys of `original` that this project does not know are kept.
 *
 * @throws Error if the paper has no published layout
 */
export async function savePretrained(
  store: CheckpointStore,
  { model, paper, config, published = {} }: Omit<Pretrained, 'published'> & Partial<Pick<Pretrained, 'published'>>,
): Promise<void> {
  const layout = paper.checkpoint
  if (layout === undefined) throw new Error(`savePretrained: '${paper.card.key}' has no published layout.`)
  const dict = await model.stateDict()
  const tensors = new Map(
    Array.from(
      toStored(dict, storedNames(Object.keys(dict), layout.names(config))),
      ([name, tensor]) => [name, { dtype: 'F32' as const, ...tensor }] as const,
    ),
  )
  await writeCheckpoint(store, tensors, { metadata: { format: 'pt' } })
  const text = formatConfigJson({ ...published, ...layout.publish(config) })
  await store.write('config.json', new TextEncoder().encode(`${text}\n`))
}
