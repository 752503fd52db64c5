import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { getBackend, setBackend } from '@tensorflow/tfjs-core'
import ts from 'typescript'
import { afterAll, describe, expect, test, vi } from 'vitest'

interface Block {
  readonly title: string
  /** What stands behind the fence: `ts`, or `ts no-run`. */
  readonly info: string
  readonly code: string
}

const root = fileURLToPath(new URL('..', import.meta.url))

/** The READMEs of the project and of its packages. */
const files = ['README.md', ...readdirSync(join(root, 'packages')).map((name) => `packages/${name}/README.md`)].filter(
  (file) => existsSync(join(root, file)),
)

/** Every fenced block whose language is TypeScript or JavaScript, under any of its names. */
const blocks: readonly Block[] = files.flatMap((file) => {
  const fences = readFileSync(join(root, file), 'utf8').matchAll(/^ *```+([^\n`]*)\n([\s\S]*?)^ *```+ *$/gm)
  return Array.from(fences, ([, info, code]) => ({ info: (info ?? '').trim(), code: code ?? '' }))
    .filter(({ info }) => /^(ts|tsx|mts|typescript|js|jsx|mjs|javascript)\b/.test(info))
    .map(({ info, code }, i) => ({ title: `${file}, block ${i + 1}`, info, code }))
})

// inside node_modules, so that packages are found from there and nothing of it is ever kept
const scratch = join(root, 'node_modules', '.mneme-readme')
mkdirSync(scratch, { recursive: true })
const folder = mkdtempSync(join(scratch, 'run-'))
afterAll(() => rmSync(folder, { recursive: true }))

function written({ code }: Block, index: number): string {
  const path = join(folder, `block-${index}.ts`)
  writeFileSync(path, `${code}\nexport {}\n`)
  return path
}

/** Runs a block on the backend that it chooses, and comes back. */
async function run(path: string): Promise<void> {
  const before = getBackend()
  const log = vi.spyOn(console, 'log').mockReturnValue(undefined)
  const out = vi.spyOn(process.stdout, 'write').mockReturnValue(true)
  try {
    await import(/* @vite-ignore */ path)
  } finally {
    log.mockRestore()
    out.mockRestore()
    await setBackend(before)
  }
}

describe('examples in the READMEs', () => {
  test('the README of the project and of every package has one', () => {
    const without = files.filter((file) => !blocks.some(({ title }) => title.startsWith(`${file},`)))
    expect(files).toContain('README.md')
    expect(without).toEqual([])
  })

  test('each is marked ts, or ts no-run', () => {
    const others = blocks.filter(({ info }) => info !== 'ts' && info !== 'ts no-run')
    expect(others.map(({ title, info }) => `${title}: ${info}`)).toEqual([])
  })

  const notRun = blocks.filter(({ info }) => info === 'ts no-run')
  test(`${notRun.length} of ${blocks.length} are not run, and each of those needs a browser or its driver`, () => {
    const elsewhere = notRun.filter(({ code }) => !/WebGPU|\b(navigator|document|window|indexedDB|Worker)\b/.test(code))
    expect(elsewhere.map(({ title }) => title)).toEqual([])
  })

  test.each(blocks.map((block) => [block.title, block.code]))('%s: is TypeScript', (_, code) => {
    const { diagnostics = [] } = ts.transpileModule(code, {
      reportDiagnostics: true,
      compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 },
    })
    expect(diagnostics.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'))).toEqual([])
  })

  for (const [index, block] of blocks.entries()) {
    if (block.info !== 'ts') continue
    const path = written(block, index)
    // an example of tests is collected like any test; others run within one
    if (/^describe\w*\(/m.test(block.code)) describe(`${block.title}: holds`, () => run(path))
    else test(`${block.title}: runs`, () => run(path), 30_000)
  }
})
