import type { WebGPUBackend } from '@tensorflow/tfjs-backend-webgpu'
import { env, type TensorInfo, util } from '@tensorflow/tfjs-core'
import { checkBufferSize } from './device.js'

/**
 * A WGSL kernel over float32 tensors, and int32 ones where it says so, with any number of outputs. `body` defines `fn run(index: u32)`, called once for
 * each invocation; it reads sizes as `sizes.B` (u32), and inputs and outputs as arrays by name.
 */
export interface Shader {
  readonly name: string
  /**
   * Invocations that work together, where they do: `body` then defines `fn run(group: u32, lane: u32)`, called by all
   * of a workgroup, and may declare workgroup memory and use barriers. `invocations` is a multiple of it.
   */
  readonly groupSize?: number
  readonly sizes: readonly string[]
  readonly inputs: readonly string[]
  /** Of the inputs, those that are int32. */
  readonly whole?: readonly string[]
  readonly outputs: readonly string[]
  readonly body: string
}

/** What one run of a shader needs, by the names that the shader declares. */
export interface ShaderCall {
  readonly sizes: Readonly<Record<string, number>>
  readonly inputs: Readonly<Record<string, TensorInfo>>
  readonly outputShapes: Readonly<Record<string, readonly number[]>>
  readonly invocations: number
}

const workgroupSize = 64

const mainOfOne = [
  `@compute @workgroup_size(${workgroupSize})`,
  'fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {',
  `  let index = id.y * groups.x * ${workgroupSize}u + id.x;`,
  '  if (index < sizes.invocations) { run(index); }',
  '}',
]

/** A group is left out as a whole, by what is the same for all of it, so that barriers may stand in `run`. */
const mainOfGroup = (size: number): string[] => [
  `@compute @workgroup_size(${size})`,
  'fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,',
  '  @builtin(local_invocation_index) lane: u32) {',
  '  let group = id.y * groups.x + id.x;',
  `  if (group * ${size}u < sizes.invocations) { run(group, lane); }`,
  '}',
]

/** The whole WGSL module. Bindings: sizes, inputs, outputs, in the order of the lists. */
export function wgsl({ sizes, inputs, whole, outputs, body, groupSize }: Shader): string {
  const array = (access: string, name: string, binding: number): string =>
    `@group(0) @binding(${binding}) var<storage, ${access}> ${name}: array<${whole?.includes(name) ? 'i32' : 'f32'}>;`
  return [
    `struct Sizes { ${[...sizes, 'invocations'].map((name) => `${name}: u32`).join(', ')} }`,
    '@group(0) @binding(0) var<uniform> sizes: Sizes;',
    ...inputs.map((name, i) => array('read', name, 1 + i)),
    ...outputs.map((name, i) => array('read_write', name, 1 + inputs.length + i)),
    body.trim(),
    ...(groupSize === undefined ? mainOfOne : mainOfGroup(groupSize)),
    '',
  ].join('\n')
}

/**
 * Runs a shader in one dispatch, in the backend's own command batch, and returns its outputs by name.
 *
 * @throws BufferTooLargeError before anything has run; Error if the shader does not compile
 */
export function runShader(backend: WebGPUBackend, shader: Shader, call: ShaderCall): Record<string, TensorInfo> {
  for (const name of shader.outputs) {
    const bytes = 4 * util.sizeFromShape([...shapeOf(call, name)])
    checkBufferSize(`${shader.name} ${name}`, bytes, backend.device.limits)
  }
  const outputs = Object.fromEntries(
    shader.outputs.map((name) => [name, backend.makeTensorInfo([...shapeOf(call, name)], 'float32')]),
  )
  const tensors = { ...call.inputs, ...outputs }
  const bound = [...shader.inputs, ...shader.outputs].map((name) => tensors[name] as TensorInfo)
  record(backend, shader, call, bound)
  return outputs
}

function shapeOf({ outputShapes }: ShaderCall, name: string): readonly number[] {
  return outputShapes[name] as readonly number[]
}

/** The fields of the backend that its own `recordAndSubmit` works with; it can only record programs of one output. */
interface Recording {
  commandEncoder: GPUCommandEncoder | null
  computePassEncoder: GPUComputePassEncoder | null
  dispatchCountInPass: number
  activeTimers: { name: string; query: Promise<number> }[] | null | undefined
  querySet: GPUQuerySet | null
  readonly querySetCount: number
  readonly supportTimestampQuery: boolean
  readonly commandQueueOwnedIds: WeakSet<object>
  readonly uniformPendingDisposal: GPUBuffer[]
}

/**
 * Whether `runShader` can record into this backend.
 *
 * @throws Error if tfjs-backend-webgpu has changed within
 */
export function checkBackend(backend: WebGPUBackend): void {
  const fields = ['commandEncoder', 'dispatchCountInPass', 'querySet', 'commandQueueOwnedIds', 'uniformPendingDisposal']
  const missing = fields.filter((name) => !(name in backend))
  if (missing.length === 0) return
  throw new Error(
    `kernels-webgpu: expected tfjs-backend-webgpu 4.22, got one without ${missing.join(', ')}. Install 4.22.`,
  )
}

function record(backend: WebGPUBackend, shader: Shader, call: ShaderCall, bound: readonly TensorInfo[]): void {
  const pipeline = pipelineOf(backend.device, shader)
  const recording = backend as unknown as Recording
  const buffers = bound.map(({ dataId }) => bufferOf(backend, dataId))
  const uniform = uniformOf(backend, [...shader.sizes.map((name) => call.sizes[name] as number), call.invocations])
  recording.uniformPendingDisposal.push(uniform)
  for (const { dataId } of bound) recording.commandQueueOwnedIds.add(dataId)
  const group = backend.device.createBindGroup({
    layout: pipeline.getBindGroupLayout(0),
    entries: [uniform, ...buffers].map((buffer, binding) => ({ binding, resource: { buffer } })),
  })
  const timed = recording.activeTimers != null
  const pass = beginPass(backend, recording, timed)
  pass.setPipeline(pipeline)
  pass.setBindGroup(0, group)
  pass.dispatchWorkgroups(...dispatchOf(backend.device, call.invocations, shader.groupSize ?? workgroupSize))
  recording.dispatchCountInPass++
  if (timed) {
    backend.endComputePassEncoder()
    recording.activeTimers?.push({ name: shader.name, query: backend.getQueryTime() })
  } else if (recording.dispatchCountInPass >= env().getNumber('WEBGPU_DEFERRED_SUBMIT_BATCH_SIZE')) {
    backend.endComputePassEncoder()
    backend.submitQueue()
  }
}

function beginPass(backend: WebGPUBackend, recording: Recording, timed: boolean): GPUComputePassEncoder {
  backend.ensureCommandEncoderReady()
  const encoder = recording.commandEncoder as GPUCommandEncoder
  if (!timed || !recording.supportTimestampQuery) {
    recording.computePassEncoder ??= encoder.beginComputePass()
    return recording.computePassEncoder
  }
  backend.endComputePassEncoder()
  recording.querySet ??= backend.device.createQuerySet({ type: 'timestamp', count: recording.querySetCount })
  recording.computePassEncoder = encoder.beginComputePass({
    timestampWrites: { querySet: recording.querySet, beginningOfPassWriteIndex: 0, endOfPassWriteIndex: 1 },
  })
  return recording.computePassEncoder
}

function bufferOf(backend: WebGPUBackend, dataId: object): GPUBuffer {
  backend.uploadToGPU(dataId)
  return backend.tensorMap.get(dataId).resource as GPUBuffer
}

function uniformOf(backend: WebGPUBackend, values: readonly number[]): GPUBuffer {
  // a uniform's size must be a multiple of 16 bytes
  const words = new Uint32Array(Math.ceil(values.length / 4) * 4)
  words.set(values)
  const uniform = backend.bufferManager.acquireBuffer(
    words.byteLength,
    GPUBufferUsage.COPY_DST | GPUBufferUsage.UNIFORM,
  )
  backend.queue.writeBuffer(uniform, 0, words)
  return uniform
}

/** Workgroups in x, and rows of them in y where x alone may not be long enough. */
function dispatchOf(device: GPUDevice, invocations: number, groupSize: number): [x: number, y: number] {
  const groups = Math.ceil(invocations / groupSize)
  const rows = Math.ceil(groups / device.limits.maxComputeWorkgroupsPerDimension)
  return [Math.ceil(groups / rows), rows]
}

const pipelines = new WeakMap<GPUDevice, Map<string, GPUComputePipeline>>()

/** Compiled once for each source text and device: the key is the text, so no two programs can share one by mistake. */
function pipelineOf(device: GPUDevice, shader: Shader): GPUComputePipeline {
  const code = sourceOf(shader)
  const known = pipelines.get(device) ?? new Map<string, GPUComputePipeline>()
  pipelines.set(device, known)
  let pipeline = known.get(code)
  if (pipeline === undefined) {
    const module = device.createShaderModule({ code, label: shader.name })
    pipeline = device.createComputePipeline({
      layout: 'auto',
      label: shader.name,
      compute: { module, entryPoint: 'main' },
    })
    known.set(code, pipeline)
  }
  return pipeline
}

const sources = new WeakMap<Shader, string>()

function sourceOf(shader: Shader): string {
  const known = sources.get(shader)
  if (known !== undefined) return known
  const source = wgsl(shader)
  sources.set(shader, source)
  return source
}
