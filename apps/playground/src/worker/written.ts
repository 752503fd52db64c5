import { Session, type TokenModel } from '@mneme/core-tensor'

const mostTokens = 400
/** A slow model writes less rather than holding up its training. */
const mostMs = 1200

export interface WriteOptions {
  readonly seed: number
  readonly temperature: number
  readonly signal?: AbortSignal
}

/** What a model writes after some tokens, in about a second. */
export async function written(model: TokenModel, ids: ArrayLike<number>, options: WriteOptions): Promise<number[]> {
  const { seed, ...sampling } = options
  const session = new Session(model, { seed })
  const found: number[] = []
  try {
    session.feed(ids)
    const started = performance.now()
    for await (const { id } of session.generate({ maxNewTokens: mostTokens, ...sampling })) {
      found.push(id)
      if (performance.now() - started > mostMs) break
    }
  } finally {
    session.dispose()
  }
  return found
}
