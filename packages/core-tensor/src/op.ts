import {
  engine,
  getKernel,
  type KernelBackend,
  registerGradient,
  registerKernel,
  type Tensor,
  type TensorInfo,
  tidy,
} from '@tensorflow/tfjs-core'
import { differentiation } from './differentiation.js'
import { type Dims, dims } from './shape.js'
import { type Mixing, watched } from './watch.js'

/** Tensors by name; an optional input is simply absent. */
export type Tensors<K extends string = string> = { readonly [Name in K]?: Tensor }
export type Infos = Readonly<Record<string, TensorInfo>>

/** What a forward of given sizes must do at the least: arithmetic, memory traffic, and passes over the data. */
export interface OpCost {
  readonly flops: number
  readonly bytes: number
  readonly passes: number
}

/** One call for tests and benches: sizes for every axis letter, attributes, and optional inputs to leave out. */
export interface OpExample<A> {
  readonly dims: Dims
  readonly attrs?: Partial<A>
  readonly omit?: readonly string[]
  /** For inputs that may come in several forms: which it is here, the first unless said. */
  readonly forms?: Readonly<Record<string, string>>
}

/** How tests and benches draw an input: `normal` unless said. `unit` is in (0, 1), `half` in (0, 0.7); `unitVector` has length 1 along the last axis; `ids` are int32 in [0, size of axis `V`); `mask` is 0 or 1; `rare` is 1 now and then; `few` is a small whole number. */
export type Draw = 'normal' | 'unit' | 'half' | 'unitVector' | 'logDecay' | 'positive' | 'ids' | 'mask' | 'rare' | 'few'

/**
 * An op is born with its reference and gradient, and with a sheet. `reference` is plain tfjs ops: it is the law that
 * kernels are held to, and what runs wherever no kernel is registered or a kernel refuses.
 */
export interface OpSpec<I extends object, A extends object, O extends object> {
  readonly name: string
  /**
   * Axes of each input, `'B T D'`; a leading `?` marks an optional one, `'*N'` is any shape of N values, and
   * `'...N D'` any axes of N values in all before the last. Letters are shared between inputs. `'B T D | D'` may have
   * either form; they differ in rank.
   */
  readonly inputs: { readonly [K in keyof I]-?: string }
  readonly outputs: { readonly [K in keyof O]-?: string }
  /** Where the op sums values over tokens: what looking inside shows as a map. */
  readonly mixes?: Mixing
  /** Default attributes; also the list of the names that exist. */
  readonly attrs: A
  /** Outputs from inputs, in plain tfjs ops. */
  reference(inputs: I, attrs: A): O
  /** False where `gradient` and backward kernels never look at the outputs, which then need not be kept. */
  readonly keepOutputs?: boolean
  /** Gradients of every floating input, from those of the outputs. Written in tfjs ops, so that it has gradients itself. */
  gradient(dys: Required<O>, inputs: I, outputs: Required<O>, attrs: A): { readonly [K in keyof I]?: Tensor }
}

/** What laws, self-test, benches and pages go by. Apart from the op, so that what only calls it need not hold it. */
export interface OpSheet<I extends object, A extends object> {
  /** KaTeX; shown in the docs and in the playground. */
  readonly equation: string
  /** How inputs are drawn that are not normal. */
  readonly draw?: { readonly [K in keyof I]?: Draw }
  /** What a forward must do at the least, from the sizes of the axes. */
  cost(sizes: Dims, attrs: A): OpCost
  readonly examples: readonly OpExample<A>[]
}

/**
 * An accelerator for one op on one backend. `accepts` may refuse with a reason, which is reported once at debug level;
 * then the reference runs. `backward`, where given, replaces the op's `gradient` (first order; the second order falls
 * back to differentiating `gradient`).
 */
export interface OpKernel {
  /** True, or the reason why the reference is to run. Always true where absent. */
  accepts?(inputs: Infos, attrs: Readonly<Record<string, unknown>>): true | string
  /** Outputs by name, as new tensors of the backend; inputs stay as they are. */
  forward(inputs: Infos, attrs: Readonly<Record<string, unknown>>, backend: KernelBackend): Infos
  /** Gradients by the names of the inputs, as new tensors of the backend. Where absent, the op's `gradient` runs. */
  backward?(
    dys: Infos,
    inputs: Infos,
    outputs: Infos,
    attrs: Readonly<Record<string, unknown>>,
    backend: KernelBackend,
  ): Infos
}

/** A callable op: inputs and attributes to outputs, by name, with gradients on every backend. */
export interface Op<I extends object, A extends object, O extends object> {
  (inputs: I, attrs?: Partial<A>): Required<O>
  readonly spec: OpSpec<I, A, O>
}

/** An op whose types have been forgotten, with its sheet: for tables of ops. */
export interface AnyOp {
  (inputs: Tensors, attrs?: Record<string, unknown>): Required<Tensors>
  readonly spec: OpSpec<Tensors, Record<string, unknown>, Tensors> & OpSheet<Tensors, Record<string, unknown>>
}

/** An op with its sheet, as `describeOp` and tables of ops take it. */
export function described<I extends object, A extends object, O extends object>(
  op: Op<I, A, O>,
  sheet: OpSheet<I, A>,
): AnyOp {
  const call = (inputs: Tensors, attrs?: Record<string, unknown>): unknown => op(inputs as I, attrs as Partial<A>)
  return Object.assign(call, { spec: { ...op.spec, ...sheet } }) as unknown as AnyOp
}

const kernels = new Map<string, OpKernel>()
const refusals = new Set<string>()

/** Registers a kernel for one op on one backend, replacing an earlier one. `null` removes it: the reference runs again. */
export function registerOpKernel(op: string, backend: string, kernel: OpKernel | null): void {
  const key = `${op} on ${backend}`
  if (kernel === null) kernels.delete(key)
  else kernels.set(key, kernel)
}

/** The kernel that is registered for an op on a backend, if there is one. */
export function opKernel(op: string, backend: string): OpKernel | undefined {
  return kernels.get(`${op} on ${backend}`)
}

/** Every refusal so far, as `op on backend: reference used, reason.` */
export function kernelRefusals(): readonly string[] {
  return [...refusals]
}

/** The kernel of an op that takes a call; undefined where the reference is to run. */
export function accepted(
  op: string,
  backend: string,
  inputs: Infos,
  attrs: Record<string, unknown>,
): OpKernel | undefined {
  const kernel = opKernel(op, backend)
  if (kernel === undefined) return undefined
  const verdict = kernel.accepts?.(inputs, attrs) ?? true
  if (verdict === true) return kernel
  const message = `${op} on ${backend}: reference used, ${verdict}.`
  if (!refusals.has(message)) {
    refusals.add(message)
    console.debug(message)
  }
  return undefined
}

/**
 * Makes a callable op from its specification. One call path and one gradient on every backend: the call goes through
 * the tfjs engine as kernel `mneme.<name>`, whose implementation is the registered kernel or else the reference.
 */
export function defineOp<I extends object, A extends object, O extends object>(spec: OpSpec<I, A, O>): Op<I, A, O> {
  const plain = spec as unknown as PlainSpec
  const kernelName = kernelNameOf(spec)
  const outputNames = Object.keys(spec.outputs)
  let gradientRegistered = false

  const call = (inputs: I, given?: Partial<A>): Required<O> => {
    const attrs = { ...spec.attrs, ...given } as A
    const present = checkInputs(spec, inputs)
    if (!gradientRegistered) {
      registerOpGradient(plain, kernelName)
      gradientRegistered = true
    }
    ensureKernel(plain, kernelName, outputNames)
    return watched(plain, present, (given) =>
      named(outputNames, runKernel(kernelName, given, { $op: attrs })),
    ) as Required<O>
  }
  return Object.assign(call, { spec })
}

/** Axes agree between all inputs, or a RangeError that names the op, the input, the expected and the given shape. */
function checkInputs<I extends object>(spec: { name: string; inputs: object }, inputs: I): Record<string, Tensor> {
  const sizes: Record<string, number> = {}
  const present: Record<string, Tensor> = {}
  for (const [name, axes] of Object.entries(spec.inputs as Record<string, string>)) {
    const tensor = (inputs as Record<string, Tensor | undefined>)[name]
    const optional = axes.startsWith('?')
    if (tensor === undefined) {
      if (optional) continue
      throw new TypeError(`${spec.name}: input '${name}' is missing.`)
    }
    const plain = formOf(optional ? axes.slice(1) : axes, tensor)
    Object.assign(sizes, dims(`${spec.name} ${name}`, folded(tensor, plain), plain.replace(/^(\*|\.\.\.)/, ''), sizes))
    present[name] = tensor
  }
  return present
}

/** Of axes with several forms, the one of the tensor's rank; the first where none is. */
function formOf(axes: string, { rank }: Tensor): string {
  if (!axes.includes('|')) return axes
  const forms = axes.split(' | ')
  return forms.find((form) => form.split(' ').length === rank) ?? (forms[0] as string)
}

/** The tensor's shape as its axes see it: `'*N'` counts values, `'...N D'` folds all axes before the named ones. */
function folded(tensor: Tensor, axes: string): Pick<Tensor, 'shape'> {
  if (axes.startsWith('*')) return { shape: [tensor.size] }
  if (!axes.startsWith('...')) return tensor
  const kept = axes.split(' ').length - 1
  if (tensor.rank <= kept) return tensor
  const last = tensor.shape.slice(tensor.rank - kept)
  return { shape: [tensor.shape.slice(0, tensor.rank - kept).reduce((a, b) => a * b, 1), ...last] }
}

/** Runs a kernel of tfjs. It saves inputs for the backward pass only if they come as a list, so the names travel as an attribute. */
export function runKernel(kernelName: string, inputs: Record<string, Tensor>, attrs: object): Tensor[] {
  const list = Object.values(inputs) as unknown as Record<string, Tensor>
  const results = engine().runKernel(kernelName, list, {
    ...attrs,
    $inputs: Object.keys(inputs),
  } as never) as unknown as Tensor | Tensor[]
  return Array.isArray(results) ? results : [results]
}

/** An op whose types have been forgotten. */
export type PlainSpec = OpSpec<Tensors, object, Tensors>

/** What travels with a call through tfjs: the op's attributes, and the names of its inputs. */
export interface Carried {
  readonly $op: Record<string, unknown>
  readonly $inputs: readonly string[]
}

/** The name of an op's kernel in tfjs. */
export const kernelNameOf = ({ name }: { readonly name: string }): string => `mneme.${name}`

function ensureKernel(spec: PlainSpec, kernelName: string, outputNames: readonly string[]): void {
  const backendName = engine().backendName
  if (getKernel(kernelName, backendName)) return
  registerKernel({
    kernelName,
    backendName,
    kernelFunc: ({ inputs, attrs, backend }) => {
      const { $op, $inputs } = attrs as unknown as Carried
      const given = named($inputs, inputs as unknown as Tensor[])
      const kernel = accepted(spec.name, backendName, given, $op)
      const outputs = kernel
        ? kernel.forward(given, $op, backend as KernelBackend)
        : (tidy(() => ({ ...spec.reference(given, $op) }) as never) as unknown as Infos)
      return outputNames.map((name) => outputs[name] as TensorInfo)
    },
  })
}

function registerOpGradient(spec: PlainSpec, kernelName: string): void {
  registerGradient({
    kernelName,
    saveAllInputs: true,
    outputsToSave: Object.keys(spec.outputs).map(() => spec.keepOutputs ?? true),
    gradFunc: (dy, saved, attrs) =>
      differentiation().opGradients(spec, Array.isArray(dy) ? dy : [dy], saved, attrs as unknown as Carried),
  })
}

/** Tensors under their names. */
export function named(names: readonly string[], tensors: readonly Tensor[]): Record<string, Tensor> {
  return Object.fromEntries(names.map((name, i) => [name, tensors[i] as Tensor]))
}

/**
 * A `gradient` made by differentiating the reference: it runs the reference again inside the backward pass, so nothing
 * but inputs and outputs is kept between the passes (the memory of a checkpointed op, at one more forward).
 */
export function differentiated<I extends object, A extends object, O extends object>(
  reference: (inputs: I, attrs: A) => O,
): OpSpec<I, A, O>['gradient'] {
  return (dys, inputs, _outputs, attrs) => {
    const entries = Object.entries(inputs as Record<string, Tensor>).filter(([, t]) => t?.dtype === 'float32')
    const grads = differentiation().vjp(
      () => {
        const outputs = reference(inputs, attrs) as Record<string, Tensor>
        return Object.keys(dys).map((name) => outputs[name] as Tensor)
      },
      entries.map(([, t]) => t),
      Object.values(dys as Record<string, Tensor>),
    )
    return Object.fromEntries(entries.map(([name], i) => [name, grads[i]])) as { [K in keyof I]?: Tensor }
  }
}
