import { sourceText } from './byte-source.js'
import { parseConfigJson } from './json.js'
import {
  readHeader,
  readTensor,
  SafetensorsError,
  type SafetensorsTensor,
  type TensorEntry,
  type TensorsToWrite,
  type TensorToWrite,
  writeSafetensors,
} from './safetensors.js'
import { byteSize } from './safetensors-header.js'
import { entriesOf } from './safetensors-writer.js'
import { type CheckpointDirectory, type CheckpointStore, checkFileName } from './store.js'

export const singleFile = 'model.safetensors'
export const indexFile = 'model.safetensors.index.json'

/** The tensors of a checkpoint, whichever file each is in. */
export interface Checkpoint {
  readonly entries: ReadonlyMap<string, TensorEntry>
  /** Of the single file, or of the first shard. */
  readonly metadata: ReadonlyMap<string, string>
  /**
   * Reads one tensor, and nothing else.
   *
   * @throws SafetensorsError if there is no such tensor
   */
  read(name: string): Promise<SafetensorsTensor>
}

/**
 * Opens `model.safetensors`, or else the shards of `model.safetensors.index.json`; reads headers only. The index decides
 * what belongs to the checkpoint: what a shard holds beyond it is left out.
 *
 * @throws SafetensorsError naming every missing shard, or every tensor that is not in its shard
 */
export async function openCheckpoint(directory: CheckpointDirectory): Promise<Checkpoint> {
  const where = directory.name ?? 'checkpoint'
  const single = await directory.open(singleFile)
  if (single !== null) {
    const header = await readHeader(single)
    return { entries: header.tensors, metadata: header.metadata, read: (name) => readTensor(single, header, name) }
  }
  const index = await directory.open(indexFile)
  if (index === null) {
    throw new SafetensorsError(
      where,
      null,
      `expected ${singleFile} or ${indexFile}, got neither. Is this a model's folder?`,
    )
  }
  const { weightMap } = parseShardIndex(await sourceText(index), `${where}/${indexFile}`)
  return openShards(directory, where, weightMap)
}

/** What an index file says. */
export interface ShardIndex {
  /** Shard file by tensor name. */
  readonly weightMap: ReadonlyMap<string, string>
  /** Bytes of all tensors as the writer has counted them; writers differ on tied weights. */
  readonly totalSize: number | null
}

/**
 * Reads an index. A shard must be a plain file name: an index from elsewhere must not reach outside its folder.
 *
 * @throws SafetensorsError
 */
export function parseShardIndex(text: string, file = indexFile): ShardIndex {
  let index: Record<string, unknown>
  try {
    index = parseConfigJson(text, file)
  } catch (error) {
    throw new SafetensorsError(file, null, `expected a shard index, got ${(error as Error).message}`, { cause: error })
  }
  const { weight_map: map, metadata } = index
  if (typeof map !== 'object' || map === null || Array.isArray(map)) {
    throw new SafetensorsError(file, null, `expected weight_map to be an object, got ${JSON.stringify(map)}.`)
  }
  const weightMap = new Map<string, string>()
  for (const [tensor, shard] of Object.entries(map)) weightMap.set(tensor, shardName(file, tensor, shard))
  const total = (metadata as { total_size?: unknown } | null | undefined)?.total_size
  return { weightMap, totalSize: typeof total === 'number' ? total : null }
}

function shardName(file: string, tensor: string, shard: unknown): string {
  if (typeof shard !== 'string') {
    throw new SafetensorsError(file, tensor, `expected the name of a shard, got ${JSON.stringify(shard)}.`)
  }
  try {
    return checkFileName(file, shard)
  } catch (error) {
    throw new SafetensorsError(file, tensor, `expected a shard in the same folder, got ${JSON.stringify(shard)}.`, {
      cause: error,
    })
  }
}

async function openShards(
  directory: CheckpointDirectory,
  where: string,
  weightMap: ReadonlyMap<string, string>,
): Promise<Checkpoint> {
  const names = [...new Set(weightMap.values())].sort()
  const opened = await Promise.all(names.map((name) => directory.open(name)))
  const absent = names.filter((_, i) => opened[i] === null)
  if (absent.length > 0) {
    throw new SafetensorsError(
      where,
      null,
      `expected ${names.length} shards, got all but ${absent.join(', ')}. Fetch what is missing.`,
    )
  }
  const shards = new Map(
    await Promise.all(
      opened.flatMap((source, i) =>
        source ? [readHeader(source).then((header) => [names[i] as string, { source, header }] as const)] : [],
      ),
    ),
  )
  const entries = new Map<string, TensorEntry>()
  const missing: string[] = []
  for (const [tensor, shard] of weightMap) {
    const entry = shards.get(shard)?.header.tensors.get(tensor)
    if (entry === undefined) missing.push(`'${tensor}' in ${shard}`)
    else entries.set(tensor, entry)
  }
  if (missing.length > 0) {
    throw new SafetensorsError(
      where,
      null,
      `expected the tensors that ${indexFile} lists, got no ${missing.join(', no ')}.`,
    )
  }
  const read = (name: string): Promise<SafetensorsTensor> => {
    const shard = shards.get(weightMap.get(name) ?? '')
    if (shard === undefined) {
      return Promise.reject(
        new SafetensorsError(where, name, `expected one of ${entries.size} tensors, got no such name.`),
      )
    }
    return readTensor(shard.source, shard.header, name)
  }
  return { entries, metadata: shards.get(names[0] ?? '')?.header.metadata ?? new Map(), read }
}

export interface WriteCheckpointOptions {
  /** Tensors are put into shards of at most this many bytes; a larger tensor gets one of its own. 5 GB by default. */
  readonly maxShardBytes?: number
  readonly metadata?: Readonly<Record<string, string>>
}

/**
 * Writes `model.safetensors`, or numbered shards and then their index, under the names that transformers writes; files
 * of an earlier checkpoint are removed at the end. A crash leaves the old checkpoint or the new, with one exception: where
 * shards are replaced by as many others, it may leave neither, and then opening it fails.
 *
 * @throws SafetensorsError as `writeSafetensors`
 */
export async function writeCheckpoint(
  store: CheckpointStore,
  tensors: TensorsToWrite,
  options: WriteCheckpointOptions = {},
): Promise<void> {
  const shards = planShards(entriesOf(tensors), options.maxShardBytes ?? 5_000_000_000)
  const names =
    shards.length > 1
      ? shards.map((_, i) => `model-${numbered(i + 1)}-of-${numbered(shards.length)}.safetensors`)
      : [singleFile]
  const earlier = (await store.list()).filter(
    (name) => name === singleFile || name === indexFile || shardPattern.test(name),
  )
  // an old index over new shards of the same names would open, with tensors of both
  if (shards.length > 1 && names.some((name) => earlier.includes(name))) await store.remove(indexFile)
  for (const [i, name] of names.entries()) {
    await store.write(name, writeSafetensors(new Map(shards[i] ?? []), options.metadata, name))
  }
  if (shards.length > 1) {
    await store.write(indexFile, indexBytes(shards, names))
    names.push(indexFile)
  }
  for (const name of earlier) if (!names.includes(name)) await store.remove(name)
}

const shardPattern = /^model-\d{5,6}-of-\d{5,6}\.safetensors$/

function indexBytes(shards: readonly Shard[], names: readonly string[]): Uint8Array {
  const entries = shards.flatMap((shard, i) => shard.map(([tensor]) => [tensor, names[i]] as const))
  const total = shards.flat().reduce((sum, [, tensor]) => sum + bytesOf(tensor), 0)
  // fromEntries makes own keys of all names, __proto__ too
  const index = { metadata: { total_size: total }, weight_map: Object.fromEntries(entries) }
  return new TextEncoder().encode(`${JSON.stringify(index, null, 2)}\n`)
}

function numbered(n: number): string {
  return String(n).padStart(5, '0')
}

type Shard = [name: string, tensor: TensorToWrite][]

function planShards(entries: Shard, maxBytes: number): Shard[] {
  const shards: Shard[] = []
  let room = 0
  for (const entry of entries) {
    const bytes = bytesOf(entry[1])
    const last = shards.at(-1)
    if (last === undefined || bytes > room) {
      shards.push([entry])
      room = maxBytes - bytes
    } else {
      last.push(entry)
      room -= bytes
    }
  }
  return shards
}

function bytesOf({ shape, values, dtype }: TensorToWrite): number {
  return (dtype && byteSize(shape, dtype)) ?? values.byteLength
}
