import { type GenerateCall, Session, type TokenModel } from '@mneme/core-tensor'
import { nodeDirectory, nodeStore } from '@mneme/core-tensor/io/node-store'
import { fromPretrained } from '@mneme/models/pretrained'
import { pretrainedTokenizer, type StreamingDecoder } from '@mneme/tasks'
import { loadRun, Run, resolveExperiment } from '@mneme/training'
import { releaseDevice, useDevice } from './device.js'
import { catalogue, UsageError } from './settings.js'

export interface GenerateFlags {
  readonly run?: string
  readonly checkpoint?: string
  readonly prompt?: string
  readonly ids?: string
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

/** `mneme generate`: continues a prompt, token by token, from a training run or a published checkpoint. */
export async function generateCommand(flags: GenerateFlags): Promise<number> {
  const device = await useDevice(flags.device)
  const speaker = await speakerOf(flags)
  const prompt = flags.ids === undefined ? speaker.encode(flags.prompt ?? '\n') : idsOf(flags.ids)
  const abort = new AbortController()
  const interrupt = (): void => abort.abort()
  process.on('SIGINT', interrupt)
  const session = new Session(speaker.model, { seed: flags.seed })
  try {
    session.feed(prompt)
    if (!flags.json && flags.prompt !== undefined) process.stdout.write(flags.prompt)
    const { maxNewTokens, temperature, topK, topP, repetitionPenalty } = flags
    const settings: GenerateCall = { maxNewTokens, temperature, topK, topP, repetitionPenalty, signal: abort.signal }
    const ids: number[] = []
    const text: string[] = []
    const stream = speaker.stream()
    const say = (piece: string): void => {
      text.push(piece)
      if (!flags.json) process.stdout.write(piece)
    }
    for await (const token of session.generate(settings)) {
      ids.push(token.id)
      say(stream.push(token.id))
    }
    say(stream.flush())
    const report = session.report()
    if (flags.json) process.stdout.write(`${JSON.stringify({ ids, text: text.join(''), report })}\n`)
    else process.stdout.write('\n')
    process.stderr.write(
      `${report.completionTokens} tokens, ${Math.round(report.decodeTokensPerSecond)} tokens/s, ${report.stateBytes} bytes of state\n`,
    )
    return 0
  } finally {
    process.off('SIGINT', interrupt)
    session.dispose()
    speaker.model.dispose()
    await releaseDevice(device)
  }
}

async function speakerOf({ run, checkpoint }: GenerateFlags): Promise<Speaker> {
  if ((run === undefined) === (checkpoint === undefined)) {
    throw new UsageError(
      'generate: expected one of --run DIR (from mneme train) and --checkpoint DIR (config.json and safetensors).',
    )
  }
  if (checkpoint !== undefined) {
    const directory = nodeDirectory(checkpoint)
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
  const ids = text.split(',').map(Number)
  if (ids.every(Number.isInteger)) return ids
  throw new UsageError(`--ids ${text}: expected whole numbers with commas between them, such as 1,2,3.`)
}
