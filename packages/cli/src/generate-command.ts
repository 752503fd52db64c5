import { type GenerateCall, Session, type TokenModel } from '@mneme/core-tensor'
import { nodeDirectory, nodeStore } from '@mneme/core-tensor/io/node-store'
import { fromPretrained } from '@mneme/models/pretrained'
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
  decode(ids: ArrayLike<number>): string
}

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
    for await (const token of session.generate(settings)) {
      ids.push(token.id)
      if (!flags.json) process.stdout.write(speaker.decode([token.id]))
    }
    const report = session.report()
    if (flags.json) process.stdout.write(`${JSON.stringify({ ids, text: speaker.decode(ids), report })}\n`)
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
    const { model } = await fromPretrained(nodeDirectory(checkpoint))
    const asIds = (): never => {
      throw new UsageError(
        'generate --checkpoint: expected --ids 1,2,3, since this folder has no tokenizer that is known here.',
      )
    }
    return { model, encode: asIds, decode: (ids) => `${Array.from(ids).join(' ')} ` }
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
    decode: (ids) => vocabulary.decode?.(ids) ?? `${Array.from(ids).join(' ')} `,
  }
}

function idsOf(text: string): number[] {
  const ids = text.split(',').map(Number)
  if (ids.every(Number.isInteger)) return ids
  throw new UsageError(`--ids ${text}: expected whole numbers with commas between them, such as 1,2,3.`)
}
