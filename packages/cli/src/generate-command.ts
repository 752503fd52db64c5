import { readFile } from 'node:fs/promises'
import { type BatchGenerateCall, BatchSession, Session, type SessionReport, type TokenModel } from '@mneme/core-tensor'
import { nodeStore } from '@mneme/core-tensor/io/node-store'
import { fromPretrained } from '@mneme/models/pretrained'
import { pretrainedTokenizer, type StreamingDecoder } from '@mneme/tasks'
import { loadRun, Run, resolveExperiment } from '@mneme/training'
import { releaseDevice, useDevice } from './device.js'
import { catalogue, checkpointFolder, UsageError } from './settings.js'

export interface GenerateFlags {
  readonly run?: string
  readonly checkpoint?: string
  /** Texts, and files of one on each line; or lists of ids in their place. */
  readonly prompt: readonly string[]
  readonly prompts?: string
  readonly ids: readonly string[]
  readonly maxNewTokens: number
  readonly temperature: number
  readonly topK: number
  readonly topP: number
  readonly repetitionPenalty: number
  readonly seed: number
  readonly device: string
  readonly json: boolean
}

interface Speaker {
  readonly model: TokenModel
  encode(text: string): ArrayLike<number>
  /** Text from tokens as they come. */
  stream(): StreamingDecoder
}

/** Where nothing is known of text, ids are shown. */
const idStream = (): StreamingDecoder => ({ push: (id) => `${id} `, flush: () => '' })

/** What a model is to go on from. */
interface Prompt {
  /** Null where ids were given. */
  readonly text: string | null
  readonly ids: ArrayLike<number>
}

/** What was drawn after one prompt. */
interface Continued {
  readonly ids: readonly number[]
  readonly text: string
}

/**
 * `mneme generate`: continues a prompt from a training run or a published checkpoint, token by token as they are drawn;
 * several prompts side by side in one batch, each printed when all are done.
 */
export async function generateCommand(flags: GenerateFlags): Promise<number> {
  const given = await promptsOf(flags)
  const device = await useDevice(flags.device)
  const abort = new AbortController()
  const interrupt = (): void => abort.abort()
  process.on('SIGINT', interrupt)
  try {
    const report = await withSpeaker(flags, (speaker) => {
      const prompts = given.map((one): Prompt => (one.ids ? one : { ...one, ids: speaker.encode(one.text) }))
      const { maxNewTokens, temperature, topK, topP, repetitionPenalty } = flags
      const call = { maxNewTokens, temperature, topK, topP, repetitionPenalty, signal: abort.signal }
      const [only, second] = prompts
      return only && !second ? one(speaker, only, flags, call) : several(speaker, prompts, flags, call)
    })
    process.stderr.write(
      `${given.length > 1 ? `${given.length} prompts, ` : ''}${report.completionTokens} tokens, ${Math.round(report.decodeTokensPerSecond)} tokens/s, ${report.stateBytes} bytes of state\n`,
    )
    return 0
  } finally {
    process.off('SIGINT', interrupt)
    await releaseDevice(device)
  }
}

async function withSpeaker<R>(flags: GenerateFlags, f: (speaker: Speaker) => Promise<R>): Promise<R> {
  const speaker = await speakerOf(flags)
  try {
    return await f(speaker)
  } finally {
    speaker.model.dispose()
  }
}

/** Each token is printed as it is drawn. */
async function one(
  speaker: Speaker,
  prompt: Prompt,
  { seed, json }: GenerateFlags,
  call: BatchGenerateCall,
): Promise<SessionReport> {
  const session = new Session(speaker.model, { seed })
  try {
    session.feed(prompt.ids)
    const say = (piece: string): void => void (json || process.stdout.write(piece))
    say(prompt.text ?? '')
    const row = new Row(speaker.stream())
    for await (const { id } of session.generate(call)) say(row.push(id))
    say(row.end())
    const report = session.report()
    process.stdout.write(json ? `${JSON.stringify({ ...row.continued, report })}\n` : '\n')
    return report
  } finally {
    session.dispose()
  }
}

/** Row by row, each under the place of its prompt. */
async function several(
  speaker: Speaker,
  prompts: readonly Prompt[],
  { seed, json }: GenerateFlags,
  call: BatchGenerateCall,
): Promise<SessionReport> {
  const batch = new BatchSession(
    speaker.model,
    prompts.map(({ ids }) => ids),
    { seed },
  )
  try {
    const rows = prompts.map(() => new Row(speaker.stream()))
    for await (const draws of batch.generate(call)) {
      for (const [i, drawn] of draws.entries()) if (drawn !== null) rows[i]?.push(drawn.id)
    }
    for (const row of rows) row.end()
    const report = batch.report()
    if (json) {
      const all = rows.map(({ continued }, i) => ({ prompt: prompts[i]?.text ?? null, ...continued }))
      process.stdout.write(`${JSON.stringify({ prompts: all, report })}\n`)
    } else {
      for (const [i, { continued }] of rows.entries()) {
        process.stdout.write(`--- ${i + 1} of ${rows.length}\n${prompts[i]?.text ?? ''}${continued.text}\n`)
      }
    }
    return report
  } finally {
    batch.dispose()
  }
}

/** What one prompt was continued with. */
class Row {
  private readonly ids: number[] = []
  private readonly pieces: string[] = []

  constructor(private readonly stream: StreamingDecoder) {}

  /** The text that can be shown now. */
  push(id: number): string {
    this.ids.push(id)
    return this.add(this.stream.push(id))
  }

  end(): string {
    return this.add(this.stream.flush())
  }

  get continued(): Continued {
    return { ids: this.ids, text: this.pieces.join('') }
  }

  private add(piece: string): string {
    this.pieces.push(piece)
    return piece
  }
}

type Given = { readonly text: string; readonly ids?: never } | { readonly text: null; readonly ids: readonly number[] }

/** Prompts in the order in which they were given, texts before the lines of a file; a new line where there are none. */
async function promptsOf({ prompt, prompts, ids }: GenerateFlags): Promise<Given[]> {
  if (ids.length > 0 && (prompt.length > 0 || prompts !== undefined)) {
    throw new UsageError('generate: expected --ids, or texts by --prompt and --prompts, got both.')
  }
  if (ids.length > 0) return ids.map((list) => ({ text: null, ids: idsOf(list) }))
  if (prompt.includes(''))
    throw new UsageError('--prompt: expected a text, got an empty one. Leave it out for a new line.')
  const lines = prompts === undefined ? [] : await linesOf(prompts)
  const texts = [...prompt, ...lines]
  return (texts.length > 0 ? texts : ['\n']).map((text) => ({ text }))
}

/** @throws UsageError where there is no file, or nothing in it */
async function linesOf(path: string): Promise<string[]> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new UsageError(`--prompts ${path}: expected a file of one prompt a line, got ${error.code ?? error.message}.`)
  })
  const lines = text.split(/\r?\n/).filter((line) => line !== '')
  if (lines.length === 0) throw new UsageError(`--prompts ${path}: expected one prompt a line, got none.`)
  return lines
}

async function speakerOf({ run, checkpoint }: GenerateFlags): Promise<Speaker> {
  if ((run === undefined) === (checkpoint === undefined)) {
    throw new UsageError(
      'generate: expected one of --run DIR (from mneme train) and --checkpoint DIR (config.json and safetensors).',
    )
  }
  if (checkpoint !== undefined) {
    const directory = checkpointFolder(checkpoint)
    const tokenizer = await pretrainedTokenizer(directory)
    const { model } = await fromPretrained(directory)
    const asIds = (): never => {
      throw new UsageError('generate --checkpoint: expected --ids 1,2,3, since this folder has no tokenizer.json.')
    }
    return {
      model,
      encode: tokenizer === null ? asIds : (text) => tokenizer.encode(text),
      stream: tokenizer === null ? idStream : () => tokenizer.stream(),
    }
  }
  const snapshot = await loadRun(nodeStore(run as string))
  if (snapshot === null) throw new UsageError(`--run ${run}: expected a run there, got none.`)
  const setup = await resolveExperiment(snapshot.experiment, catalogue)
  const vocabulary = await setup.task.vocabulary(setup.taskConfig)
  const restored = await Run.create(setup)
  restored.restore(snapshot)
  restored.optimizer.dispose()
  return {
    model: restored.model,
    encode: (text) => {
      if (vocabulary.encode === undefined)
        throw new UsageError(`generate: task '${setup.task.key}' has no text; give --ids 1,2,3.`)
      return vocabulary.encode(text)
    },
    stream: () => vocabulary.stream?.() ?? { push: (id) => vocabulary.decode?.([id]) ?? `${id} `, flush: () => '' },
  }
}

/** @throws UsageError unless the text is a list of whole numbers */
export function idsOf(text: string): number[] {
  const words = text.split(',').map((word) => word.trim())
  if (words.every((word) => /^-?\d+$/.test(word))) return words.map(Number)
  throw new UsageError(`--ids ${text}: expected whole numbers with commas between them, such as 1,2,3.`)
}
