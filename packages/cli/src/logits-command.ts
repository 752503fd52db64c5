import { fromPretrained } from '@mneme/models/pretrained'
import { logSoftmax, tensor2d, tidy } from '@tensorflow/tfjs-core'
import { releaseDevice, useDevice } from './device.js'
import { idsOf } from './generate-command.js'
import { checkpointFolder, UsageError } from './settings.js'

export interface LogitsFlags {
  readonly checkpoint: string
  readonly ids: string
  readonly top: number
  readonly device: string
  readonly json: boolean
}

/** `mneme logits`: what a published checkpoint says of the next token, after each of the given ones. */
export async function logitsCommand(flags: LogitsFlags): Promise<number> {
  const ids = idsOf(flags.ids)
  const directory = checkpointFolder(flags.checkpoint)
  const device = await useDevice(flags.device)
  const { model } = await fromPretrained(directory)
  try {
    const beyond = ids.find((id) => id < 0 || id >= model.vocabulary)
    if (beyond !== undefined) {
      throw new UsageError(`--ids: expected ids in [0, ${model.vocabulary}), got ${beyond}.`)
    }
    const [scores, logProbs] = tidy(() => {
      const { y } = model.forward(tensor2d(ids, [1, ids.length], 'int32'))
      return [y, logSoftmax(y)]
    }) as [ReturnType<typeof logSoftmax>, ReturnType<typeof logSoftmax>]
    const [values, logs] = [await scores.data(), await logProbs.data()]
    const V = model.vocabulary
    const row = (all: ArrayLike<number>, t: number): number[] =>
      Array.from({ length: V }, (_, v) => all[t * V + v] as number)
    if (flags.json) {
      const logits = ids.map((_, t) => row(values, t))
      process.stdout.write(`${JSON.stringify({ ids, shape: [ids.length, V], logits })}\n`)
    } else {
      for (const [t, id] of ids.entries()) {
        const likeliest = [...row(logs, t).entries()].sort(([, a], [, b]) => b - a).slice(0, flags.top)
        const said = likeliest.map(([next, log]) => `${next} (${(100 * Math.exp(log)).toFixed(1)} %)`).join('  ')
        process.stdout.write(`after ${id}: ${said}\n`)
      }
    }
    for (const t of [scores, logProbs]) t.dispose()
    return 0
  } finally {
    model.dispose()
    await releaseDevice(device)
  }
}
