import type { BaseConfig, NamedTensor, TokenModel } from '@mneme/core-tensor'
import { filesDirectory } from '@mneme/core-tensor/io/directory'
import { openCheckpoint, singleFile } from '@mneme/core-tensor/io/sharded'
import type { CheckpointDirectory } from '@mneme/core-tensor/io/store'
import type { AnyPaper } from '@mneme/models'
import { fromPretrained } from '@mneme/models/pretrained'
import { pretrainedTokenizer, type StreamingDecoder } from '@mneme/tasks'
import { resolved } from '../setup'

/** Written beside a checkpoint that was trained here: how it was trained, and so what its tokens mean. */
export const experimentFile = 'experiment.json'

/** How tokens read; without a tokenizer they are numbers. */
export interface Words {
  encode?(text: string): ArrayLike<number>
  decode?(ids: ArrayLike<number>): string
  stream?(): StreamingDecoder
}

/** A model from files, ready to be asked. */
export interface Opened {
  readonly paper: AnyPaper
  readonly model: TokenModel
  readonly config: BaseConfig
  readonly words: Words
  /** In what layout it was: that of its authors, or this project's own. */
  readonly layout: 'published' | 'own'
}

let current: Opened | null = null

/** @throws Error if nothing has been opened */
export function opened(): Opened {
  if (current === null) throw new Error('No checkpoint is open. Choose its files first.')
  return current
}

/** Opens a checkpoint in place of the one before. @throws what `fromPretrained` throws */
export async function open(
  files: readonly File[],
  onProgress: (loaded: number, total: number) => void,
): Promise<Opened> {
  current?.model.dispose()
  current = null
  const directory = filesDirectory(renamed(files))
  const experiment = await textOf(directory, experimentFile)
  const published = await directory.open('config.json')
  if (published === null && experiment !== null) current = await ownLayout(directory, experiment)
  else {
    const progressCallback = ({ loaded, total }: { loaded: number; total: number }): void => onProgress(loaded, total)
    const { model, paper, config } = await fromPretrained(directory, { progressCallback })
    current = { model, paper, config, words: await wordsOf(directory, experiment), layout: 'published' }
  }
  return current
}

/** A single file of tensors may have any name. */
function renamed(files: readonly File[]): File[] {
  const tensors = files.filter(({ name }) => name.endsWith('.safetensors'))
  const index = files.some(({ name }) => name.endsWith('.index.json'))
  if (tensors.length !== 1 || index) return [...files]
  return files.map((file) => (file === tensors[0] ? new File([file], singleFile) : file))
}

async function ownLayout(directory: CheckpointDirectory, text: string): Promise<Opened> {
  const { paper, config } = await resolved(JSON.parse(text))
  const checkpoint = await openCheckpoint(directory)
  const model = paper.build(config)
  try {
    const tensors = await Promise.all(
      Array.from(checkpoint.entries.keys(), async (name): Promise<[string, NamedTensor]> => {
        const { shape, values } = await checkpoint.read(name)
        return [name, { shape, values: Float32Array.from(values as ArrayLike<number>) }]
      }),
    )
    model.loadStateDict(Object.fromEntries(tensors))
  } catch (error) {
    model.dispose()
    throw error
  }
  return { model, paper, config, words: await wordsOf(directory, text), layout: 'own' }
}

async function wordsOf(directory: CheckpointDirectory, experiment: string | null): Promise<Words> {
  const tokenizer = await pretrainedTokenizer(directory)
  if (tokenizer !== null) return tokenizer
  if (experiment === null) return {}
  const { task, taskConfig } = await resolved(JSON.parse(experiment))
  return task.vocabulary(taskConfig)
}

async function textOf(directory: CheckpointDirectory, name: string): Promise<string | null> {
  const source = await directory.open(name)
  return source && new TextDecoder().decode(await source.read(0, source.size))
}
