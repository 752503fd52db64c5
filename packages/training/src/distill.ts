import {
  type LossAfter,
  type OpCall,
  ResidualStack,
  type SequenceMixer,
  type TokenModel,
  watch,
} from '@mneme/core-tensor'
import { weightsByHead } from '@mneme/core-tensor/inspect/token-maps'
import { add, log, mean, mul, neg, softmax, sqrt, square, sub, sum, type Tensor } from '@tensorflow/tfjs-core'
import type { Objective } from './run.js'

/**
 * What a student is brought to. `mixing`: the weights with which each of its mixers sums tokens, `outputs`: what each
 * gives, both on the inputs that the teacher's mixer has; `scores`: the teacher's distribution of the next token.
 */
export type DistillKind = 'mixing' | 'outputs' | 'scores'

export interface DistillStage {
  readonly kind: DistillKind
  readonly steps: number
}

/** Keeps a root away from 0, where it has no slope. */
const EPS = 1e-12

/**
 * The objective of a run whose model learns from a teacher, one stage after another; the last goes on to the end. Both are
 * stacks of residual layers, as many and as wide, and for `mixing` with as many heads. Copy what the two have in common
 * first: `student.loadStateDict(await teacher.stateDict(), { strict: false })`. In the first two stages nothing but the
 * student's mixers learns. Cost of a step: teacher and student once, in `mixing` their ops once more with T values a head.
 *
 *   mixing: mean over layers, rows and heads of ‖M_student(u) − M_teacher(u)‖_F
 *   outputs: mean over layers and tokens of ‖y_student(u) − y_teacher(u)‖₂
 *   scores: −Σ_v p_teacher(v) ln p_student(v), mean over tokens
 *
 * Paper: Bick et al. 2024, arXiv:2408.10189, section 4 (MOHAWK).
 * Differs: a matrix M is that of the op that sums tokens, without what goes by it; each stage has the learning rate of the
 * run's schedule rather than one of its own.
 *
 * @throws RangeError for no stages
 */
export function distillation(teacher: TokenModel, stages: readonly DistillStage[]): Objective {
  if (stages.length === 0) throw new RangeError('distillation stages: expected at least one, got none.')
  return (student, ids, _targets, _options, step) => losses[kindAt(stages, step)](teacher, student, ids)
}

function kindAt(stages: readonly DistillStage[], step: number): DistillKind {
  let end = 0
  for (const { kind, steps } of stages) {
    end += steps
    if (step < end) return kind
  }
  return (stages[stages.length - 1] as DistillStage).kind
}

const losses: Readonly<Record<DistillKind, (teacher: TokenModel, student: TokenModel, ids: Tensor) => LossAfter>> = {
  mixing: (teacher, student, ids) =>
    byLayer(teacher, student, ids, ({ u, mixer }, own) => {
      const [wanted, got] = [matrixOf(mixer, u), matrixOf(own, u)]
      return mean(sqrt(add(sum(square(sub(got, wanted)), [2, 3]), EPS)))
    }),
  outputs: (teacher, student, ids) =>
    byLayer(teacher, student, ids, ({ u, y }, own) => mean(sqrt(add(sum(square(sub(own.forward(u).y, y)), -1), EPS)))),
  scores(teacher, student, ids) {
    const wanted = softmax(teacher.forward(ids).y)
    const nll = neg(sum(mul(wanted, log(add(softmax(student.forward(ids).y), EPS))), -1))
    return { loss: mean(nll), nll, state: null }
  },
}

/** What came into one of the teacher's mixers, and what it gave. */
interface Visit {
  readonly mixer: SequenceMixer
  readonly u: Tensor
  readonly y: Tensor
}

/** Mean over layers of what each is off, `[]`; there is no loss by position. */
function byLayer(
  teacher: TokenModel,
  student: TokenModel,
  ids: Tensor,
  off: (visit: Visit, own: SequenceMixer) => Tensor,
): LossAfter {
  const own = mixersOf('student', student)
  const visits = visitsOf(teacher, ids)
  if (own.length !== visits.length) {
    throw new RangeError(
      `distillation: expected a student of ${visits.length} layers, as the teacher, got ${own.length}.`,
    )
  }
  const parts = visits.map((visit, layer) => off(visit, own[layer] as SequenceMixer))
  const loss = mul(
    parts.reduce((total, part) => add(total, part)),
    1 / parts.length,
  )
  return { loss, nll: loss, state: null }
}

function mixersOf(name: string, model: TokenModel): SequenceMixer[] {
  const { body } = model as { readonly body?: unknown }
  if (body instanceof ResidualStack) return body.layers.map(({ mixer }) => mixer)
  throw new TypeError(`distillation: expected a ${name} whose body is a stack of residual layers, got another.`)
}

/** One forward pass of the teacher, with what its mixers saw. */
function visitsOf(teacher: TokenModel, ids: Tensor): Visit[] {
  const visits: Visit[] = []
  const mixers = mixersOf('teacher', teacher)
  for (const mixer of mixers) {
    const { forward } = mixer
    mixer.forward = (u, ...rest) => {
      const mixed = forward.call(mixer, u, ...rest)
      visits.push({ mixer, u, y: mixed.y })
      return mixed
    }
  }
  try {
    teacher.forward(ids)
  } finally {
    // the method of the class again
    for (const mixer of mixers) Reflect.deleteProperty(mixer, 'forward')
  }
  return visits
}

/** The weights `[B, H, T, S]` with which a mixer sums the tokens of its input, from the one op that does so. */
function matrixOf(mixer: SequenceMixer, u: Tensor): Tensor {
  const found: Tensor[] = []
  const onOp = (call: OpCall): void => {
    const weights = weightsByHead(call)
    if (weights !== null) found.push(weights)
  }
  watch({ onOp }, () => mixer.forward(u))
  const [weights] = found
  if (weights !== undefined && found.length === 1) return weights
  throw new RangeError(
    `distillation mixing: expected one op that sums tokens by head in '${mixer.constructor.name}', got ${found.length}. Leave this stage out.`,
  )
}
