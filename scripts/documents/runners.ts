import { execFile, execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { getBackend, setBackend } from '@tensorflow/tfjs-core'
import ts from 'typescript'
import { vi } from 'vitest'
import { type Block, root } from './blocks.js'

const run = promisify(execFile)

const withDevice = (name: string): string => `
import { disposeWebGPU, useWebGPU } from '@mneme/kernels-webgpu/node'
await useWebGPU({ allowSoftware: true })
await import('./${name}.mjs')
await disposeWebGPU()
`

/** Runs a block in a process of its own that has a device for WebGPU, which the block may destroy. Resolves with what it wrote. */
export async function runWithDevice(folder: string, { file, title, run: code }: Block): Promise<string> {
  const name = file.replace(/\.ts$/, '')
  const compilerOptions = { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 }
  writeFileSync(join(folder, `${name}.mjs`), ts.transpileModule(code, { compilerOptions }).outputText)
  writeFileSync(join(folder, `${name}-device.mjs`), withDevice(name))
  return say(title, run('node', [`${name}-device.mjs`], { cwd: folder }))
}

/** Imports a block as a module, in its folder, on the backend that it chooses; and comes back. */
export async function runTypeScript(folder: string, { file }: Block): Promise<void> {
  const [before, place] = [getBackend(), process.cwd()]
  const log = vi.spyOn(console, 'log').mockReturnValue(undefined)
  const out = vi.spyOn(process.stdout, 'write').mockReturnValue(true)
  process.chdir(folder)
  try {
    await import(/* @vite-ignore */ join(folder, file))
  } finally {
    process.chdir(place)
    log.mockRestore()
    out.mockRestore()
    await setBackend(before)
  }
}

/** Runs a block in bash, where any command that fails ends it. Resolves with what it wrote. @throws Error with all of it */
export async function runShell(folder: string, { file, title }: Block): Promise<string> {
  return say(title, run('bash', ['-euo', 'pipefail', file], { cwd: folder, env: { ...process.env, CI: '1' } }))
}

/** Where Python may be; the first that has what is asked for is taken. */
const pythons = [...new Set([process.env.MNEME_PYTHON ?? 'python3', 'python3', '/usr/bin/python3'])]

export interface Python {
  readonly path: string
  /** Modules that were asked for and are not installed. */
  readonly missing: readonly string[]
}

/** The Python that has most of what a block takes from elsewhere; null where there is none at all. */
export function pythonFor({ code }: Block, ours: readonly string[]): Python | null {
  const wanted = Array.from(code.matchAll(/^(?:import|from) (\w+)/gm), ([, name = '']) => name)
  const names = [...new Set(wanted)].filter((name) => !ours.includes(name))
  const find = 'import importlib.util, sys; print(*[n for n in sys.argv[1:] if importlib.util.find_spec(n) is None])'
  const found = pythons.flatMap((path) => {
    try {
      const said = execFileSync(path, ['-c', find, ...names], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
      return [{ path, missing: said.trim().split(' ').filter(Boolean) }]
    } catch {
      return []
    }
  })
  return found.sort((a, b) => a.missing.length - b.missing.length)[0] ?? null
}

export async function runPython(folder: string, { file, title }: Block, { path }: Python): Promise<string> {
  return say(title, run(path, [file], { cwd: folder, env: { ...process.env, PYTHONDONTWRITEBYTECODE: '1' } }))
}

export async function compilePython(folder: string, { file, title }: Block, { path }: Python): Promise<string> {
  const compile = 'import sys; compile(open(sys.argv[1]).read(), sys.argv[1], "exec")'
  return say(title, run(path, ['-c', compile, file], { cwd: folder }))
}

async function say(title: string, done: Promise<{ stdout: string; stderr: string }>): Promise<string> {
  try {
    return (await done).stdout
  } catch (error) {
    const { message, stdout } = error as Error & { stdout?: string }
    throw new Error(`${title}: ${message}\n${stdout ?? ''}`)
  }
}

/** Errors of types in files, as an application with strict settings has them: packages by their declarations. */
export function typeErrors(files: readonly string[]): string[] {
  const { config } = ts.readConfigFile(join(root, 'tsconfig.base.json'), ts.sys.readFile)
  const { options } = ts.parseJsonConfigFileContent({ ...config, files: [] }, ts.sys, root)
  const { paths: _, ...rest } = options
  const program = ts.createProgram(files, { ...rest, noEmit: true })
  return files.flatMap((name) => {
    const file = program.getSourceFile(name)
    const found = [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)]
    return found.map(({ messageText, start = 0 }) => {
      const line = (file?.getLineAndCharacterOfPosition(start).line ?? 0) + 1
      return `${name.slice(name.lastIndexOf('/run-'))}:${line}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`
    })
  })
}
