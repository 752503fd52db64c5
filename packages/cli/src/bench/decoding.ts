import { Session } from '@mneme/core-tensor'
import { createModel } from '@mneme/models'

export interface DecodingRow {
  readonly paper: string
  readonly parameters: number
  /** Median over single tokens, in microseconds. */
  readonly tokenUs: number
  /** What reading every weight once takes at the measured copy bandwidth. */
  readonly weightsUs: number
}

/** One token after the other from a model of four layers, 256 wide, set beside the time to read its weights. */
export async function benchDecoding(papers: Readonly<Record<string, object>>, copyGBs: number): Promise<DecodingRow[]> {
  const rows: DecodingRow[] = []
  for (const [paper, widths] of Object.entries(papers)) {
    const model = await createModel(paper, { vocabulary: 256, dModel: 256, nLayers: 4, ...widths })
    const session = new Session(model)
    session.feed([1])
    const samples: number[] = []
    let since = performance.now()
    for await (const _ of session.generate({ maxNewTokens: 400 })) {
      samples.push(1000 * (performance.now() - since))
      since = performance.now()
    }
    const parameters = model.parameterCount()
    session.dispose()
    model.dispose()
    const settled = samples.slice(100).sort((a, b) => a - b)
    rows.push({
      paper,
      parameters,
      tokenUs: settled[Math.floor(settled.length / 2)] as number,
      // the bandwidth counts what is read and what is written
      weightsUs: (4 * parameters) / (copyGBs / 2) / 1e3,
    })
  }
  return rows
}
