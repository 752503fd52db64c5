import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Dims } from '@mneme/core-tensor'

/** What PyTorch needs on one thread, in milliseconds; null where it was not measured. */
export interface TorchRow {
  readonly forwardMs: number
  readonly bothMs: number | null
}

export interface TorchResults {
  readonly version: string
  /** In the order asked; null for an op it has no case for. */
  readonly rows: readonly (TorchRow | null)[]
  /** One step of a language model of two `nn.GRU` layers, if asked. */
  readonly gruModelMs: number | null
}

export interface TorchQuestion {
  readonly ops: readonly { readonly op: string; readonly dims: Dims }[]
  /** Whether gradients of loops that take minutes are timed too. */
  readonly slow: boolean
  readonly model: boolean
}

/** Debian's package is for the system's own interpreter, which need not be the first on the path. */
const interpreters = ['python3', '/usr/bin/python3', 'python']

/** Times PyTorch where a Python with torch is installed; null where there is none. */
export async function torchPeer(question: TorchQuestion): Promise<TorchResults | null> {
  const script = fileURLToPath(new URL('bench/pytorch_peer.py', import.meta.resolve('@mneme/cli/package.json')))
  for (const python of interpreters) {
    const found = await output(python, ['-c', 'import torch'], '')
    if (found === null) continue
    const printed = await output(python, [script], JSON.stringify(question))
    if (printed !== null) return JSON.parse(printed) as TorchResults
  }
  return null
}

/** Standard output of a command, or null if it is missing or fails. */
function output(command: string, args: readonly string[], input: string): Promise<string | null> {
  return new Promise((resolve) => {
    const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'ignore'] })
    let printed = ''
    child.stdout.on('data', (chunk: Buffer) => {
      printed += chunk.toString()
    })
    child.on('error', () => resolve(null))
    child.on('close', (code) => resolve(code === 0 ? printed : null))
    child.stdin.on('error', () => undefined)
    child.stdin.end(input)
  })
}
