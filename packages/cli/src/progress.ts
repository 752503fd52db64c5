import type { Evaluation, StepReport } from '@mneme/training'

/** Where a command's findings go: a person at a terminal, a log, or another program. */
export interface Output {
  /** A line for people; nothing in JSON mode. */
  say(line: string): void
  /** A line for machines; nothing otherwise. */
  event(event: object): void
  step(report: StepReport, steps: number): void
  evaluation(evaluation: Evaluation): void
  /** Ends a line that is being rewritten. */
  end(): void
}

const WIDTH = 24

/** Rewrites one line on a terminal, prints a line now and then elsewhere, and only JSON with `json`. */
export function output(json: boolean, stream: NodeJS.WriteStream = process.stderr): Output {
  if (json) {
    const print = (event: object): void => void process.stdout.write(`${JSON.stringify(event)}\n`)
    return {
      say: () => undefined,
      event: print,
      step: (report) => print({ type: 'step', ...report }),
      evaluation: (evaluation) => print({ type: 'evaluation', ...evaluation }),
      end: () => undefined,
    }
  }
  return stream.isTTY ? terminal(stream) : plain(stream)
}

function terminal(stream: NodeJS.WriteStream): Output {
  let open = false
  const end = (): void => {
    if (open) stream.write('\n')
    open = false
  }
  const say = (line: string): void => {
    end()
    stream.write(`${line}\n`)
  }
  const rate = smoothed()
  const left = clock()
  return {
    say,
    event: () => undefined,
    end,
    evaluation: (evaluation) => say(evaluationLine(evaluation)),
    step(report, steps) {
      const filled = Math.round((WIDTH * report.step) / steps)
      const bar = '█'.repeat(filled) + '░'.repeat(WIDTH - filled)
      stream.write(`\r\x1b[2K${bar} ${stepLine(report, steps, rate(report.tokensPerSecond), left(report.step, steps))}`)
      open = true
    },
  }
}

function plain(stream: NodeJS.WriteStream): Output {
  const rate = smoothed()
  const left = clock()
  const say = (line: string): void => void stream.write(`${line}\n`)
  return {
    say,
    event: () => undefined,
    end: () => undefined,
    evaluation: (evaluation) => say(evaluationLine(evaluation)),
    step(report, steps) {
      const tokensPerSecond = rate(report.tokensPerSecond)
      const time = left(report.step, steps)
      const every = Math.max(1, Math.floor(steps / 20))
      if (report.step === 1 || report.step % every === 0) say(stepLine(report, steps, tokensPerSecond, time))
    },
  }
}

/** Running mean, so that the time left does not jump about. */
function smoothed(): (value: number) => number {
  let mean: number | null = null
  return (value) => {
    mean = mean === null ? value : 0.9 * mean + 0.1 * value
    return mean
  }
}

/** Times the steps of this process: a resumed run does not start at step 1. */
function clock(): (step: number, steps: number) => string {
  let start: { step: number; ms: number } | null = null
  return (step, steps) => {
    start ??= { step, ms: performance.now() }
    const done = step - start.step
    return done === 0 ? '?' : duration(((performance.now() - start.ms) / 1000 / done) * (steps - step))
  }
}

function stepLine({ step, loss, lr }: StepReport, steps: number, rate: number, left: string): string {
  return `step ${step}/${steps}  loss ${loss.toFixed(4)}  lr ${lr.toExponential(1)}  ${Math.round(rate)} tokens/s  ${left} left`
}

function evaluationLine({ step, lossNats, tokenAcc, seqAcc }: Evaluation): string {
  const bits = (lossNats / Math.LN2).toFixed(3)
  return `  validation at step ${step}: loss ${lossNats.toFixed(4)} nats (${bits} bits), accuracy ${percent(tokenAcc)}, whole rows ${percent(seqAcc)}`
}

export const percent = (share: number): string => `${(100 * share).toFixed(1)} %`

/** Seconds as people read them: `42 s`, `3 min 5 s`, `1 h 2 min`. */
export function duration(seconds: number): string {
  if (!Number.isFinite(seconds)) return '?'
  const s = Math.round(seconds)
  if (s < 60) return `${s} s`
  return s < 3600
    ? `${Math.floor(s / 60)} min ${s % 60} s`
    : `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`
}
