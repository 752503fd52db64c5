import { add, clone, engine, onesLike, type Tensor, tidy, util } from '@tensorflow/tfjs-core'

/** What tfjs writes down of an op while it records. */
interface TapeNode {
  readonly kernelName: string
  readonly inputs: Readonly<Record<string, Tensor>>
  readonly outputs: readonly Tensor[]
  /** Clones of what the gradient needs, kept until the tape has been read. */
  readonly saved: readonly Tensor[]
  readonly gradient?: (dys: readonly (Tensor | null)[]) => Readonly<Record<string, () => Tensor>>
}

/** The engine of tfjs, as far as it keeps the tape. */
interface Recorder {
  readonly state: { activeTape: TapeNode[]; readonly gradientDepth: number }
  startTape(): void
  endTape(): void
  addTapeNode(name: string, inputs: object, outputs: readonly Tensor[], ...rest: readonly unknown[]): void
  /** A number greater than that of any tensor so far. */
  nextTensorId(): number
  [mended]?: true
}

const mended = Symbol.for('mneme.tapeOrder')

/**
 * tfjs keeps outputs for the backward pass by cloning them, and writes those clones to the tape before the node whose
 * outputs they are. A gradient of a gradient then reaches the clone too late and is lost: silently zero. Here the node
 * is put back in front of them.
 */
export function mendTapeOrder(): void {
  const recorder = engine() as unknown as Recorder
  if (recorder[mended]) return
  recorder[mended] = true
  const record = recorder.addTapeNode.bind(recorder)
  recorder.addTapeNode = (name, inputs, outputs, ...rest) => {
    record(name, inputs, outputs, ...rest)
    const tape = recorder.state.activeTape
    const own = new Set(outputs.map(({ id }) => id))
    const readsOwn = ({ inputs: read }: TapeNode): boolean => Object.values(read).some(({ id }) => own.has(id))
    let at = tape.length - 1
    while (at > 0 && readsOwn(tape[at - 1] as TapeNode)) at--
    tape.splice(at, 0, tape.pop() as TapeNode)
  }
}

/**
 * Runs f, and what it has recorded backwards: its value, and the gradients of the sum of that by `xs`, null where f does
 * not reach. tfjs does the same, but holds every activation and every gradient to the end; here each is freed as soon as
 * no step needs it. May run inside an f that is being recorded itself, and inside a backward pass.
 */
export function differentiated(f: () => Tensor, xs: readonly Tensor[]): { value: Tensor; grads: (Tensor | null)[] } {
  const recorder = engine() as unknown as Recorder
  const { state } = recorder
  const outer = state.activeTape
  recorder.startTape()
  let value: Tensor | undefined
  try {
    value = tidy('forward', f)
  } finally {
    recorder.endTape()
    if (value === undefined) abandon(state, outer)
  }
  const tape = state.activeTape
  const result = value
  // inside a recording this pass is recorded too, and what it has kept is needed once more
  const frees = state.gradientDepth === 0
  try {
    const grads = tidy('backward', () => propagated(recorder, tape, result, xs, frees) as Tensor[])
    return { value: result, grads }
  } finally {
    state.activeTape = outer
  }
}

/** After an error on the way forward nothing will read the tape. */
function abandon(state: Recorder['state'], outer: TapeNode[]): void {
  if (state.gradientDepth > 0) return
  for (const { saved } of state.activeTape) for (const tensor of saved) tensor.dispose()
  state.activeTape = outer
}

function propagated(
  recorder: Recorder,
  tape: readonly TapeNode[],
  value: Tensor,
  xs: readonly Tensor[],
  frees: boolean,
): (Tensor | null)[] {
  const wanted = new Set(xs.map(({ id }) => id))
  const reached = reachedFrom(wanted, tape)
  const dys = new Map<number, Tensor>([[value.id, onesLike(value)]])
  for (let at = tape.length - 1; at >= 0; at--) {
    const node = tape[at] as TapeNode
    const own = node.outputs.map(({ id }) => dys.get(id) ?? null)
    if (own.some((dy) => dy !== null) && Object.values(node.inputs).some(({ id }) => reached.has(id))) {
      for (const [x, dx] of backThrough(recorder, node, own, reached)) accumulate(dys, x, dx)
    }
    for (const { id } of node.outputs) {
      if (wanted.has(id)) continue
      dys.get(id)?.dispose()
      dys.delete(id)
    }
    if (frees) for (const tensor of node.saved) tensor.dispose()
  }
  return xs.map(({ id }) => dys.get(id) ?? null)
}

/** Numbers of the tensors that depend on some of those given, these included. */
function reachedFrom(wanted: ReadonlySet<number>, tape: readonly TapeNode[]): ReadonlySet<number> {
  const reached = new Set(wanted)
  for (const { inputs, outputs } of tape) {
    if (Object.values(inputs).some(({ id }) => reached.has(id))) for (const { id } of outputs) reached.add(id)
  }
  return reached
}

/** What one step of the tape adds to the gradients of its inputs, each a tensor that nobody else holds. */
function backThrough(
  recorder: Recorder,
  node: TapeNode,
  dys: readonly (Tensor | null)[],
  reached: ReadonlySet<number>,
): [x: Tensor, dx: Tensor][] {
  const where = `gradient of ${node.kernelName}`
  if (node.gradient === undefined)
    throw new Error(`${where}: there is none. Write the op with others, or register one.`)
  const gradient = node.gradient
  const taken = new Set<Tensor>()
  const older = recorder.nextTensorId()
  return tidy(() => {
    const found = gradient(dys)
    return Object.entries(node.inputs)
      .filter(([, { id }]) => reached.has(id))
      .map(([name, x]): [Tensor, Tensor] => {
        const make = found[name]
        if (make === undefined)
          throw new Error(`${where}: expected one by '${name}', got ${Object.keys(found).join(', ')}.`)
        const dx = tidy(make)
        if (dx.dtype !== 'float32' || !util.arraysEqual(dx.shape, x.shape)) {
          throw new Error(`${where} by '${name}': expected float32 [${x.shape}], got ${dx.dtype} [${dx.shape}].`)
        }
        // what a rule passes on as it came, or gives twice, has an owner already
        const owned = dx.id < older || taken.has(dx)
        taken.add(dx)
        return [x, owned ? clone(dx) : dx]
      })
  })
}

function accumulate(dys: Map<number, Tensor>, { id }: Tensor, dx: Tensor): void {
  const before = dys.get(id)
  if (before === undefined) {
    dys.set(id, dx)
    return
  }
  dys.set(id, add(before, dx))
  before.dispose()
  dx.dispose()
}
