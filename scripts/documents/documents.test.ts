import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { taskKeys } from '@mneme/tasks'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Block, blocksOf, documents, isForWebGPU, isModule, root, scratch, written } from './blocks.js'
import { given, served } from './given.js'
import { compilePython, pythonFor, runPython, runShell, runTypeScript, typeErrors } from './runners.js'

const parent = scratch('run')
afterAll(() => rmSync(parent, { recursive: true }))

const folders = new Map<string, string>()
const all = documents.flatMap((document) => {
  const blocks = blocksOf(document)
  folders.set(document, written(parent, document, blocks))
  return blocks
})
const folderOf = ({ document }: Block): string => folders.get(document) as string

/** Commands of the whole project, which are run by whoever runs this, or by a test of their own. */
const elsewhere: Readonly<Record<string, string>> = {
  'npm test': 'is what runs this',
  'npm start': 'apps/playground/test/server.test.ts starts what it starts',
}
const plain = (line: string): string => line.replace(/#.*/, '').trim()
const isElsewhere = ({ language, code }: Block): boolean =>
  language === 'sh' &&
  code
    .trim()
    .split('\n')
    .every((line) => Object.hasOwn(elsewhere, plain(line)))

/** Files beside which their laws lie: mixers and memories. */
function mechanisms(folder: string): string[] {
  if (!/\/(attention|recurrent|memory)\//.test(folder)) return []
  const laws = readdirSync(join(root, folder)).filter((file) => file.endsWith('.laws.test.ts'))
  const stems = laws.map((file) => file.replace('.laws.test.ts', ''))
  return stems.filter((stem) => existsSync(join(root, folder, `${stem}.ts`)))
}

describe('documents', () => {
  test('README of the project and of every package has code that runs', () => {
    const without = documents.filter(
      (name) => !all.some(({ document, language }) => document === name && language === 'ts'),
    )
    expect(documents).toContain('README.md')
    expect(documents.filter((name) => name.startsWith('docs/guides/')).length).toBeGreaterThanOrEqual(5)
    expect(without).toEqual([])
  })

  test('a README says what a package does not do, and names its mechanisms and tasks', () => {
    const packages = documents.filter((name) => name.startsWith('packages/'))
    expect(packages.length).toBe(readdirSync(join(root, 'packages')).length)
    const missing = packages.flatMap((name) => {
      const text = readFileSync(join(root, name), 'utf8')
      const named = [...mechanisms(name.replace('README.md', 'src')), ...(name.includes('/tasks/') ? taskKeys : [])]
      const unsaid = named.filter((word) => !text.includes(`\`${word}\``))
      return [...unsaid, ...(text.includes('\n## What it does not do\n') ? [] : ['what it does not do'])].map(
        (word) => `${name}: ${word}`,
      )
    })
    expect(missing).toEqual([])
  })

  test('their code has no errors of types, under strict settings', () => {
    expect(existsSync(join(root, 'packages/models/dist/index.d.ts')), 'npm run build comes first').toBe(true)
    const files = all.filter(({ language }) => language === 'ts').map((block) => join(folderOf(block), block.file))
    expect(typeErrors(files)).toEqual([])
  }, 60_000)

  test('the two commands are those of package.json', () => {
    const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { scripts: object }
    expect(Object.keys(elsewhere).filter((line) => !Object.hasOwn(scripts, line.split(' ')[1] ?? ''))).toEqual([])
    expect(all.filter(isElsewhere).map(({ document }) => document)).toEqual(['README.md'])
  })
})

const runsHere = (block: Block): boolean => !isElsewhere(block) && !isForWebGPU(block) && !isModule(block)

for (const document of documents.filter((name) => all.some((block) => block.document === name && runsHere(block)))) {
  describe(document, () => {
    const blocks = all.filter((block) => block.document === document)
    const folder = folders.get(document) as string
    const ours = blocks.filter(({ language }) => language === 'python').map(({ file }) => file.replace(/\.py$/, ''))
    let address: Awaited<ReturnType<typeof served>> | undefined

    beforeAll(async () => {
      await given[document]?.(folder)
      const asked = blocks.filter(({ run }) => run.includes('http://127.0.0.1:PORT'))
      if (asked.length === 0) return
      address = await served(folder)
      for (const { file, run } of asked) {
        writeFileSync(join(folder, file), run.replaceAll('127.0.0.1:PORT', `127.0.0.1:${address.port}`))
      }
    })
    afterAll(() => address?.close())

    let torn = false
    for (const block of blocks) {
      if (!runsHere(block)) continue
      const { title, language, code } = block
      if (language === 'python') torn = !describePython(folder, block, ours) || torn
      else if (torn) test.skip(`${title}: not run, since it stands on Python that could not be`, () => undefined)
      else if (language === 'sh') test(`${title}: runs`, async () => void (await runShell(folder, block)), 120_000)
      // an example of tests is collected like any test; others run within one
      else if (/^describe\w*\(/m.test(code)) describe(`${title}: holds`, () => runTypeScript(folder, block))
      else test(`${title}: runs`, () => runTypeScript(folder, block), 60_000)
    }
  })
}

/** Whether the block was run, and not only compiled. */
function describePython(folder: string, block: Block, ours: readonly string[]): boolean {
  const python = pythonFor(block, ours)
  if (python === null)
    test.skip(`${block.title}: neither compiled nor run, since there is no Python here`, () => undefined)
  else if (python.missing.length === 0) {
    test(`${block.title}: runs`, async () => void (await runPython(folder, block, python)), 120_000)
    return true
  } else {
    test(`${block.title}: compiles; not run, since Python here has no ${python.missing.join(', ')}`, async () =>
      void (await compilePython(folder, block, python)))
  }
  return false
}
