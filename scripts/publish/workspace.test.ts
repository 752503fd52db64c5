import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'
import { describe, expect, test } from 'vitest'

interface Manifest {
  readonly name: string
  readonly private?: boolean
  readonly sideEffects?: unknown
  readonly exports?: Readonly<Record<string, unknown>>
  readonly scripts?: Readonly<Record<string, string>>
  readonly dependencies?: Readonly<Record<string, string>>
  readonly optionalDependencies?: Readonly<Record<string, string>>
  readonly peerDependencies?: Readonly<Record<string, string>>
  readonly devDependencies?: Readonly<Record<string, string>>
}

const root = fileURLToPath(new URL('../..', import.meta.url))
const read = (path: string): Manifest => JSON.parse(readFileSync(join(root, path), 'utf8')) as Manifest

const workspaces = ['packages', 'apps'].flatMap((group) =>
  readdirSync(join(root, group))
    .filter((name) => existsSync(join(root, group, name, 'package.json')))
    .map((name) => ({ folder: `${group}/${name}`, manifest: read(`${group}/${name}/package.json`) })),
)
const published = workspaces.filter(({ manifest }) => manifest.private !== true)

function sources(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((item) => item.isFile() && /\.tsx?$/.test(item.name) && !item.parentPath.includes('/node_modules'))
    .map((item) => join(item.parentPath, item.name))
}

/** The package that a module specifier names; null for files of one's own and for Node. */
function packageOf(specifier: string): string | null {
  if (/^(\.|\/|node:|virtual:)/.test(specifier)) return null
  return specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/')
}

function importsOf(file: string): string[] {
  const { importedFiles } = ts.preProcessFile(readFileSync(file, 'utf8'), true, true)
  return [...new Set(importedFiles.flatMap(({ fileName }) => packageOf(fileName) ?? []))]
}

/** Packages that the laws of another stand on and that it cannot depend on, since they depend on it. */
function lawsStandOn(name: string): string[] {
  const { tasks } = JSON.parse(readFileSync(join(root, 'turbo.json'), 'utf8')) as {
    tasks: Readonly<Record<string, { readonly dependsOn?: readonly string[] }>>
  }
  return (tasks[`${name}#laws`]?.dependsOn ?? []).map((task) => task.split('#')[0] ?? '')
}

const isTest = (file: string): boolean => /\.(test|bench)\.tsx?$/.test(file)

describe('packages', () => {
  test.each(published.map(({ folder, manifest }) => [manifest.name, folder, manifest] as const))(
    '%s declares what it imports, and tfjs as a peer',
    (name, folder, manifest) => {
      const used = { ...manifest.dependencies, ...manifest.optionalDependencies, ...manifest.peerDependencies }
      const around = Object.fromEntries(lawsStandOn(name).map((found) => [found, '']))
      const inTests = { ...used, ...manifest.devDependencies, ...read('package.json').devDependencies, ...around }
      const undeclared = sources(`${folder}/src`).flatMap((file) =>
        importsOf(file)
          .filter((found) => found !== name && !Object.hasOwn(isTest(file) ? inTests : used, found))
          .map((found) => `${file.slice(root.length)}: ${found}`),
      )
      expect(undeclared).toEqual([])
      const isApplication = manifest.exports?.['.'] === undefined
      const own = Object.keys(manifest.dependencies ?? {}).filter((found) => found.startsWith('@tensorflow/'))
      if (!isApplication) expect(own).toEqual([])
    },
  )

  test('run nothing when somebody installs them', () => {
    const hooks = ['preinstall', 'install', 'postinstall', 'prepare', 'prepublish']
    const found = [read('package.json'), ...workspaces.map(({ manifest }) => manifest)].flatMap(({ name, scripts }) =>
      hooks.filter((hook) => scripts?.[hook] !== undefined).map((hook) => `${name}: ${hook}`),
    )
    expect(found).toEqual([])
  })

  test('make no code from strings', () => {
    const files = workspaces.flatMap(({ folder }) =>
      existsSync(join(root, folder, 'src')) ? sources(`${folder}/src`) : [],
    )
    const found = files.flatMap((file) => fromStrings(file).map((text) => `${file.slice(root.length)}: ${text}`))
    expect(files.length).toBeGreaterThan(100)
    expect(found).toEqual([])
  })

  test('that rule sees each way there is', () => {
    const ways = "eval('1'); new Function('a', 'b'); Function('c'); setTimeout('d', 1); import(name + '.js')"
    expect(fromStrings('ways.ts', ways)).toEqual([
      "eval('1')",
      "new Function('a', 'b')",
      "Function('c')",
      "setTimeout('d', 1)",
    ])
  })
})

/** Calls that turn a string into code. */
function fromStrings(file: string, text = readFileSync(file, 'utf8')): string[] {
  const found: string[] = []
  if (!/\b(eval|Function|setTimeout|setInterval)\b/.test(text)) return found
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.ES2022)
  const visit = (node: ts.Node): void => {
    if (ts.isCallExpression(node) || ts.isNewExpression(node)) {
      const callee = node.expression.getText(source).replace(/^(globalThis|window|self)\./, '')
      const first = node.arguments?.[0]
      const timer = /^set(Timeout|Interval)$/.test(callee) && first !== undefined && ts.isStringLiteralLike(first)
      if (callee === 'eval' || callee === 'Function' || timer) found.push(node.getText(source))
    }
    ts.forEachChild(node, visit)
  }
  visit(source)
  return found
}

describe('a release, tried without a network', () => {
  interface DryRelease {
    readonly before: Readonly<Record<string, string>>
    readonly first: Readonly<Record<string, string>>
    readonly second: Readonly<Record<string, string>>
    readonly changelogs: Readonly<Record<string, string>>
  }

  test('gives each package its version, its changelog for readers, and no other a new one for its sake', async () => {
    const { dryRelease } = (await import('./release.mjs')) as { dryRelease(patched: string): DryRelease }
    const { before, first, second, changelogs } = dryRelease('@mneme/recurrent')
    const moved = (a: typeof first, b: typeof first): string[] => Object.keys(b).filter((name) => a[name] !== b[name])
    expect(moved(first, second)).toEqual(['@mneme/recurrent'])
    expect(Object.keys(first)).toEqual(published.map(({ manifest }) => manifest.name))
    for (const name of moved(before, first)) {
      const text = changelogs[name] ?? ''
      expect(text).toMatch(new RegExp(`^# ${name}\n\n## ${first[name]}\n\n### `))
      // lines of their own, without hashes of commits, and whole sentences
      expect(text).not.toMatch(/^- [0-9a-f]{7}:|Updated dependencies/m)
      for (const line of text.split('\n').filter((line) => line.startsWith('- '))) expect(line).toMatch(/[.:)]$/)
    }
  }, 120_000)
})

describe('what packages bring with them', () => {
  interface Entry {
    readonly version?: string
    readonly license?: string
    readonly integrity?: string
    readonly deprecated?: string
    readonly hasInstallScript?: boolean
    readonly dependencies?: Readonly<Record<string, string>>
  }
  const clean = { version: '1.0.0', license: 'MIT', integrity: 'sha512-' }
  const ours = { dependencies: { a: '1' } }
  const faultsOf = async (entries: Readonly<Record<string, Entry>>): Promise<readonly string[]> => {
    const { audited } = (await import('./audit.mjs')) as {
      audited(lock: object, published: readonly string[]): { readonly faults: readonly string[] }
    }
    return audited({ packages: { 'packages/one': ours, ...entries } }, ['packages/one']).faults
  }

  test('is held to licences, hashes, and no scripts at installation', async () => {
    expect(await faultsOf({ 'node_modules/a': clean })).toEqual([])
    const below = { ...clean, dependencies: { b: '1' } }
    const fault = async (entry: Entry) => (await faultsOf({ 'node_modules/a': below, 'node_modules/b': entry })).join()
    expect(await fault({ ...clean, license: 'GPL-3.0' })).toMatch(/^b@1\.0\.0: expected a licence of .*, got GPL-3\.0/)
    expect(await fault({ ...clean, hasInstallScript: true })).toMatch(/no script that runs when it is installed/)
    expect(await fault({ ...clean, deprecated: 'use c' })).toBe('b@1.0.0: deprecated: use c')
    expect(await fault({ version: '1.0.0', license: 'MIT' })).toMatch(/hash of its tarball/)
  })

  test('is the nearest of several versions, and only what is depended on', async () => {
    const entries = { 'node_modules/a': { ...clean, dependencies: { b: '2' } }, 'node_modules/b': clean }
    const bad = { ...clean, version: '2.0.0', license: 'GPL-3.0' }
    expect(await faultsOf({ ...entries, 'node_modules/a/node_modules/b': bad })).toHaveLength(1)
    expect(await faultsOf({ ...entries, 'node_modules/c': bad })).toEqual([])
  })
})

describe('advisories of a clone', () => {
  const written = async (files: Readonly<Record<string, string>>, lock: object) => {
    const folder = mkdtempSync(join(tmpdir(), 'mneme-advisories-'))
    try {
      for (const [path, text] of Object.entries(files)) {
        mkdirSync(dirname(join(folder, path)), { recursive: true })
        writeFileSync(join(folder, path), text)
      }
      const { advisoriesIn } = (await import('./advisories.mjs')) as {
        advisoriesIn(folder: string, lock: object): { named: number; newest: string; faults: readonly string[] }
      }
      return advisoriesIn(folder, lock)
    } finally {
      rmSync(folder, { recursive: true })
    }
  }
  const advisory = (range: string) =>
    `identifier: "X-1"\ntitle: "Reads too far"\npubdate: "2026-01-02"\naffected_range: "${range}"\nfixed_versions: ["1.2.0"]\n`
  const lock = {
    packages: { '': {}, 'node_modules/@a/b': { version: '1.1.0' }, 'node_modules/c': { version: '2.0.0' } },
  }

  test('are faults where they hold for a locked version, wherever it stands', async () => {
    const found = await written(
      { 'npm/@a/b/X-1.yml': advisory('>=1.0.0 <1.2.0'), 'npm/d/X-2.yml': advisory('*') },
      lock,
    )
    expect(found).toMatchObject({ named: 1, newest: '2026-01-02' })
    expect(found.faults).toEqual([
      '@a/b@1.1.0: X-1, Reads too far: expected a version outside >=1.0.0 <1.2.0. Fixed in 1.2.0.',
    ])
    const nested = { packages: { 'node_modules/c/node_modules/@a/b': { version: '1.1.0', dev: true } } }
    expect((await written({ 'npm/@a/b/X-1.yml': advisory('<1.2.0') }, nested)).faults).toHaveLength(1)
    const outside = await written({ 'npm/@a/b/X-1.yml': advisory('<1.1.0||>=2.0.0') }, lock)
    expect(outside).toMatchObject({ named: 1, faults: [] })
  })

  test('of a folder that is no clone are an error', async () => {
    await expect(written({ 'go/x.yml': '' }, lock)).rejects.toThrow(/expected a clone with a folder npm/)
  })
})

describe('the pipeline', () => {
  test('runs again what stands on a mixer, and nothing else', async () => {
    const { affectedBy } = (await import('./affected.mjs')) as {
      affectedBy(file: string): { readonly again: readonly string[]; readonly kept: readonly string[] }
    }
    const packages = (ids: readonly string[], task: string): string[] =>
      ids.filter((id) => id.endsWith(`#${task}`)).map((id) => id.slice(0, -task.length - 1))
    const { again, kept } = affectedBy('packages/recurrent/src/mamba.ts')
    // memory, training and core-tensor stand on mixers in their tests
    const standing = ['@mneme/cli', '@mneme/memory', '@mneme/models', '@mneme/recurrent', '@mneme/training']
    expect(packages(again, 'pack')).toEqual(standing)
    expect(packages(again, 'laws').sort()).toEqual([...standing, '@mneme/core-tensor'].sort())
    expect(packages(again, 'build')).toEqual([...standing, 'playground'])
    expect(packages(again, 'types')).toEqual([...standing, '@mneme/core-tensor', 'playground'].sort())
    expect(packages(kept, 'laws')).toContain('@mneme/attention')
    // style, sizes and the types of scripts are of everything at once
    expect(again).toEqual(expect.arrayContaining(['//#lint', '//#sizes:check', '//#types:scripts']))
    expect(again.length + kept.length).toBe(11 * 4 + 2 + 3)
  }, 60_000)
})
