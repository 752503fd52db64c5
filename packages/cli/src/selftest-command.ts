import { selfTest } from '@mneme/core-tensor'
import '@tensorflow/tfjs-backend-cpu'
import { releaseDevice, useDevice } from './device.js'

export interface SelfTestFlags {
  readonly device: string
  readonly json: boolean
}

/** `mneme selftest`: every kernel against its reference, on this device. Exit code 1 if one does not agree. */
export async function selfTestCommand({ device: asked, json }: SelfTestFlags): Promise<number> {
  const device = await useDevice(asked)
  const report = await selfTest()
  if (json) process.stdout.write(`${JSON.stringify(report)}\n`)
  else {
    const width = Math.max(...report.verdicts.map(({ op }) => op.length)) + 2
    for (const { op, verdict, error, detail } of report.verdicts) {
      const figure = verdict === 'agrees' ? `within ${error.toExponential(1)}` : detail
      process.stdout.write(`${op.padEnd(width)}${verdict.padEnd(11)}${figure}\n`)
    }
    process.stdout.write(`${report.backend}, ${Math.round(report.timeMs)} ms\n`)
  }
  await releaseDevice(device)
  return report.verdicts.some(({ verdict }) => verdict === 'differs' || verdict === 'fails') ? 1 : 0
}
